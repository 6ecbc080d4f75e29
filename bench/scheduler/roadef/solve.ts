/** Anneals an instance for so long. The schedule follows the clock, since how fast a machine tries moves differs. */
import { anneal } from "../../../packages/scheduler/src/core/rebalance/anneal.ts";
import type { Reassignment } from "../../../packages/scheduler/src/core/rebalance/reassignment.ts";

export interface Solved {
  readonly hostOf: Int32Array;
  /** As the search counted it; the checker has the last word. */
  readonly cost: number;
  readonly tries: number;
}

/** What a budget is counted in: seconds of the wall clock, or of this process on a processor, which other work does not take. */
export type Clock = "wall" | "cpu";

const SLICE = 50_000;

const secondsOf = (clock: Clock): number => {
  if (clock === "wall") return performance.now() / 1_000;
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
};

export const solve = (problem: Reassignment, seconds: number, clock: Clock, seed: number): Solved => {
  const started = secondsOf(clock);
  const search = anneal(problem, seed);
  let tries = 0;
  for (;;) {
    const done = (secondsOf(clock) - started) / seconds;
    if (done >= 1) break;
    search.run(SLICE, done);
    tries += SLICE;
  }
  return { ...search.best(), tries };
};
