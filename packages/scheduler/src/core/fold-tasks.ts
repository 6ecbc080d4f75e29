/**
 * The bookkeeping under `fold`: whoever changes a task or its allocation does it here, so that counts, the set of tasks
 * that want work and the queues always say the same as the facts.
 */
import { priorityOf, type AllocationId, type Exit, type JobSpec, type Resources, type TaskCounts } from "@berth/schema";
import { mayStand, retire } from "./daemons.ts";
import { stayOf } from "./ends.ts";
import { isGivenUp, isGivenUpOn } from "./patience.ts";
import { askedOf, type RequestClass } from "./request-class.ts";
import { unreserve } from "./reservations.ts";
import { afterEnd } from "./restart-policy.ts";
import { SortedList } from "./sorted-list.ts";
import {
  FINISHED_PER_TASK,
  type Changes,
  type MutableAllocation,
  type MutableHost,
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
  /** What work asked for that is no more, or hosts had: nobody may ask for that any longer, or have it. */
  readonly freed: Resources[];
}

/** The attempt of a task that has not ended. */
const activeOf = (state: MutableState, { active }: MutableTask): MutableAllocation | undefined =>
  active === null ? undefined : state.allocations.get(active);

/** Where a task with this attempt is counted. */
export const bucketOf = (
  job: MutableJob,
  task: MutableTask,
  active: MutableAllocation | undefined,
): keyof TaskCounts => {
  if (task.status !== "open") return task.status;
  if (active === undefined) return "pending";
  if (active.jobVersion !== job.version || active.desired === "stop" || active.state === "stopping") return "stopping";
  return active.state === "running" ? "running" : "starting";
};

const mark = (set: Set<number>, index: number, isMember: boolean): void => {
  if (isMember) set.add(index);
  else if (set.size > 0) set.delete(index);
};

/** Brings what is known about an index beyond the count of the current version up to date. */
export const refreshExtra = (state: MutableState, job: MutableJob, index: number): void =>
  mark(job.displaced, index, isGivenUp(state, job.extra.get(index)));

/** Brings `wanting`, `stranded` and `displaced` up to date for one task. */
export const refreshWanting = (
  state: MutableState,
  job: MutableJob,
  task: MutableTask,
  active: MutableAllocation | undefined = activeOf(state, task),
): void => {
  const open = job.desired === "run" && task.status === "open";
  const givenUp = active !== undefined && isGivenUpOn(state.hosts.get(active.hostId), active);
  const isOld = task.active !== null && active?.jobVersion !== job.version;
  const asks = open && (givenUp || (task.active === null && task.notBeforeMs === 0));
  // What another kind of job has left on a lost host is given up, and its own host may not be one for it.
  const wants = asks && (job.daemon === null || mayStand(state, job, task));
  const reservation = job.reserved.size === 0 ? undefined : job.reserved.get(task.index);
  if (reservation !== undefined && !wants) unreserve(state, reservation);
  const isReserved = reservation !== undefined && job.reserved.has(task.index);
  if (wants && !isReserved) job.wanting.add(task.index);
  else job.wanting.delete(task.index);
  if (job.daemon !== null) mark(job.daemon.awake, task.index, wants && !isReserved);
  mark(job.stranded, task.index, open && givenUp && !isOld && !isReserved);
  mark(job.displaced, task.index, givenUp && isOld);
};

/** Applies `change` to a task (and to its allocation) and keeps everything derived from it. */
export const changeTask = (folding: Folding, job: MutableJob, task: MutableTask, change: () => void): void => {
  const before = bucketOf(job, task, activeOf(folding.state, task));
  change();
  recount(folding, job, task, before, activeOf(folding.state, task));
};

/** Keeps everything derived from a task that was counted in `before` and has this attempt now. */
export const recount = (
  { state, changes }: Folding,
  job: MutableJob,
  task: MutableTask,
  before: keyof TaskCounts,
  active: MutableAllocation | undefined,
): void => {
  job.counts[before] -= 1;
  job.counts[bucketOf(job, task, active)] += 1;
  refreshWanting(state, job, task, active);
  changes.jobs.add(job.key);
};

/** Some of it would take the place of an attempt on a lost host. */
export const mayReplace = (job: MutableJob): boolean => job.stranded.size + job.displaced.size > 0;

/** How many more tasks of this job may hold an allocation. */
export const slotsOf = (job: MutableJob): number =>
  job.spec.maxRunning === null
    ? Number.POSITIVE_INFINITY
    : job.spec.maxRunning - (job.activeTasks - job.displaced.size) - job.reserved.size;

