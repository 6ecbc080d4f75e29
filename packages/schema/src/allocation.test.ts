import fc from "fast-check";
import { expect, test } from "vitest";
import { ALLOCATION_STATES, isForward, isTerminal, type AllocationState } from "./allocation.ts";

const state = fc.constantFrom(...ALLOCATION_STATES);

test("the states in their order", () => {
  expect(ALLOCATION_STATES.filter((one) => !isTerminal(one))).toEqual([
    "placed",
    "preparing",
    "starting",
    "running",
    "stopping",
  ]);
});

test("nothing comes after the end, not even another end", () => {
  for (const from of ALLOCATION_STATES.filter(isTerminal)) {
    expect(ALLOCATION_STATES.filter((to) => isForward(from, to))).toEqual([]);
  }
});

test("any walk that only takes forward steps ends, and never meets a state twice", () => {
  fc.assert(
    fc.property(fc.array(state, { maxLength: 50 }), (wishes) => {
      let at: AllocationState = "placed";
      const met: AllocationState[] = [at];
      for (const wish of wishes) if (isForward(at, wish)) met.push((at = wish));
      expect(new Set(met).size).toBe(met.length);
      expect(met.length).toBeLessThanOrEqual(6);
    }),
  );
});

test("forward is a strict order", () => {
  fc.assert(
    fc.property(state, state, state, (a, b, c) => {
      expect(isForward(a, a)).toBe(false);
      expect(isForward(a, b) && isForward(b, a)).toBe(false);
      if (isForward(a, b) && isForward(b, c)) expect(isForward(a, c)).toBe(true);
    }),
  );
});
