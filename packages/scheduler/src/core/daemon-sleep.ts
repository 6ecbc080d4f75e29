/**
 * Tasks of daemons that found no room on their hosts are not asked again before something has changed there: so a plan
 * costs what has changed, however many hosts are full. The same short cut as parked queues, host by host.
 */
import { priorityOf, type HostId } from "@berth/schema";
import type { Daemon } from "./daemons.ts";
import type { Wanting } from "./place-task.ts";
import { hasLesser } from "./preempt.ts";
import type { Serving } from "./serve.ts";
import type { MutableState } from "./state.ts";
import type { Tentative } from "./tentative.ts";

/** Those tasks of daemons whose hosts have changed since they found no room there. */
export const wakeDaemons = (state: MutableState): void => {
  for (const { daemon, spec, wanting } of state.daemons) {
    if (daemon === null) continue;
    const now = state.index.mark();
    if (wanting.size > daemon.awake.size) {
      const isNewBudget = hasLesser(state, priorityOf(spec)) && state.budgetChanges !== daemon.asleepBudget;
      const grown = isNewBudget ? undefined : state.index.grownSince(daemon.asleepAt);
      if (grown === undefined) for (let at = wanting.next(0); at >= 0; at = wanting.next(at + 1)) daemon.awake.add(at);
      for (const slot of grown ?? []) {
        const index = daemon.places.get(state.index.idOf(slot));
        if (index !== undefined && wanting.has(index)) daemon.awake.add(index);
      }
    }
    daemon.asleepAt = now;
  }
};

/**
 * Only what has no room without the bookings of this plan sleeps: that may never be applied. What is promised on another host
 * is nothing to it; for whom others are stopped there may have used up a budget.
 */
export const sleep = (
  state: MutableState,
  tentative: Tentative,
  taken: Serving["taken"],
  { hostId, index, requestClass, spec }: Wanting,
  daemon: Daemon,
): void => {
  const slot = state.hosts.get(hostId ?? ("" as HostId))?.slot;
  const mayTake = hasLesser(state, priorityOf(spec));
  const isSpared = mayTake && taken.evictions.length + taken.gangs.size > 0;
  if (slot === undefined || isSpared || tentative.isBookedAt(slot) || state.index.rows().open[slot] === 0) return;
  // Who keeps apart from its group by a label may leave another host.
  const isShunned = (requestClass.rules?.shunned.length ?? 0) > 0;
  if (isShunned && state.index.refusal(slot, requestClass) !== undefined) return;
  daemon.awake.delete(index);
  daemon.asleepBudget = mayTake ? state.budgetChanges : null;
};
