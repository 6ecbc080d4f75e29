/** Folding what users did to jobs: submitted, stopped, forgotten. Each returns false when the record contradicts the state. */
import { jobKey, type AllocationId, type JobKey, type LogRecord } from "@berth/schema";
import { Bitset } from "./bitset.ts";
import { createDaemon, placeAll, retire, wantingFor } from "./daemons.ts";
import { learnAsked, noteAsked } from "./dimensions.ts";
import {
  changeTask,
  forgetAllocations,
  leaveQueue,
  queueKeyOf,
  refreshExtra,
  refreshWanting,
  stopSoon,
  touchDocument,
  type Folding,
} from "./fold-tasks.ts";
import { unreserve } from "./reservations.ts";
import {
  idempotencyKeyOf,
  MAX_IDEMPOTENCY_KEYS,
  type MutableJob,
  type MutableState,
  type MutableTask,
} from "./state.ts";

type RecordOf<K extends LogRecord["kind"]> = Extract<LogRecord, { kind: K }>;

/** Shared by all tasks that have no past, which is most of a large array. Never changed in place. */
const NO_HISTORY: AllocationId[] = [];

const rememberKey = (
  state: MutableState,
  key: JobKey,
  record: RecordOf<"job_submitted" | "job_limits_changed">,
): void => {
  if (record.idempotencyKey === null) return;
  state.idempotency.set(idempotencyKeyOf(record.by, record.idempotencyKey), {
    digest: record.requestDigest,
    key,
    version: record.jobVersion,
  });
  for (const oldest of state.idempotency.keys()) {
    if (state.idempotency.size <= MAX_IDEMPOTENCY_KEYS) break;
    state.idempotency.delete(oldest);
  }
};

/** Every allocation of the job that has not ended, by index. */
const activeOf = (job: MutableJob | undefined): Map<number, AllocationId> => {
  const active = new Map(job?.extra);
  for (const task of job?.tasks ?? []) if (task.active !== null) active.set(task.index, task.active);
  return active;
};

export const foldSubmitted = (folding: Folding, record: RecordOf<"job_submitted">): boolean => {
  const { state, changes } = folding;
  const { spec } = record;
  const key = jobKey(spec.project, spec.name);
  const old = state.jobs.get(key);
  if (record.jobVersion !== (old?.version ?? 0) + 1) return false;

  const active = activeOf(old);
  const daemon = createDaemon(spec);
  const hosts = daemon === null ? [] : placeAll(state, daemon, old?.daemon);
  const count = daemon === null ? spec.count : hosts.length;
  const tasks: MutableTask[] = [];
  for (let index = 0; index < count; index += 1) {
    tasks.push({
      index,
      status: "open",
      active: active.get(index) ?? null,
      attempts: 0,
      restarts: 0,
      streak: 0,
      notBeforeMs: 0,
      exit: null,
      history: old?.tasks[index]?.history ?? NO_HISTORY,
      ...(daemon !== null && { hostId: hosts[index] ?? null }),
    });
  }
  const extra = new Map([...active].filter(([index]) => index >= count));
  const stopping = active.size - extra.size;
  noteAsked(state, spec, 1);
  if (old?.finishedAtMs === null) noteAsked(state, old.spec, -1);
  learnAsked(state, spec);
  const requestClass = state.classes.retain(state.dimensions, spec);
  const job: MutableJob = {
    key,
    project: spec.project,
    name: spec.name,
    version: record.jobVersion,
    spec,
    desired: "run",
    submittedBy: record.by,
    submittedAtMs: folding.atMs,
    order: (state.lastOrder += 1),
    waitingSinceMs: null,
    finishedAtMs: null,
    exitCode: null,
    tasks,
    counts: {
      pending: count - stopping,
      starting: 0,
      running: 0,
      stopping,
      succeeded: 0,
      failed: 0,
      stopped: 0,
    },
    activeTasks: active.size,
    requestClass,
    queueKey: queueKeyOf(requestClass, spec),
    wanting: daemon === null ? new Bitset(count) : wantingFor(count),
    stranded: new Set(),
    displaced: new Set(),
    extra,
    reserved: new Map(),
    daemon,
  };
  if (old !== undefined) {
    for (const reservation of old.reserved.values()) unreserve(state, reservation);
    leaveQueue(state, old);
    // What is left of it has no budget any more.
    if (old.spec.disruption !== undefined) state.budgetChanges += 1;
    state.classes.release(old.requestClass);
    for (const task of old.tasks.slice(count)) forgetAllocations(folding, task.history);
    if (state.finished.delete(key)) state.finishedTaskCount -= old.tasks.length;
    else state.activeTaskCount -= old.tasks.length;
    state.daemons.delete(old);
  }
  state.activeTaskCount += count;
  state.jobs.set(key, job);
  if (old !== undefined) folding.freed.push(old.spec.requests);
  if (daemon !== null) state.daemons.add(job);
  for (const id of active.values()) stopSoon(state, id);
  for (const task of tasks) {
    if (daemon !== null) changeTask(folding, job, task, () => retire(state, job, task));
    else refreshWanting(state, job, task);
  }
  for (const index of extra.keys()) refreshExtra(state, job, index);
  rememberKey(state, key, record);
  changes.removed.jobs.delete(key);
  changes.jobs.add(key);
  return true;
};

