import type { JobKey } from "@berth/schema";
import * as fc from "fast-check";
import { expect, it } from "vitest";
import { createTimeHeap, type Waiting } from "./time-heap.ts";

const entry = (atMs: number, index: number): Waiting => ({ atMs, key: "p/j" as JobKey, index });

it("finds what is due and when the next is, without entries that no longer count, and takes that out", () => {
  const times = fc.array(fc.tuple(fc.nat(30), fc.boolean()), { maxLength: 300 });
  fc.assert(
    fc.property(times, fc.nat(32), (list, nowMs) => {
      const heap = createTimeHeap();
      list.forEach(([atMs], index) => heap.push(entry(atMs, index)));
      const find = ({ index }: Waiting): number | undefined => (list[index]?.[1] === true ? index : undefined);
      const expectedDue = list.flatMap(([atMs, current], index) => (current && atMs <= nowMs ? [index] : []));
      const later = list.filter(([atMs, current]) => current && atMs > nowMs).map(([atMs]) => atMs);
      const next = later.length === 0 ? null : Math.min(...later);
      const due: number[] = [];
      expect(heap.due(nowMs, find, (found) => due.push(found))).toBe(next);
      expect(due.sort((a, b) => a - b)).toEqual(expectedDue);
      const taken: number[] = [];
      heap.take(nowMs, find, (found) => taken.push(found));
      expect(taken.sort((a, b) => a - b)).toEqual(expectedDue);
      expect(heap.due(nowMs, find, () => expect.unreachable("it is still there"))).toBe(next);
      const current = list.filter(([, counts]) => counts).length;
      expect(heap.length).toBeLessThanOrEqual(Math.max(64, 2 * current + 64));
    }),
  );
});
