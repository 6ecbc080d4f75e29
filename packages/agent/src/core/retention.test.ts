import { expect, test } from "vitest";
import type { AllocationId } from "@berth/schema";
import { orphanRecord, type AllocationRecord } from "./record.ts";
import { toForget } from "./retention.ts";

const MAX = Number.MAX_SAFE_INTEGER;
const limits = { count: MAX, ageMs: MAX, bytes: MAX };
const id = (at: number): AllocationId => `alloc_${String(at).padStart(26, "0")}` as AllocationId;
const ended = (at: number, more: Partial<AllocationRecord> = {}): AllocationRecord => ({
  ...orphanRecord(id(at)),
  state: "exited",
  acked: "exited",
  keptBytes: 10,
  exit: { code: 0, signal: null, oom: false, cause: "exited", detail: null, startedAtMs: 1, finishedAtMs: at },
  ...more,
});
const records = [ended(1), ended(2), ended(3), ended(4)];
const nobody = (): boolean => false;

test("the oldest go first: by number, by age, by size", () => {
  expect(toForget(records, nobody, 10, limits)).toEqual([]);
  expect(toForget(records, nobody, 10, { ...limits, count: 3 })).toEqual([id(1)]);
  expect(toForget(records, nobody, 10, { ...limits, ageMs: 7 })).toEqual([id(2), id(1)]);
  expect(toForget(records, nobody, 10, { ...limits, bytes: 25 })).toEqual([id(2), id(1)]);
  expect(toForget(records, nobody, 10, { ...limits, count: 0 })).toEqual([id(4), id(3), id(2), id(1)]);
});

test("what is needed stays, whatever the limits", () => {
  const nothing = { count: 0, ageMs: 0, bytes: 0 };
  expect(toForget([ended(1, { acked: "running" })], nobody, 10, nothing)).toEqual([]);
  expect(toForget([ended(1, { state: "running", acked: "running" })], nobody, 10, nothing)).toEqual([]);
  expect(toForget(records, (candidate) => candidate === id(2), 10, nothing)).toEqual([id(4), id(3), id(1)]);
});