/** Jobs that stand in one queue: what there is no room for the first of, there is none for the others. */
export const queueKeyOf = (requestClass: RequestClass, spec: JobSpec): string => {
  const { kind, runTimeoutMs, stopTimeoutMs, gangMin } = spec;
  const lasts = kind === "batch" && runTimeoutMs !== null ? runTimeoutMs + stopTimeoutMs : kind;
  return `${requestClass.id} ${priorityOf(spec)} ${lasts} ${gangMin ?? 1} ${spec.project}`;
};

const isQueued = (job: MutableJob): boolean =>
  job.desired === "run" && job.wanting.size > 0 && (slotsOf(job) > 0 || job.stranded.size > 0);

/** Notes since when a job waits: since it wanted something and last got anything. `waits`: it stands in its queue. */
export const noteWaiting = (job: MutableJob, waits: boolean, atMs: number): void => {
  if (!waits && job.reserved.size === 0) job.waitingSinceMs = null;
  else job.waitingSinceMs ??= atMs;
};

/** Puts the job into the queue of its class, or takes it out, as its tasks have it now; returns whether it stands there. */
export const refreshQueue = (state: MutableState, job: MutableJob): boolean => {
  const waits = isQueued(job);
  if (waits) {
    const queue = state.queues.get(job.queueKey);
    const { requestClass, spec } = job;
    const mine = queue ?? {
      requestClass,
      priority: priorityOf(spec),
      jobs: new SortedList<MutableJob>((entry) => entry.order),
      replacing: new SortedList<MutableJob>((entry) => entry.order),
      parkedAt: null,
      parkedBudget: null,
      sizesAt: null,
      isTooLarge: false,
    };
    if (queue === undefined) state.queues.add(job.queueKey, mine);
    mine.jobs.insert(job);
    if (mayReplace(job)) mine.replacing.insert(job);
    else mine.replacing.remove(job);
  } else leaveQueue(state, job);
  return waits;
};

export const leaveQueue = (state: MutableState, job: MutableJob): void => {
  const queue = state.queues.get(job.queueKey);
  if (queue === undefined) return;
  queue.jobs.remove(job);
  queue.replacing.remove(job);
  if (queue.jobs.length === 0) state.queues.delete(job.queueKey);
};

export const forgetAllocations = (folding: Folding, ids: readonly AllocationId[]): void => {
  for (const id of ids) {
    folding.state.allocations.delete(id);
    folding.changes.removed.allocations.push(id);
  }
};

export const touchDocument = ({ changes, sequence }: Folding, host: MutableHost | undefined): void => {
  if (host === undefined) return;
  host.desiredRev = sequence;
  changes.hosts.push(host.id);
  changes.documents.push(host.id);
};

/** It shall stop: whoever waits may be given its room. */
export const giveUp = ({ hosts, ledger, index }: MutableState, { hostId }: MutableAllocation): void => {
  const slot = hosts.get(hostId)?.slot;
  if (slot === undefined) return;
  ledger.touch(slot);
  index.stir(slot);
};

/** Its job wants it ended: the next plan stops it. */
export const stopSoon = (state: MutableState, id: AllocationId): void => {
  const allocation = state.allocations.get(id);
  if (allocation === undefined || allocation.desired === "stop") return;
  state.toStop.add(id);
  giveUp(state, allocation);
};

/** It need not end after all, where no plan has stopped it yet. */
export const stopNoMore = (state: MutableState, id: AllocationId): void => {
  const allocation = state.allocations.get(id);
  if (allocation !== undefined && state.toStop.delete(id)) giveUp(state, allocation);
};

/** A task whose wait is over wants work from here on. */
export const wake = (folding: Folding): void => {
  const { state } = folding;
  state.delayed.take(
    folding.atMs,
    (entry) => whoWaits(state, entry),
    (job, { index }) => {
      const task = job.tasks[index] as MutableTask;
      task.notBeforeMs = 0;
      refreshWanting(state, job, task);
      folding.changes.jobs.add(job.key);
    },
  );
};

/** The job of an entry of the heap that still says what its task does, whichever version of the job has it wait. */
export const whoWaits = (state: MutableState, { atMs, index, key }: Waiting): MutableJob | undefined => {
  const job = state.jobs.get(key);
  const task = job?.tasks[index];
  if (job?.desired !== "run" || task === undefined) return undefined;
  return task.status === "open" && task.active === null && task.notBeforeMs === atMs ? job : undefined;
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
  folding.state.delayed.push({ atMs: task.notBeforeMs, key: job.key, index: task.index });
};

