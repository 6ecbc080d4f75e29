import * as fc from "fast-check";
import { expect, it } from "vitest";
import { Bitset } from "./bitset.ts";

it("holds what a set holds, in ascending order", () => {
  const operations = fc.array(fc.tuple(fc.constantFrom("add", "delete"), fc.nat(130)), { maxLength: 80 });
  fc.assert(
    fc.property(operations, fc.nat(140), (list, from) => {
      const bits = new Bitset(100);
      const model = new Set<number>();
      for (const [operation, at] of list) {
        bits[operation](at);
        // What lies outside the capacity is never a member.
        if (at < 100) model[operation](at);
      }
      const walked: number[] = [];
      for (let at = bits.next(from); at >= 0; at = bits.next(at + 1)) walked.push(at);
      expect(walked).toEqual([...model].filter((at) => at >= from).sort((a, b) => a - b));
      expect(bits.size).toBe(model.size);
    }),
  );
});
