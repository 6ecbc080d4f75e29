import * as fc from "fast-check";
import { expect, it } from "vitest";
import { SortedList } from "./sorted-list.ts";

it("is sorted and without duplicates after any insertions and removals", () => {
  const operations = fc.array(fc.tuple(fc.constantFrom("insert", "remove"), fc.nat(20)));
  fc.assert(
    fc.property(operations, (list) => {
      const sorted = new SortedList<{ readonly order: number }>((item) => item.order);
      const model = new Set<number>();
      for (const [operation, order] of list) {
        sorted[operation]({ order });
        if (operation === "insert") model.add(order);
        else model.delete(order);
      }
      const items = Array.from({ length: sorted.length }, (_, at) => sorted.at(at)?.order);
      expect(items).toEqual([...model].sort((a, b) => a - b));
      const orders = [...model].sort((a, b) => a - b);
      for (let order = 0; order <= 20; order += 1) {
        expect(sorted.has({ order })).toBe(model.has(order));
        expect(sorted.positionOf({ order })).toBe(orders.filter((other) => other < order).length);
        expect(sorted.from({ order })?.order).toBe(orders.find((other) => other >= order));
      }
    }),
  );
});
