import fc from "fast-check";
import { expect, it } from "vitest";
import { IdMap } from "./id-map.ts";

interface Named {
  readonly id: string;
  readonly value: number;
}

const step = fc.record({
  what: fc.constantFrom("add", "add", "add", "delete", "look"),
  // Few enough to meet again, some that differ only where the hash does not look.
  number: fc.nat({ max: 400 }),
  prefix: fc.constantFrom("a", "b"),
  value: fc.nat(),
});

it("holds what a Map holds, in its order", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 1_500 }), (steps) => {
      const [map, model] = [new IdMap<string, Named>(), new Map<string, Named>()];
      for (const { number, prefix, value, what } of steps) {
        const id = `${prefix}_${String(number).padStart(20, "0")}`;
        if (what === "add") {
          map.add({ id, value });
          model.set(id, { id, value });
        } else if (what === "delete") expect(map.delete(id)).toBe(model.delete(id));
        else {
          expect(map.get(id)).toEqual(model.get(id));
          expect(map.has(id)).toBe(model.has(id));
        }
      }
      expect(map.size).toBe(model.size);
      expect([...map]).toEqual([...model]);
      expect([...map.keys()]).toEqual([...model.keys()]);
      for (const id of model.keys()) expect(map.get(id)).toEqual(model.get(id));
    }),
  );
});

it("lets those be deleted that it walks over", () => {
  const map = new IdMap<string, Named>();
  for (let value = 0; value < 100; value += 1) map.add({ id: `id${value}`, value });
  const seen: number[] = [];
  for (const { id, value } of map.values()) {
    seen.push(value);
    map.delete(id);
    map.delete(`id${value + 1}`);
  }
  expect(seen).toEqual(Array.from({ length: 50 }, (_, at) => 2 * at));
  expect(map.size).toBe(0);
});
