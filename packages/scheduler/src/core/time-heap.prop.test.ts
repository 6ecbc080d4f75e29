import type { JobKey } from "@berth/schema";
import * as fc from "fast-check";
import { expect, it } from "vitest";
import { createTimeHeap, type Waiting } from "./time-heap.ts";

const entry = (atMs: number, index: number): Waiting => ({ atMs, key: "p/j" as JobKey, index });

it("finds what is due and when the next is, without entries that no longer count, before and after pruning", () => {
  const times = fc.array(fc.tuple(fc.nat(30), fc.boolean()), { maxLength: 300 });
  fc.assert(
    fc.property(times, fc.nat(32), (list, nowMs) => {
      const heap = createTimeHeap();
      list.forEach(([atMs], index) => heap.push(entry(atMs, index)));
      const isCurrent = ({ index }: Waiting): boolean => list[index]?.[1] === true;
      const expectedDue = list.flatMap(([atMs, current], index) => (current && atMs <= nowMs ? [index] : []));
      const later = list.filter(([atMs, current]) => current && atMs > nowMs).map(([atMs]) => atMs);
      for (const prune of [false, true]) {
        if (prune) heap.prune(isCurrent);
        const due: number[] = [];
        const next = heap.due(nowMs, isCurrent, ({ index }) => due.push(index));
        expect(due.sort((a, b) => a - b)).toEqual(expectedDue);
        expect(next).toBe(later.length === 0 ? null : Math.min(...later));
      }
      const current = list.filter(([, counts]) => counts).length;
      expect(heap.length).toBeLessThanOrEqual(Math.max(64, 2 * current + 64));
    }),
  );
});
