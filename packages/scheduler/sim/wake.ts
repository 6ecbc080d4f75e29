/**
 * What planning notes of those for whom there is nothing now is a short cut and no fact: with everybody awake the plan is the
 * same. Whoever sleeps through what could help him is found here.
 */
import type { LogRecord } from "@berth/schema";
import type { ClusterState } from "../src/core/index.ts";
import { inside } from "../src/core/state.ts";

const wakeAll = (state: ClusterState): void => {
  const { daemons, queues } = inside(state);
  queues.wake();
  for (const queue of queues.all().values())
    Object.assign(queue, { parkedAt: null, parkedBudget: null, sizesAt: null });
  for (const { daemon, wanting } of daemons) {
    for (let at = wanting.next(0); at >= 0; at = wanting.next(at + 1)) daemon?.awake.add(at);
  }
};

/** The plan, and what would be another in one of everybody. */
export const planTwice = <P extends { readonly records: readonly LogRecord[] }>(
  state: ClusterState,
  plan: () => P,
): { readonly planned: P; readonly wrong: readonly string[] } => {
  const planned = plan();
  wakeAll(state);
  const [was, is] = [JSON.stringify(planned.records), JSON.stringify(plan().records)];
  return { planned, wrong: was === is ? [] : [`a plan of those who are awake: ${was}`, `and of everybody: ${is}`] };
};
