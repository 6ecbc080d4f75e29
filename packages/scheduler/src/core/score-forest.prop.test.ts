import * as fc from "fast-check";
import { expect, it } from "vitest";
import { createScoreForest } from "./score-forest.ts";

const score = fc.integer({ min: -1, max: 4 });

it("names the best positions as sorting all of them does, lane by lane", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 600 }),
      fc.array(score, { minLength: 1, maxLength: 20 }),
      fc.array(fc.tuple(fc.nat(1), fc.nat(599), score), { maxLength: 60 }),
      (count, first, changes) => {
        const forest = createScoreForest(count);
        const models = [0, 1].map((lane) =>
          Array.from({ length: count }, (_, at) => first[(at * (lane + 7)) % first.length] as number),
        );
        const expected = (lane: number) =>
          (models[lane] ?? [])
            .map((value, position) => ({ value, position }))
            .filter(({ value }) => value >= 0)
            .sort((a, b) => b.value - a.value || a.position - b.position)
            .map(({ position }) => position);
        models.forEach((model, lane) => {
          expect(forest.open()).toBe(lane);
          forest.fill(lane, (position) => model[position] as number);
        });
        for (const [lane, at, value] of changes) {
          const position = at % count;
          (models[lane] as number[])[position] = value;
          forest.set(lane, position, value);
          expect(forest.top(lane)).toBe(expected(lane)[0] ?? -1);
        }
        const groups = Math.ceil(count / 16);
        for (const lane of [0, 1]) {
          for (const [from, to] of [
            [0, groups],
            [0, 1],
            [groups - 1, groups],
            [Math.floor(groups / 2), groups],
          ] as const) {
            const inside = expected(lane).find((position) => position >= from * 16 && position < to * 16);
            expect(forest.topIn(lane, from * 16, to * 16)).toBe(inside ?? -1);
          }
        }
      },
    ),
  );
});
