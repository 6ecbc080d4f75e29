import fc from "fast-check";
import { expect, it } from "vitest";
import { SlotCounts } from "./slot-counts.ts";

it("counts as a map does, however slots come and go", () => {
  const steps = fc.array(fc.tuple(fc.nat(60), fc.constantFrom(1, -1, 2, -2)), { maxLength: 300 });
  fc.assert(
    fc.property(steps, fc.constantFrom(1, 16, 4_099), (some, stride) => {
      const counts = new SlotCounts();
      const expected = new Map<number, number>();
      for (const [at, by] of some) {
        const slot = at * stride;
        counts.add(slot, by);
        const count = (expected.get(slot) ?? 0) + by;
        if (count === 0) expected.delete(slot);
        else expected.set(slot, count);
        expect(counts.get(slot)).toBe(count);
      }
      const seen = new Map<number, number>();
      counts.each((slot, count) => void seen.set(slot, count));
      expect(seen).toEqual(expected);
      for (let at = 0; at <= 61; at += 1) expect(counts.get(at * stride)).toBe(expected.get(at * stride) ?? 0);
    }),
  );
});
