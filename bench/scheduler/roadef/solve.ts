/** Anneals an instance for so many seconds. The schedule follows the clock, since how fast a machine tries moves differs. */
import { anneal, coolingAt } from "../../../packages/scheduler/src/core/rebalance/anneal.ts";
import type { Reassignment } from "../../../packages/scheduler/src/core/rebalance/reassignment.ts";

export interface Solved {
  readonly hostOf: Int32Array;
  /** As the search counted it; the checker has the last word. */
  readonly cost: number;
  readonly tries: number;
}

const SLICE = 50_000;

export const solve = (problem: Reassignment, seconds: number, seed: number): Solved => {
  const started = performance.now();
  const search = anneal(problem, seed);
  const warm = search.warm();
  let best = Int32Array.from(search.arrangement.hostOf);
  let bestCost = search.cost();
  let tries = 0;
  for (;;) {
    const done = (performance.now() - started) / (seconds * 1000);
    if (done >= 1) break;
    search.run(SLICE, coolingAt(warm, done));
    tries += SLICE;
    if (search.cost() >= bestCost) continue;
    bestCost = search.cost();
    best = Int32Array.from(search.arrangement.hostOf);
  }
  return { hostOf: best, cost: bestCost, tries };
};
