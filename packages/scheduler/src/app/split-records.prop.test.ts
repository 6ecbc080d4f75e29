import fc from "fast-check";
import { expect, test } from "vitest";
import { MAX_TRANSACTION_BYTES, type LogRecord } from "@berth/schema";
import { splitRecords } from "./split-records.ts";

const record = fc
  .string({ maxLength: 400 })
  .map((reason): LogRecord => ({ kind: "allocation_stop", id: "alloc_x" as never, reason }));

test("parts hold all records in order, and each part fits", () => {
  fc.assert(
    fc.property(fc.array(record, { maxLength: 60 }), fc.integer({ min: 2_000, max: 20_000 }), (records, maxBytes) => {
      const parts = splitRecords(records, maxBytes);
      expect(parts.flat()).toEqual(records);
      for (const part of parts) {
        expect(part.length).toBeGreaterThan(0);
        const bytes = Buffer.byteLength(
          JSON.stringify({ version: 2, origin: null, epoch: 1, atMs: 1, cause: "x".repeat(256), records: part }),
        );
        if (part.length > 1) expect(bytes).toBeLessThanOrEqual(maxBytes);
      }
    }),
  );
});

test("a full report with long details fits into transactions", () => {
  const detail = "\u0000".repeat(1_024);
  const records = Array.from({ length: 500 }, (): LogRecord => ({
    kind: "allocation_stop",
    id: "alloc_x" as never,
    reason: detail,
  }));
  for (const part of splitRecords(records, MAX_TRANSACTION_BYTES)) {
    expect(Buffer.byteLength(JSON.stringify(part))).toBeLessThan(MAX_TRANSACTION_BYTES);
  }
});
