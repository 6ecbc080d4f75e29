/** Method: nobody gains anything anywhere, so where they are when it is half cold is what the search itself prefers. */
import { expect, test } from "vitest";
import { anneal } from "./anneal.ts";
import type { Reassignment } from "./reassignment.ts";

const [HOSTS, ITEMS] = [20, 400];

const indifferent = (held: 0 | 1): Reassignment => ({
  ...{ dimensions: 1, hosts: HOSTS, items: ITEMS, groups: 1, maxMoves: ITEMS, openWeight: 0, groupMoveWeight: 0 },
  ...{ capacity: new Float64Array(HOSTS).fill(1_000), comfort: new Float64Array(HOSTS).fill(1_000) },
  ...{ loadWeight: Float64Array.of(1), held: Uint8Array.of(held), request: new Float64Array(ITEMS).fill(1) },
  first: Int32Array.from({ length: ITEMS }, (_, item) => item % HOSTS),
  ...{ fixed: new Uint8Array(ITEMS), groupOf: new Int32Array(ITEMS), allowed: null },
  ...{ mostPerHost: Int32Array.of(ITEMS), domainOf: new Int32Array(HOSTS), leastDomains: Int32Array.of(1) },
  ...{ zoneOf: new Int32Array(HOSTS), needs: [[]], balances: [] },
  ...{ moveCost: new Float64Array(ITEMS), pathCost: null },
});

const awayAtHalf = (problem: Reassignment): number => {
  const { arrangement, run } = anneal(problem, 1);
  for (let at = 0; at < 50; at += 1) run(2_000, at / 100);
  return arrangement.moves() / ITEMS;
};

test("whoever gains nothing by it is rarely away where leaving holds room, and anywhere where it does not", () => {
  expect(awayAtHalf(indifferent(1))).toBeLessThan(0.25);
  expect(awayAtHalf(indifferent(1))).toBeGreaterThan(0);
  expect(awayAtHalf(indifferent(0))).toBeGreaterThan(0.5);
});
