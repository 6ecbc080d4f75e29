/**
 * Tasks that are only of use together. A gang needs so many of its tasks at once as its job says, but never more than are
 * still to be done: what is over for good is not missed. They are placed in one transaction or not at all, and when the
 * gang falls below what it needs, because a host refused or was lost or another job took the room, the rest is stopped, so
 * that it is placed as a whole again. So no gang holds room that it cannot use, and two gangs cannot wait for each other.
 */
import type { AllocationId } from "@berth/schema";
import { refreshWanting, stopSoon } from "./fold-tasks.ts";
import { isGivenUp } from "./patience.ts";
import { unreserve } from "./reservations.ts";
import type { MutableJob, MutableState } from "./state.ts";

/** How many tasks must hold a place together now; 0 for a job that is no gang. */
export const gangNeed = ({ spec, counts }: MutableJob): number =>
  Math.max(0, (spec.gangMin ?? 0) - counts.succeeded - counts.failed - counts.stopped);

/** Its allocations that shall run and can: not those of an earlier version, nor those on a host that is waited for no longer. */
export const gangHolds = (state: MutableState, job: MutableJob): AllocationId[] => {
  const holds: AllocationId[] = [];
  for (const { active } of job.tasks) {
    const allocation = active === null ? undefined : state.allocations.get(active);
    if (allocation === undefined || allocation.desired === "stop" || allocation.jobVersion !== job.version) continue;
    if (!isGivenUp(state, allocation.id)) holds.push(allocation.id);
  }
  return holds;
};

/** How many more must hold a place; none, where none has to. Without a gang no task is looked at. */
export const gangLacks = (state: MutableState, job: MutableJob): number => {
  const need = gangNeed(job);
  return need === 0 ? 0 : need - gangHolds(state, job).length;
};

/** Gives up what is left of a gang when it is too little to go on: its allocations, and room that is kept for it. */
export const keepWhole = (state: MutableState, job: MutableJob): void => {
  if (job.spec.gangMin === undefined || job.activeTasks + job.reserved.size === 0 || job.desired === "stop") return;
  const { starting, running } = job.counts;
  // Never more than there are: what may be too few is counted one by one.
  if (starting + running - job.stranded.size - job.reserved.size >= gangNeed(job)) return;
  const holds = gangHolds(state, job);
  if (holds.length + job.reserved.size >= gangNeed(job)) return;
  for (const id of holds) stopSoon(state, id);
  for (const [index, reservation] of [...job.reserved]) {
    unreserve(state, reservation);
    const task = job.tasks[index];
    if (task !== undefined) refreshWanting(state, job, task);
  }
};
