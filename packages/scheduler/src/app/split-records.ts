/** Cuts a list of independent records so that each part fits into one transaction. */
import type { LogRecord } from "@berth/schema";

/** What a transaction has besides its records, generously. */
const ENVELOPE_BYTES = 1_024;

/** More than such a record can have, as names, ids and details are bounded; undefined where that depends on what is in it. */
const boundOf = (record: LogRecord): number | undefined => {
  switch (record.kind) {
    case "allocation_placed": {
      const { devices, hostId, job, ports, project, score } = record.placement;
      if (devices !== undefined || ports !== undefined) return undefined;
      let bytes = 330 + project.length + job.length + hostId.length;
      for (const { name } of score.parts) bytes += 80 + name.length;
      return bytes;
    }
    case "allocation_reported":
      return (record.report.exit?.detail ?? null) === null ? 512 : undefined;
    case "allocation_stop":
      return 256;
    default:
      return undefined;
  }
};

/** So many bytes hold these for certain. They are not written out for that: the log does it once more. */
export const surelyFit = (records: readonly LogRecord[], bytes: number): boolean => {
  let sum = 0;
  for (const record of records) {
    const bound = boundOf(record);
    if (bound === undefined) return false;
    sum += bound;
    if (sum > bytes) return false;
  }
  return true;
};

export const splitRecords = (records: readonly LogRecord[], maxBytes: number): readonly (readonly LogRecord[])[] => {
  if (surelyFit(records, maxBytes - ENVELOPE_BYTES)) return records.length === 0 ? [] : [records];
  const parts: LogRecord[][] = [];
  let part: LogRecord[] = [];
  let bytes = ENVELOPE_BYTES;
  for (const record of records) {
    const size = Buffer.byteLength(JSON.stringify(record)) + 1;
    if (part.length > 0 && bytes + size > maxBytes) {
      parts.push(part);
      part = [];
      bytes = ENVELOPE_BYTES;
    }
    part.push(record);
    bytes += size;
  }
  if (part.length > 0) parts.push(part);
  return parts;
};
