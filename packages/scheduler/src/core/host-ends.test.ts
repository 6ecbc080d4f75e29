import * as fc from "fast-check";
import { expect, it } from "vitest";
import { createHostEnds, NO_END } from "./host-ends.ts";

/** One that ends then. */
const until = (atMs: number) => ({ atMs, sinceMs: null });

it("says how much of a host ends together with a task", () => {
  const ends = createHostEnds();
  expect(ends.alignments(0, 100, 8).of(3)).toBe(0);
  ends.count(3, until(100), 1);
  expect(ends.alignments(0, 100, 8).of(3)).toBe(1);
  expect(ends.alignments(0, 50, 8).of(3)).toBe(0.5);
  expect(ends.alignments(0, 200, 8).of(3)).toBe(0.5);
  // One that is overdue, and one of which nobody knows.
  ends.count(3, until(-50), 1);
  expect(ends.alignments(0, 100, 8).of(3)).toBeCloseTo((1 + 1 / 100) / 2, 12);
  ends.count(3, until(NO_END), 1);
  expect(ends.alignments(0, 100, 8).of(3)).toBeCloseTo((1 + 1 / 100) / 3, 12);
});

it("is the same whatever came before, and in whatever order", () => {
  const atMs = fc.oneof(fc.nat(50), fc.constant(NO_END));
  fc.assert(
    fc.property(fc.array(atMs, { maxLength: 12 }), fc.array(atMs, { maxLength: 12 }), fc.nat(80), (stay, go, mine) => {
      const [left, right] = [createHostEnds(), createHostEnds()];
      for (const end of [...go, ...stay]) left.count(0, until(end), 1);
      for (const end of go.toReversed()) left.count(0, until(end), -1);
      for (const end of stay.toReversed()) right.count(0, until(end), 1);
      expect(left.alignments(10, mine, 8).of(0)).toBe(right.alignments(10, mine, 8).of(0));
      // Also when it was asked before, and at another time.
      right.alignments(10 + mine, mine, 8).of(0);
      for (const end of go) right.count(0, until(end), 1);
      right.alignments(10, mine, 8).of(0);
      for (const end of go) right.count(0, until(end), -1);
      expect(right.alignments(10, mine, 8).of(0)).toBe(left.alignments(10, mine, 8).of(0));
    }),
  );
});
