/** The tasks of a job, from its allocations: each index with its latest attempt, or without one. */
import {
  taskTotal,
  type AllocationId,
  type AllocationView,
  type HostId,
  type JobKey,
  type JobView,
} from "@berth/schema";
import { hasEnded, keyOf, type Cluster } from "../live/replica.ts";

export interface Task {
  readonly index: number;
  /** The attempt with the highest number; undefined while there was none. */
  readonly latest: AllocationView | undefined;
  readonly attempts: number;
}

/** Computes once per input object; inputs are immutable pictures, so identity is enough. */
const once = <I extends object, O>(compute: (input: I) => O): ((input: I) => O) => {
  const known = new WeakMap<I, { readonly value: O }>();
  return (input) => {
    let entry = known.get(input);
    if (entry === undefined) known.set(input, (entry = { value: compute(input) }));
    return entry.value;
  };
};

const group = <K>(
  allocations: ReadonlyMap<AllocationId, AllocationView>,
  keyFor: (allocation: AllocationView) => K,
): ReadonlyMap<K, readonly AllocationView[]> => {
  const groups = new Map<K, AllocationView[]>();
  for (const allocation of allocations.values()) {
    const key = keyFor(allocation);
    const found = groups.get(key);
    if (found === undefined) groups.set(key, [allocation]);
    else found.push(allocation);
  }
  return groups;
};

const byJob = once((allocations: Cluster["allocations"]) =>
  group(allocations, (allocation) => keyOf({ project: allocation.project, name: allocation.job })),
);

/** Names are lower-case labels: code points are their order, and a hundred times faster than a collation. */
const byText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** By job, then index, then attempt: a stable order, so that nothing jumps when a number changes. */
const inOrder = (a: AllocationView, b: AllocationView): number =>
  byText(a.project, b.project) || byText(a.job, b.job) || a.index - b.index || a.attempt - b.attempt;

interface OnHost {
  readonly all: readonly AllocationView[];
  /** Those that hold their reservation. */
  readonly active: readonly AllocationView[];
}

const sameItems = (a: readonly AllocationView[], b: readonly AllocationView[]): boolean =>
  a.length === b.length && a.every((item, at) => item === b[at]);

/** A list in which nothing changed stays the same object, so that only strips of hosts that changed are drawn again. */
let lastByHost: ReadonlyMap<HostId, OnHost> = new Map();
const byHost = once((allocations: Cluster["allocations"]): ReadonlyMap<HostId, OnHost> => {
  const groups = group(allocations, (allocation): HostId => allocation.hostId);
  const next = new Map<HostId, OnHost>();
  for (const [host, list] of groups) {
    const before = lastByHost.get(host);
    const all = [...list].sort(inOrder);
    next.set(
      host,
      before !== undefined && sameItems(before.all, all)
        ? before
        : { all, active: all.filter((allocation) => !hasEnded(allocation)) },
    );
  }
  lastByHost = next;
  return next;
});

const NONE: readonly AllocationView[] = [];
export const allocationsOfJob = (cluster: Cluster, job: JobKey): readonly AllocationView[] =>
  byJob(cluster.allocations).get(job) ?? NONE;
/** In a stable order. */
export const allocationsOnHost = (cluster: Cluster, host: HostId): readonly AllocationView[] =>
  byHost(cluster.allocations).get(host)?.all ?? NONE;
/** Those that hold their reservation, in a stable order. */
export const activeOnHost = (cluster: Cluster, host: HostId): readonly AllocationView[] =>
  byHost(cluster.allocations).get(host)?.active ?? NONE;

export const tasksOf = (cluster: Cluster, job: JobView): Task[] => {
  const found = new Map<number, { latest: AllocationView; attempts: number }>();
  for (const allocation of allocationsOfJob(cluster, keyOf(job))) {
    const task = found.get(allocation.index);
    if (task === undefined) found.set(allocation.index, { latest: allocation, attempts: 1 });
    else {
      task.attempts += 1;
      if (allocation.attempt > task.latest.attempt) task.latest = allocation;
    }
  }
  // Indices beyond the count are attempts of an earlier, larger version that are not gone yet.
  const count = taskTotal(job.tasks);
  let last = count - 1;
  for (const index of found.keys()) last = Math.max(last, index);
  return Array.from({ length: last + 1 }, (_, index) => {
    const task = found.get(index);
    return { index, latest: task?.latest, attempts: task?.attempts ?? 0 };
  }).filter((task) => task.index < count || task.latest !== undefined);
};

/** What stopping a job would end: counted for the question before the deed. */
export const stopConsequence = (
  cluster: Cluster,
  job: JobView,
): { readonly running: number; readonly hosts: number; readonly neverStarted: number } => {
  const active = allocationsOfJob(cluster, keyOf(job)).filter((allocation) => !hasEnded(allocation));
  return {
    running: active.length,
    hosts: new Set(active.map((allocation) => allocation.hostId)).size,
    neverStarted: job.tasks.pending,
  };
};

/** When something last happened to an allocation. */
export const lastEventAtMs = (allocation: AllocationView): number =>
  allocation.exit?.finishedAtMs ?? allocation.startedAtMs ?? allocation.placedAtMs;

/** The allocations to which something happened last, newest first. One pass: there may be ten thousand of them. */
export const recentAllocations = (cluster: Cluster, count: number): AllocationView[] => {
  const newestFirst = (a: AllocationView, b: AllocationView): number =>
    lastEventAtMs(b) - lastEventAtMs(a) || inOrder(a, b);
  const newest: AllocationView[] = [];
  for (const allocation of cluster.allocations.values()) {
    const last = newest.at(-1);
    if (newest.length >= count && last !== undefined && newestFirst(allocation, last) >= 0) continue;
    newest.push(allocation);
    newest.sort(newestFirst);
    if (newest.length > count) newest.pop();
  }
  return newest;
};
