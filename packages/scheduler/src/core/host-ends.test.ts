import * as fc from "fast-check";
import { expect, it } from "vitest";
import { createHostEnds, NO_END } from "./host-ends.ts";

it("says how much of a host ends together with a task", () => {
  const ends = createHostEnds();
  expect(ends.alignment(3, 0, 100)).toBe(0);
  ends.count(3, 100, 1);
  expect(ends.alignment(3, 0, 100)).toBe(1);
  expect(ends.alignment(3, 0, 50)).toBe(0.5);
  expect(ends.alignment(3, 0, 200)).toBe(0.5);
  // One that is overdue, and one of which nobody knows.
  ends.count(3, -50, 1);
  expect(ends.alignment(3, 0, 100)).toBeCloseTo((1 + 1 / 100) / 2, 12);
  ends.count(3, NO_END, 1);
  expect(ends.alignment(3, 0, 100)).toBeCloseTo((1 + 1 / 100) / 3, 12);
});

it("is the same whatever came before, and in whatever order", () => {
  const atMs = fc.oneof(fc.nat(50), fc.constant(NO_END));
  fc.assert(
    fc.property(fc.array(atMs, { maxLength: 12 }), fc.array(atMs, { maxLength: 12 }), fc.nat(80), (stay, go, mine) => {
      const [left, right] = [createHostEnds(), createHostEnds()];
      for (const end of [...go, ...stay]) left.count(0, end, 1);
      for (const end of go.toReversed()) left.count(0, end, -1);
      for (const end of stay.toReversed()) right.count(0, end, 1);
      expect(left.alignment(0, 10, mine)).toBe(right.alignment(0, 10, mine));
    }),
  );
});
