/** Cuts a list of independent records so that each part fits into one transaction. */
import type { LogRecord } from "@berth/schema";

/** What a transaction has besides its records, generously. */
const ENVELOPE_BYTES = 1_024;

export const splitRecords = (records: readonly LogRecord[], maxBytes: number): readonly (readonly LogRecord[])[] => {
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
