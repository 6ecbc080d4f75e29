/** Plans of rebalancing, searched a slice of about a millisecond at a time: then the event loop has its turn. */
import { setImmediate as turn } from "node:timers/promises";
import type { Problem, RebalancePlan, RebalanceRequest, Result } from "@berth/schema";
import { searchRebalance, type ClusterState } from "../core/index.ts";
import type { InTurn } from "./one-at-a-time.ts";

export type Rebalancer = (request: RebalanceRequest) => Promise<Result<RebalancePlan, Problem>>;

const DEFAULT_MOVES = 20;
const DEFAULT_TARGET_PERCENT = 80;
/** About a millisecond. */
const SLICE = 2_000;
/** What finds as good as anything on clusters of some hundred hosts, in a second or two. */
const TRIES_PER_ALLOCATION = 2_000;
const [FEWEST_TRIES, MOST_TRIES] = [100_000, 5_000_000];

export const createRebalancer = (state: ClusterState, inTurn: InTurn): Rebalancer => {
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

  return (request) => inTurn(() => search(request));
};
