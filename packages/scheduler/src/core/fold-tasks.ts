/**
 * The bookkeeping under `fold`: whoever changes a task or its allocation does it here, so that counts, the set of tasks
 * that want work and the queues always say the same as the facts.
 */
import type { AllocationId, Exit, TaskCounts } from "@berth/schema";
import { addInto } from "./feasibility.ts";
import { isGivenUp } from "./patience.ts";
import { afterEnd } from "./restart-policy.ts";
import { createSortedList } from "./sorted-list.ts";
import {
  FINISHED_PER_TASK,
  type Changes,
  type MutableAllocation,
  type MutableJob,
  type MutableState,
  type MutableTask,
} from "./state.ts";
import type { Waiting } from "./time-heap.ts";

/** One transaction being folded. */
export interface Folding {
  readonly state: MutableState;
  readonly changes: Changes;
  readonly sequence: number;
  readonly atMs: number;
}

/** Where a task is counted. */
export const bucketOf = (state: MutableState, job: MutableJob, task: MutableTask): keyof TaskCounts => {
  if (task.status !== "open") return task.status;
  const active = task.active === null ? undefined : state.allocations.get(task.active);
  if (active === undefined) return "pending";
  if (active.jobVersion !== job.version || active.desired === "stop" || active.state === "stopping") return "stopping";
  return active.state === "running" ? "running" : "starting";
};

const mark = (set: Set<number>, index: number, isMember: boolean): void => {
  if (isMember) set.add(index);
  else set.delete(index);
};

/** Brings what is known about an index beyond the count of the current version up to date. */
export const refreshExtra = (state: MutableState, job: MutableJob, index: number): void =>
  mark(job.displaced, index, isGivenUp(state, job.extra.get(index)));

/** Brings `wanting`, `stranded` and `displaced` up to date for one task. */
export const refreshWanting = (state: MutableState, job: MutableJob, task: MutableTask): void => {
  const open = job.desired === "run" && task.status === "open";
  const givenUp = isGivenUp(state, task.active);
  const isOld = task.active !== null && state.allocations.get(task.active)?.jobVersion !== job.version;
  if (open && (givenUp || (task.active === null && task.notBeforeMs === 0))) job.wanting.add(task.index);
  else job.wanting.delete(task.index);
  mark(job.stranded, task.index, open && givenUp && !isOld);
  mark(job.displaced, task.index, givenUp && isOld);
};

/** Applies `change` to a task (and to its allocation) and keeps everything derived from it. */
export const changeTask = (folding: Folding, job: MutableJob, task: MutableTask, change: () => void): void => {
  const before = bucketOf(folding.state, job, task);
  change();
  job.counts[before] -= 1;
  job.counts[bucketOf(folding.state, job, task)] += 1;
  refreshWanting(folding.state, job, task);
  folding.changes.jobs.add(job.key);
};

/** How many more tasks of this job may hold an allocation. */
export const slotsOf = (job: MutableJob): number =>
  job.spec.maxRunning === null
    ? Number.POSITIVE_INFINITY
    : job.spec.maxRunning - (job.activeTasks - job.displaced.size);

/** Puts the job into the queue of its class, or takes it out, as its tasks have it now. */
export const refreshQueue = (state: MutableState, job: MutableJob): void => {
  const { id } = job.requestClass;
  const queue = state.queues.get(id);
  if (job.desired === "run" && job.wanting.size > 0 && (slotsOf(job) > 0 || job.stranded.size > 0)) {
    if (queue !== undefined) queue.jobs.insert(job);
    else {
      const jobs = createSortedList<MutableJob>((entry) => entry.order);
      jobs.insert(job);
      state.queues.set(id, { requestClass: job.requestClass, jobs, parkedAt: null });
    }
  } else leaveQueue(state, job);
};

export const leaveQueue = (state: MutableState, job: MutableJob): void => {
  const queue = state.queues.get(job.requestClass.id);
  if (queue === undefined) return;
  queue.jobs.remove(job);
  if (queue.jobs.length === 0) state.queues.delete(job.requestClass.id);
};

export const forgetAllocations = (folding: Folding, ids: readonly AllocationId[]): void => {
  for (const id of ids) {
    folding.state.allocations.delete(id);
    folding.changes.allocations.delete(id);
    folding.changes.removed.allocations.add(id);
  }
};

export const touchDocument = (folding: Folding, allocation: MutableAllocation): void => {
  const host = folding.state.hosts.get(allocation.hostId);
  if (host === undefined) return;
  host.desiredRev = folding.sequence;
  folding.changes.hosts.add(host.id);
  folding.changes.documents.add(host.id);
};

