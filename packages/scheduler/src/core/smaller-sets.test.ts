import * as fc from "fast-check";
import { expect, it } from "vitest";
import { smallerSets } from "./smaller-sets.ts";

it("finds all sets of the least size that are enough, and leaves nothing taken", () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 9 }), { maxLength: 8 }),
      fc.integer({ min: 1, max: 30 }),
      fc.integer({ min: 1, max: 5 }),
      (amounts, enough, size) => {
        let sum = 0;
        const found: number[][] = [];
        const take = (amount: number): boolean => {
          sum += amount;
          return true;
        };
        const giveBack = (amount: number): void => {
          sum -= amount;
        };
        smallerSets(amounts, size, { take, giveBack, isEnough: () => sum >= enough }, (set) => found.push([...set]));
        expect(sum).toBe(0);
        const all = amounts
          .reduce<number[][]>((sets, one) => [...sets, ...sets.map((set) => [...set, one])], [[]])
          .filter((set) => set.length > 0 && set.length < size)
          .filter((set) => set.reduce((total, one) => total + one, 0) >= enough);
        const least = Math.min(...all.map((set) => set.length));
        const expected = all.filter((set) => set.length === least);
        expect(found.map(String).sort()).toEqual(expected.map(String).sort());
      },
    ),
  );
});