/**
 * What the job has of the current version is of the new one from here on, also what is being stopped, so that nothing
 * that tells versions apart sees a difference. What is left of earlier versions stays what it is.
 */
export const foldLimitsChanged = (folding: Folding, record: RecordOf<"job_limits_changed">): boolean => {
  const { state, changes } = folding;
  const key = jobKey(record.project, record.job);
  const job = state.jobs.get(key);
  if (job === undefined || job.desired === "stop" || job.finishedAtMs !== null) return false;
  if (record.jobVersion !== job.version + 1) return false;
  const spec = { ...job.spec, limits: record.limits };
  for (const id of activeOf(job).values()) {
    const allocation = state.allocations.get(id);
    if (allocation === undefined || allocation.jobVersion !== job.version) continue;
    allocation.jobVersion = record.jobVersion;
    allocation.spec = spec;
    changes.allocations.push(id);
    touchDocument(folding, state.hosts.get(allocation.hostId));
  }
  job.version = record.jobVersion;
  job.spec = spec;
  rememberKey(state, key, record);
  changes.jobs.add(key);
  return true;
};

export const foldStopped = (folding: Folding, record: RecordOf<"job_stopped">): boolean => {
  const { state } = folding;
  const job = state.jobs.get(jobKey(record.project, record.job));
  if (job === undefined || job.desired === "stop" || job.finishedAtMs !== null) return false;
  job.desired = "stop";
  for (const task of job.tasks) {
    if (task.status !== "open") continue;
    changeTask(folding, job, task, () => {
      if (task.active === null) task.status = "stopped";
      else stopSoon(state, task.active);
    });
  }
  folding.changes.jobs.add(job.key);
  return true;
};

export const foldForgotten = (folding: Folding, record: RecordOf<"job_forgotten">): boolean => {
  const { state, changes } = folding;
  const job = state.jobs.get(jobKey(record.project, record.job));
  // While an old allocation has not ended, its job is what tells it apart from those of a later job of the same name.
  if (job === undefined || job.finishedAtMs === null || job.activeTasks > 0) return false;
  for (const task of job.tasks) forgetAllocations(folding, task.history);
  leaveQueue(state, job);
  state.classes.release(job.requestClass);
  state.finished.delete(job.key);
  state.finishedTaskCount -= job.tasks.length;
  state.jobs.delete(job.key);
  changes.jobs.delete(job.key);
  changes.removed.jobs.set(job.key, { project: job.project, name: job.name });
  return true;
};
