/** Records are written by C and by TypeScript and may be torn by a crash: any text is read or refused, never thrown at. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { parseExit, parseStatus } from "./records.ts";
import type { ExitRecord } from "./types.ts";

const count = fc.nat();
const record: fc.Arbitrary<ExitRecord> = fc.record({
  code: fc.integer({ min: 0, max: 255 }),
  signal: fc.option(fc.integer({ min: 1, max: 64 })),
  oom: fc.boolean(),
  cause: fc.constantFrom(
    "exited",
    "signalled",
    "oom",
    "start_failed",
    "supervisor_lost",
    "host_rebooted",
    "lease_ended",
  ),
  error: fc.constantFrom(null, { stage: "exec", errno: 2, code: "ENOENT", detail: "x" }),
  createdAtMs: fc.option(count),
  startedAtMs: fc.option(count),
  finishedAtMs: count,
  droppedBytes: count,
  cpuMicros: fc.option(count),
  peakMemoryBytes: fc.option(count),
});

test("what was written is read back", () => {
  fc.assert(
    fc.property(record, (exit) => {
      expect(parseExit(JSON.stringify({ version: 1, ...exit }))).toEqual(exit);
    }),
  );
});

test("a record cut anywhere is refused", () => {
  fc.assert(
    fc.property(record, fc.double({ min: 0, max: 0.999, noNaN: true }), (exit, part) => {
      const text = JSON.stringify({ version: 1, ...exit });
      expect(parseExit(text.slice(0, Math.floor(text.length * part)))).toBeUndefined();
    }),
  );
});

test("any JSON and any text gives a record or nothing", () => {
  fc.assert(
    fc.property(fc.oneof(fc.json(), fc.string()), (text) => {
      expect(parseExit(text)).toBeUndefined();
      expect(parseStatus(text)).toBeUndefined();
    }),
  );
});
