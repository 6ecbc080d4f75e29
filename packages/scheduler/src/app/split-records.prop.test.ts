import fc from "fast-check";
import { expect, test } from "vitest";
import { MAX_REPORTS, MAX_TRANSACTION_BYTES, type AllocationId, type HostId, type LogRecord } from "@berth/schema";
import { splitRecords, surelyFit } from "./split-records.ts";

const reported = (detail: string | null): LogRecord => ({
  kind: "allocation_reported",
  hostId: "h" as HostId,
  report: {
    id: "alloc_x" as AllocationId,
    state: "exited",
    reason: "exited",
    startedAtMs: 1,
    exit: { code: 1, signal: null, oom: false, cause: "exited", detail, startedAtMs: 1, finishedAtMs: 2 },
  },
});
const record = fc.option(fc.string({ maxLength: 1_024, unit: "binary" })).map(reported);

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

test("the longest details fit into transactions, and what is short is not cut without need", () => {
  const longest = Array.from({ length: MAX_REPORTS }, () => reported("\u0000".repeat(1_024)));
  const parts = splitRecords(longest, MAX_TRANSACTION_BYTES);
  expect(parts.length).toBeGreaterThan(1);
  for (const part of parts) expect(Buffer.byteLength(JSON.stringify(part))).toBeLessThan(MAX_TRANSACTION_BYTES);
  const short = Array.from({ length: 2 * MAX_REPORTS }, () => reported(null));
  expect(splitRecords(short, MAX_TRANSACTION_BYTES)).toEqual([short]);
});

test("what surely fits does so with the longest names and numbers", () => {
  const id = `alloc_${"z".repeat(26)}` as AllocationId;
  const [label, reason] = ["a".repeat(63), "r".repeat(64)];
  const most = Number.MAX_SAFE_INTEGER;
  // As long as numbers get.
  const number = -1.2345678901234567e-100;
  const part = { name: "roomKept" as const, value: number, weight: number };
  const longest: LogRecord[] = [
    { kind: "allocation_stop", id, reason },
    {
      kind: "allocation_reported",
      hostId: label as HostId,
      report: {
        ...{ id, state: "preparing", reason, startedAtMs: most },
        exit: {
          ...{ code: 255, signal: 64, oom: false, cause: "supervisor_lost", detail: null },
          ...{ startedAtMs: most, finishedAtMs: most },
        },
      },
    },
    {
      kind: "allocation_placed",
      placement: {
        ...{ id, project: label as never, job: label as never, jobVersion: most, index: most, attempt: most },
        hostId: label as HostId,
        score: { total: number, parts: Array.from({ length: 6 }, () => part) },
        replaces: id,
      },
    },
  ];
  for (const one of longest) {
    const bytes = Buffer.byteLength(JSON.stringify(one)) + 1;
    expect(surelyFit([one], 1_100), one.kind).toBe(true);
    expect(surelyFit([one], bytes), one.kind).toBe(false);
  }
});