/** A task whose wait is over wants work from here on. */
export const wake = (folding: Folding): void => {
  const { state } = folding;
  const due: Waiting[] = [];
  state.delayed.due(
    folding.atMs,
    (entry) => isWaiting(state, entry),
    (entry) => due.push(entry),
  );
  for (const entry of due) {
    const job = state.jobs.get(entry.key);
    const task = job?.tasks[entry.index];
    if (job === undefined || task === undefined) continue;
    task.notBeforeMs = 0;
    refreshWanting(state, job, task);
    folding.changes.jobs.add(job.key);
  }
  state.delayed.prune((entry) => isWaiting(state, entry));
};

/** True while this entry of the heap still says what its task does. */
export const isWaiting = (state: MutableState, entry: Waiting): boolean => {
  const job = state.jobs.get(entry.key);
  const task = job?.tasks[entry.index];
  return (
    job !== undefined &&
    task !== undefined &&
    job.version === entry.version &&
    job.desired === "run" &&
    task.status === "open" &&
    task.active === null &&
    task.notBeforeMs === entry.atMs
  );
};

/** Decides what becomes of a task whose attempt in the current version has ended. */
const settle = (folding: Folding, job: MutableJob, task: MutableTask, allocation: MutableAllocation): void => {
  if (allocation.state === "lost") {
    // Nobody will ever say how it ended, and nobody wants another attempt.
    if (job.desired === "stop") task.status = "stopped";
    return;
  }
  task.exit = allocation.exit;
  const verdict = afterEnd({
    spec: job.spec,
    exit: allocation.exit,
    jobStopped: job.desired === "stop",
    allocationStopped: allocation.desired === "stop",
    restarts: task.restarts,
    streak: task.streak,
  });
  if (verdict.kind === "over") {
    task.status = verdict.status;
    return;
  }
  if (verdict.counts) task.restarts += 1;
  task.streak = verdict.streak;
  task.notBeforeMs = folding.atMs + verdict.delayMs;
  folding.state.delayed.push({ atMs: task.notBeforeMs, key: job.key, version: job.version, index: task.index });
};

const postpone = ({ atMs, state }: Folding, job: MutableJob, task: MutableTask, waitMs: number): void => {
  if (task.status !== "open" || job.desired !== "run" || task.notBeforeMs >= atMs + waitMs) return;
  task.notBeforeMs = atMs + waitMs;
  state.delayed.push({ atMs: task.notBeforeMs, key: job.key, version: job.version, index: task.index });
};

/** Gives back what an ended allocation had booked on its host. */
const release = (folding: Folding, allocation: MutableAllocation): void => {
  const { state } = folding;
  const host = state.hosts.get(allocation.hostId);
  if (host === undefined || !host.allocations.delete(allocation.id)) return;
  addInto(host.reserved, allocation.spec.requests, -1);
  state.index.book(host.slot, allocation.requestClass, -1);
};

/**
 * Moves an allocation into a terminal state: frees what it had booked and settles its task, which is over, waits for its
 * next attempt, or may start in its new version, either of them not before `waitMs` have passed.
 */
export const endAllocation = (
  folding: Folding,
  allocation: MutableAllocation,
  end: { readonly state: "exited" | "failed" | "lost"; readonly reason: string; readonly exit: Exit | null },
  waitMs = 0,
): void => {
  const { state } = folding;
  const job = state.jobs.get(allocation.key);
  const task = job?.tasks[allocation.index];
  const finish = (): void => {
    allocation.state = end.state;
    allocation.reason = end.reason;
    allocation.exit = end.exit;
    release(folding, allocation);
    state.toStop.delete(allocation.id);
    touchDocument(folding, allocation);
    folding.changes.allocations.add(allocation.id);
  };
  if (job !== undefined && task !== undefined && task.active === allocation.id) {
    changeTask(folding, job, task, () => {
      finish();
      task.active = null;
      job.activeTasks -= 1;
      task.history = [...task.history, allocation.id];
      if (task.history.length > FINISHED_PER_TASK) forgetAllocations(folding, task.history.splice(0, 1));
      if (allocation.jobVersion === job.version) settle(folding, job, task, allocation);
      // Its new version was stopped before it could start.
      else if (job.desired === "stop") task.status = "stopped";
      if (waitMs > 0) postpone(folding, job, task, waitMs);
    });
    return;
  }
  finish();
  if (job?.extra.get(allocation.index) !== allocation.id) return;
  job.extra.delete(allocation.index);
  job.displaced.delete(allocation.index);
  job.activeTasks -= 1;
  folding.changes.jobs.add(job.key);
  forgetAllocations(folding, [allocation.id]);
};
