import fc from "fast-check";
import { expect, test } from "vitest";
import { idBaseOf, nextSlot, slotOf } from "./slots.ts";

test("slots are handed out in turn, each to one at a time, and none is forgotten", () => {
  const range = { base: 1_000_000, slots: 5 };
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.constant("take" as const), fc.nat(4))), (steps) => {
      const taken = new Set<number>();
      let last = -1;
      for (const step of steps) {
        if (step !== "take") {
          taken.delete(step);
          continue;
        }
        const slot = nextSlot(range, taken, last);
        if (slot === undefined) {
          expect(taken.size).toBe(5);
          continue;
        }
        expect(taken.has(slot)).toBe(false);
        expect(slotOf(range, idBaseOf(range, slot))).toBe(slot);
        taken.add(slot);
        last = slot;
      }
    }),
  );
  expect(nextSlot(range, new Set(), 2)).toBe(3);
  expect(slotOf(range, 999_999)).toBeUndefined();
  expect(slotOf(range, idBaseOf(range, 5))).toBeUndefined();
});
