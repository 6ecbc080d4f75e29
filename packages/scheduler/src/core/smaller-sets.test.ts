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

it("does no more than so much where budgets refuse most of them, and is not kept from those that are behind", () => {
  const taken: number[] = [];
  let takes = 0;
  /** Of negative ones none may be taken, and of the others one. */
  const take = (amount: number): boolean => {
    takes += 1;
    if (amount < 0 || taken.length > 0) return false;
    taken.push(amount);
    return true;
  };
  const giveBack = (): void => void taken.pop();
  const barred = Array.from({ length: 500 }, () => -1);
  const small = Array.from({ length: 1_000 }, () => 1);
  const find = (amounts: readonly number[]): number[][] => {
    const found: number[][] = [];
    const isEnough = (): boolean => (taken[0] ?? 0) >= 2;
    smallerSets(amounts, 5, { take, giveBack, isEnough }, (set) => found.push([...set]));
    return found;
  };
  expect(find([...barred, 2, ...small])).toEqual([[2]]);
  takes = 0;
  expect(find([...barred, ...small])).toEqual([]);
  // Each by itself, and 128 sets of each size up to four.
  expect(takes).toBeLessThanOrEqual(1_500 + 128 * (1 + 2 + 3 + 4));
});
