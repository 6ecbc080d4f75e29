import { expect, test } from "vitest";
import { MAX_REPORTS, type AllocationId, type Exit } from "@berth/schema";
import { acknowledge, isUnacknowledged, nextReports } from "./reports.ts";
import { finish, orphanRecord, reportOf, type AllocationRecord } from "./record.ts";

const exit: Exit = {
  code: 0,
  signal: null,
  oom: false,
  cause: "exited",
  detail: null,
  startedAtMs: 1,
  finishedAtMs: 2,
};
const record = (at: number, more: Partial<AllocationRecord> = {}): AllocationRecord => ({
  ...orphanRecord(`alloc_${String(at).padStart(26, "0")}` as AllocationId),
  task: "p/j[0]",
  ...more,
});

test("tells what is new and nothing else", () => {
  const told = (more: Partial<AllocationRecord>): boolean => isUnacknowledged(record(1, more));
  expect(told({ state: "placed" })).toBe(false);
  expect(told({ state: "preparing" })).toBe(false);
  expect(told({ state: "starting" })).toBe(true);
  expect(told({ state: "running" })).toBe(true);
  expect(told({ state: "running", acked: "running" })).toBe(false);
  expect(told({ state: "running", acked: "starting" })).toBe(true);
  expect(told({ state: "exited", acked: "running" })).toBe(true);
  expect(told({ state: "exited", acked: "exited" })).toBe(false);
  expect(told({ state: "running", task: "unknown" })).toBe(false);
  expect(told({ state: "exited", task: "unknown" })).toBe(true);
});

test("a batch holds ends first and never more than the limit", () => {
  const running = Array.from({ length: 600 }, (_, at) => record(at));
  const ended = Array.from({ length: 3 }, (_, at) => record(1000 + at, { state: "exited", exit }));
  const batch = nextReports([...running, ...ended]);
  expect(batch).toHaveLength(MAX_REPORTS);
  expect(batch.slice(0, 3).map((report) => report.state)).toEqual(["exited", "exited", "exited"]);
});

test("a batch with long details stays below the size of a message", () => {
  const detail = "x".repeat(1024);
  const ended = Array.from({ length: 600 }, (_, at) => record(at, { state: "failed", exit: { ...exit, detail } }));
  const batch = nextReports(ended);
  expect(batch.length).toBeGreaterThan(100);
  expect(JSON.stringify(batch).length).toBeLessThan(900_000);
});

test("what is acknowledged late does not hide what happened since", () => {
  const before = record(1, { state: "running" });
  const since = finish(before, "exited", exit, 0);
  const after = acknowledge(since, reportOf(before));
  expect(after.acked).toBe("running");
  expect(isUnacknowledged(after)).toBe(true);
  // Answers may overtake each other.
  expect(acknowledge(acknowledge(since, reportOf(since)), reportOf(before)).acked).toBe("exited");
});