const postpone = ({ atMs, state }: Folding, job: MutableJob, task: MutableTask, waitMs: number): void => {
  if (task.status !== "open" || job.desired !== "run" || task.notBeforeMs >= atMs + waitMs) return;
  task.notBeforeMs = atMs + waitMs;
  state.delayed.push({ atMs: task.notBeforeMs, key: job.key, index: task.index });
};

/** Books what an allocation asks for (`sign` 1) in every account that is kept, or gives it back (-1). */
export const account = (state: MutableState, allocation: MutableAllocation, slot: number, sign: 1 | -1): void => {
  const { requestClass } = allocation;
  const priority = priorityOf(allocation.spec);
  const count = (state.priorities.get(priority) ?? 0) + sign;
  if (count === 0) state.priorities.delete(priority);
  else state.priorities.set(priority, count);
  if (allocation.spec.kind === "batch" && allocation.spec.runTimeoutMs !== null) state.limited += sign;
  state.index.book(slot, requestClass, sign);
  state.ledger.touch(slot);
  state.index.expect(slot, stayOf(allocation), sign);
};

/** Gives back what an ended allocation had booked on its host. */
const release = (folding: Folding, allocation: MutableAllocation, host: MutableHost | undefined): void => {
  const { state, atMs } = folding;
  const at = host === undefined ? -1 : host.allocations.indexOf(allocation);
  if (host === undefined || at < 0) return;
  removeAt(host.allocations, at);
  account(state, allocation, host.slot, -1);
  const standing = (): number => [...state.priorities.values()].reduce((sum, count) => sum + count, 0);
  state.demand.ended(allocation.spec.kind === "daemon" ? null : atMs - allocation.placedAtMs, standing);
  state.index.setSurvival(state.demand.survival());
  state.usage.add(allocation.project, askedOf(allocation.requestClass).request, -1, atMs);
  folding.freed.push(allocation.spec.requests);
};

/** By hand: splice makes an array of what it takes out, and copyWithin goes the long way for each that it moves. */
const removeAt = <T>(list: T[], from: number): void => {
  for (let at = from; at < list.length - 1; at += 1) list[at] = list[at + 1] as T;
  list.pop();
};

interface End {
  readonly state: "exited" | "failed" | "lost";
  readonly reason: string;
  readonly exit: Exit | null;
}

const finish = (folding: Folding, allocation: MutableAllocation, end: End): void => {
  const { state, changes } = folding;
  const host = state.hosts.get(allocation.hostId);
  allocation.state = end.state;
  allocation.reason = end.reason;
  allocation.exit = end.exit;
  release(folding, allocation, host);
  if (state.toStop.size > 0) state.toStop.delete(allocation.id);
  touchDocument(folding, host);
  changes.allocations.push(allocation.id);
};

/**
 * Moves an allocation into a terminal state: frees what it had booked and settles its task, which is over, waits for its
 * next attempt, or may start in its new version, either of them not before `waitMs` have passed.
 */
export const endAllocation = (folding: Folding, allocation: MutableAllocation, end: End, waitMs = 0): void => {
  const { state } = folding;
  const job = state.jobs.get(allocation.key);
  const task = job?.tasks[allocation.index];
  const before = job !== undefined && task?.active === allocation.id ? bucketOf(job, task, allocation) : undefined;
  finish(folding, allocation, end);
  if (job !== undefined && task !== undefined && before !== undefined) {
    task.active = null;
    job.activeTasks -= 1;
    task.history = task.history.length === 0 ? [allocation.id] : [...task.history, allocation.id];
    if (task.history.length > FINISHED_PER_TASK) forgetAllocations(folding, task.history.splice(0, 1));
    if (allocation.jobVersion === job.version) settle(folding, job, task, allocation);
    // Its new version was stopped before it could start.
    else if (job.desired === "stop") task.status = "stopped";
    if (waitMs > 0) postpone(folding, job, task, waitMs);
    if (job.daemon !== null) retire(state, job, task);
    recount(folding, job, task, before, undefined);
    return;
  }
  if (job?.extra.get(allocation.index) !== allocation.id) return;
  job.extra.delete(allocation.index);
  job.displaced.delete(allocation.index);
  job.activeTasks -= 1;
  folding.changes.jobs.add(job.key);
  forgetAllocations(folding, [allocation.id]);
};
