import { expect, test } from "vitest";
import { createPace } from "./pace.ts";

const passed = (take: (nowMs: number) => boolean, count: number, atMs: number): number =>
  Array.from({ length: count }, () => take(atMs)).filter(Boolean).length;

test("a burst passes, then what the rate allows, and never more than a burst is saved up", () => {
  const take = createPace({ burst: 10, perSecond: 4 }, 0);
  expect(passed(take, 100, 0)).toBe(10);
  expect(passed(take, 100, 500)).toBe(2);
  expect(passed(take, 100, 1_500)).toBe(4);
  expect(passed(take, 100, 3_600_000)).toBe(10);
});

test("a clock that stands still or goes back gives nothing away", () => {
  const take = createPace({ burst: 1, perSecond: 1_000 }, 10);
  expect([take(10), take(5), take(5)]).toEqual([true, false, false]);
});
