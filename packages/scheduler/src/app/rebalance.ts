/**
 * Plans of rebalancing, searched beside everything else that the process does: a slice of about a millisecond, then the
 * event loop has its turn. One search at a time; a few may wait.
 */
import { setImmediate as turn } from "node:timers/promises";
import { err, ok, problem, type Problem, type RebalancePlan, type RebalanceRequest, type Result } from "@berth/schema";
import { searchRebalance, type ClusterState } from "../core/index.ts";

export type Rebalancer = (request: RebalanceRequest) => Promise<Result<RebalancePlan, Problem>>;

const DEFAULT_MOVES = 20;
const DEFAULT_TARGET_PERCENT = 80;
const MAX_WAITING = 4;
/** About a millisecond. */
const SLICE = 2_000;
/** What finds as good as anything on clusters of some hundred hosts, in a second or two. */
const TRIES_PER_ALLOCATION = 2_000;
const [FEWEST_TRIES, MOST_TRIES] = [100_000, 5_000_000];

export const createRebalancer = (state: ClusterState): Rebalancer => {
  let waiting = 0;
  let last: Promise<unknown> = Promise.resolve();

  const search = async (request: RebalanceRequest): Promise<RebalancePlan> => {
    const { goal = "empty", maxMoves = DEFAULT_MOVES, targetPercent = DEFAULT_TARGET_PERCENT } = request;
    const found = searchRebalance(state, { goal, maxMoves, targetPercent });
    const tries = Math.min(MOST_TRIES, Math.max(FEWEST_TRIES, state.allocations.size * TRIES_PER_ALLOCATION));
    for (let tried = 0; tried < tries; tried += SLICE) {
      found.run(SLICE, tried / tries);
      await turn();
    }
    return found.plan();
  };

  return async (request) => {
    if (waiting >= MAX_WAITING) {
      return err(
        problem("request.too_many", "other plans are being made; ask again in a moment", { retryAfterMs: 2_000 }),
      );
    }
    waiting += 1;
    const mine = last.then(() => search(request)).finally(() => (waiting -= 1));
    // Whoever comes next waits for the end, whatever it was.
    last = mine.catch(() => undefined);
    return ok(await mine);
  };
};
