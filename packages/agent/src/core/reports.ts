/**
 * What the scheduler has yet to be told. Nothing is queued: what is unacknowledged follows from the records, so that it
 * cannot overflow, survives a restart, and the newest state of an allocation replaces an older one that was never sent.
 */
import { isForward, isTerminal, MAX_REPORTS, type AllocationReport } from "@berth/schema";
import { isOrphan, reportOf, type AllocationRecord } from "./record.ts";

/** Well below the bus's limit of 1 MiB, with room for escapes in details. */
const MAX_BATCH_CHARACTERS = 400_000;

/**
 * Of an orphan only the end is told: what it is doing is not known well enough. `placed` is what the scheduler knows already, `preparing` usually lasts milliseconds: a start that takes long becomes
 * `starting`, and that is told.
 */
export const isUnacknowledged = (record: AllocationRecord): boolean =>
  record.state !== "placed" &&
  record.state !== "preparing" &&
  (isTerminal(record.state) || !isOrphan(record)) &&
  (record.acked === null || isForward(record.acked, record.state));

/** The next batch: ends first, because resources and results wait for them, then the order of the records. */
export const nextReports = (
  records: Iterable<AllocationRecord>,
  skip: (record: AllocationRecord) => boolean = () => false,
): readonly AllocationReport[] => {
  const ends: AllocationRecord[] = [];
  const others: AllocationRecord[] = [];
  for (const record of records) {
    if (!isUnacknowledged(record) || skip(record)) continue;
    if (isTerminal(record.state)) ends.push(record);
    else others.push(record);
    if (ends.length >= MAX_REPORTS) break;
  }
  const batch: AllocationReport[] = [];
  let characters = 0;
  for (const record of [...ends, ...others]) {
    if (batch.length >= MAX_REPORTS) break;
    const report = reportOf(record);
    characters += 300 + (report.exit?.detail?.length ?? 0);
    if (batch.length > 0 && characters > MAX_BATCH_CHARACTERS) break;
    batch.push(report);
  }
  return batch;
};

/** The record after the scheduler has acknowledged `report`; it may have moved on since. */
export const acknowledge = (record: AllocationRecord, report: AllocationReport): AllocationRecord =>
  record.acked === null || isForward(record.acked, report.state) ? { ...record, acked: report.state } : record;
