/** The audit trail as the API has it: pages of it, and notes of requests that leave no other record. */
import {
  decoder,
  err,
  ok,
  problem,
  RecordSchema,
  type AuditList,
  type Origin,
  type Problem,
  type RequestRecord,
  type Result,
} from "@berth/schema";
import { auditPage, decideNote, type AuditFilter } from "../core/index.ts";
import type { Engine } from "./engine.ts";
import { writeRecords } from "./write.ts";

export interface Audit {
  readonly audit: (filter: AuditFilter) => Result<AuditList, Problem>;
  /** Writes down that somebody asked for something; `id` is made by whoever notes it, and makes it be written once. */
  readonly note: (id: string, record: RequestRecord, origin: Origin) => Promise<Result<number, Problem>>;
}

const decodeRecord = decoder(RecordSchema);

export const createAudit = (engine: Engine): Audit => ({
  audit: (filter) => auditPage(engine.state, filter),
  note: async (id, record, origin) => {
    // Comes from other schedulers, too.
    const decoded = decodeRecord(record);
    const isNote = decoded.ok && (decoded.value.kind === "request_made" || decoded.value.kind === "request_refused");
    if (!isNote || typeof id !== "string") return err(problem("message.invalid", "the note has another form"));
    const cause = `request ${id.slice(0, 64)}`;
    return writeRecords(engine, cause, origin, null, (now) => ok(decideNote(now, cause, record)));
  },
});
