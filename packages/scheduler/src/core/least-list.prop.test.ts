import * as fc from "fast-check";
import { expect, it } from "vitest";
import { LeastList } from "./least-list.ts";

it("names the first of the least, whatever was changed", () => {
  const value = fc.oneof(fc.nat(5), fc.constant(Number.POSITIVE_INFINITY));
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 300 }), fc.array(fc.tuple(fc.nat(299), value)), (length, changes) => {
      const list = new LeastList(length);
      const model = Array.from({ length }, () => Number.POSITIVE_INFINITY);
      expect(list.first()).toBe(-1);
      for (const [at, to] of changes) {
        list.set(at % length, to);
        model[at % length] = to;
        const least = Math.min(...model);
        expect(list.first()).toBe(least === Number.POSITIVE_INFINITY ? -1 : model.indexOf(least));
        expect(list.at(at % length)).toBe(to);
      }
    }),
  );
});
