/**
 * Looks at every job that wants something and proposes records: allocations to stop, room to keep for whoever gets that of
 * less important work, and placements for tasks that have none or whose host is lost. Jobs are served in the order that
 * lines.ts says, indices in ascending order; a job whose request fits nowhere lets the next one pass, as far as that does
 * not delay it (backfill.ts). Changes nothing: what it books while it thinks, it takes back.
 *
 * The cost follows the work: jobs that want nothing are not seen, and a request class that fitted nowhere is parked until
 * some host has changed such that it might be taken.
 */
import type { AllocationId, HostId, LogRecord } from "@berth/schema";
import { whoWaits } from "./fold-tasks.ts";
import { withoutHosts } from "./granted.ts";
import type { ImageSight } from "./image-start.ts";
import type { Due } from "./lines.ts";
import { giveBack, passOver } from "./preempt.ts";
import { Serving } from "./serve.ts";
import { wakeDaemons } from "./daemon-sleep.ts";
import { inside, type ClusterState, type MutableJob, type MutableState } from "./state.ts";
import { Turns, type Who } from "./turns.ts";
import { ascending } from "./wanting-tasks.ts";
import { tentatively, type Tentative } from "./tentative.ts";
import { askedOf } from "./request-class.ts";

export interface PlanEnv {
  readonly nowMs: number;
  readonly makeAllocationId: () => AllocationId;
  /** What is known of hosts' images; absent: nothing. */
  readonly images?: ImageSight | undefined;
}

export interface PlanBounds extends Who {
  /** At most this many records, stops included: a plan is one transaction. Only a gang that comes first may exceed it. */
  readonly maxPlacements: number;
  /** These hosts get nothing, as if they were closed. */
  readonly without?: ReadonlySet<HostId>;
}

export interface Planned {
  readonly records: LogRecord[];
  /** When the next backoff ends, or null: without other news there is nothing to plan before. */
  readonly wakeAtMs: number | null;
  /** True when the bound cut the plan short: plan again after folding these records. */
  readonly more: boolean;
}

const stopReason = (state: MutableState, id: AllocationId): string => {
  const allocation = state.allocations.get(id);
  const job = allocation === undefined ? undefined : state.jobs.get(allocation.key);
  if (job === undefined || job.version !== allocation?.jobVersion) return "job_replaced";
  if (job.desired === "stop") return "job_stopped";
  return job.daemon === null ? "gang_incomplete" : "host_excluded";
};

const stops = (state: MutableState, room: number): LogRecord[] => {
  const records: LogRecord[] = [];
  for (const id of state.toStop) {
    if (records.length >= room) break;
    records.push({ kind: "allocation_stop", id, reason: stopReason(state, id) });
  }
  return records;
};

const dueAt = (state: MutableState, nowMs: number): { readonly due: Due; readonly wakeAtMs: number | null } => {
  const due = new Map<MutableJob, number[]>();
  const wakeAtMs = state.delayed.due(
    nowMs,
    (entry) => whoWaits(state, entry),
    (job, { index }) => {
      const indices = due.get(job);
      if (indices === undefined) due.set(job, [index]);
      else indices.push(index);
    },
  );
  for (const [job, indices] of due) if (indices.length > 1) due.set(job, ascending(indices));
  return { due, wakeAtMs };
};

/** What a job leaves behind when another version takes its place: it will be stopped, and nothing is kept for it. */
const setAside = (state: MutableState, tentative: Tentative, { quotas, taken }: Serving, job: MutableJob): void => {
  const slotOf = (hostId: HostId | undefined): number | undefined =>
    hostId === undefined ? undefined : state.hosts.get(hostId)?.slot;
  for (const { hostId, requestClass } of job.reserved.values()) {
    const slot = slotOf(hostId);
    quotas.draw({ project: job.project, request: askedOf(requestClass).request, many: -1 });
    if (slot !== undefined) tentative.setAside(slot, requestClass);
  }
  for (const id of [...job.tasks.map(({ active }) => active), ...job.extra.values()]) {
    const slot = id === null ? undefined : slotOf(state.allocations.get(id)?.hostId);
    if (id !== null && slot !== undefined) passOver(state, taken, id, slot);
  }
};

/** Plans on bookings of the caller's, and calls `then` while they stand: what explanations ask. */
export const planOn = <T>(
  state: MutableState,
  tentative: Tentative,
  env: PlanEnv,
  bounds: PlanBounds,
  then: (planned: Planned, serving: Serving, turns: Turns) => T,
): T => {
  state.index.setNow(env.nowMs);
  tentative.images = env.images;
  const records = stops(state, bounds.maxPlacements);
  const allStopped = records.length >= state.toStop.size;
  const { due, wakeAtMs } = dueAt(state, env.nowMs);
  const asksAll = bounds.replaced !== undefined;
  const serving = new Serving(state, tentative, env, bounds.maxPlacements, records, asksAll);
  wakeDaemons(state);
  return withoutHosts(state, bounds.without ?? [], () => {
    if (bounds.replaced !== undefined) setAside(state, tentative, serving, bounds.replaced);
    try {
      const turns = new Turns(state, due, serving, env.nowMs, bounds);
      const cut = allStopped && turns.serve();
      return then({ records, wakeAtMs, more: cut || !allStopped }, serving, turns);
    } finally {
      giveBack(state, serving.taken);
    }
  });
};

/**
 * What should be appended now. The same state and `env` give the same records; planning again after they are folded gives
 * none. A task on a lost host is placed elsewhere with `replaces`, which is the only way an allocation becomes lost: while
 * no other host has room the old one stays as it is, and goes on if its host returns.
 */
export const planEvaluations = (state: ClusterState, env: PlanEnv, bounds: PlanBounds): Planned => {
  const mutable = inside(state);
  return tentatively(mutable.index, (tentative) => planOn(mutable, tentative, env, bounds, (planned) => planned));
};
