import fc from "fast-check";
import { expect, test } from "vitest";
import { ALLOCATION_STATES, isForward, isTerminal, type AllocationId } from "@berth/schema";
import { advance, orphanRecord, type AllocationRecord } from "./record.ts";

test("states only go forward, whatever is tried; the first end stays", () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...ALLOCATION_STATES)), (states) => {
      let now: AllocationRecord = { ...orphanRecord("alloc_1" as AllocationId), state: "placed" };
      for (const state of states) {
        const next = advance(now, state);
        expect(next === now || isForward(now.state, next.state)).toBe(true);
        if (isTerminal(now.state)) expect(next).toBe(now);
        now = next;
      }
    }),
  );
});
