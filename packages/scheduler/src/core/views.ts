/** The state as the API shows it. Measurements are not part of the state: whoever has them passes them in. */
import {
  type AllocationId,
  type AllocationView,
  type ContainerUsage,
  type HostId,
  type HostUsage,
  type HostView,
  type JobKey,
  type JobView,
  type Pressure,
} from "@berth/schema";
import { explainTask, explainWaiting } from "./explain.ts";
import { slotsOf } from "./fold-tasks.ts";
import { waitedMs } from "./queue-order.ts";
import { jobState } from "./job-state.ts";
import { isGivenUp } from "./patience.ts";
import { reservedOn } from "./reserved-on.ts";
import { inside, type ClusterState, type MutableJob, type MutableState } from "./state.ts";
import { tentatively } from "./tentative.ts";
import { scoreOf } from "./kept-score.ts";

/**
 * The task that says best why the job is not where it should be: the first that wants a place and may have one, else the
 * first that waits. Looks at few tasks of a job in which all is well.
 */
const firstKept = (job: MutableJob) => {
  if (job.desired === "stop") return job.tasks.find((task) => task.active !== null);
  const wanting = slotsOf(job) > 0 || job.stranded.size > 0 ? job.wanting.next(0) : -1;
  if (wanting >= 0) {
    if (slotsOf(job) > 0) return job.tasks[wanting];
    for (const index of job.stranded) return job.tasks[index];
  }
  if (job.counts.pending === 0 && job.counts.stopping === 0) return undefined;
  return (
    job.tasks.find((task) => task.status === "open" && task.active === null && task.notBeforeMs > 0) ??
    job.tasks.find((task) => task.status === "open" && task.active === null)
  );
};

/** Whoever waits longer is not just about to be placed. */
const SOON_MS = 2_000;

const pendingReason = (state: MutableState, job: MutableJob, nowMs: number, isSettled: boolean): string | null => {
  if (job.finishedAtMs !== null) return null;
  const task = firstKept(job);
  if (task === undefined) return null;
  const allocation = task.active === null ? undefined : state.allocations.get(task.active);
  if (allocation !== undefined && !isGivenUp(state, allocation.id)) return null;
  const { sentence, outcome } = tentatively(state.index, (tentative) => {
    const plain = explainTask(state, tentative, job, task, nowMs);
    // There is room, nothing is left to plan, and yet it is not placed: perhaps that is kept for another.
    const isPassedOver =
      isSettled && plain.outcome.kind === "placed" && job.desired === "run" && waitedMs(job, nowMs) > SOON_MS;
    return isPassedOver ? explainWaiting(state, tentative, job, task, nowMs) : plain;
  });
  // It is about to be placed: nothing keeps it from running but the next look at it.
  if ((outcome.kind === "placed" || outcome.kind === "preempts") && job.desired === "run") return null;
  const others = job.counts.pending - 1;
  return others > 0 ? `${sentence}; ${others} more ${others === 1 ? "task waits" : "tasks wait"}` : sentence;
};

/** `isSettled`: no plan is being made, so that what is not placed will not be in a moment. */
export const jobView = (
  clusterState: ClusterState,
  key: JobKey,
  nowMs: number,
  isSettled: boolean,
): JobView | undefined => {
  const state = inside(clusterState);
  const job = state.jobs.get(key);
  if (job === undefined) return undefined;
  return {
    project: job.project,
    name: job.name,
    version: job.version,
    state: jobState(job),
    spec: job.spec,
    tasks: { ...job.counts },
    exitCode: job.exitCode,
    pendingReason: pendingReason(state, job, nowMs, isSettled),
    submittedBy: job.submittedBy,
    submittedAtMs: job.submittedAtMs,
    finishedAtMs: job.finishedAtMs,
  };
};

export const allocationView = (
  state: ClusterState,
  id: AllocationId,
  usage: ContainerUsage | null,
): AllocationView | undefined => {
  const allocation = state.allocations.get(id);
  if (allocation === undefined) return undefined;
  return {
    id: allocation.id,
    project: allocation.project,
    job: allocation.job,
    jobVersion: allocation.jobVersion,
    index: allocation.index,
    attempt: allocation.attempt,
    hostId: allocation.hostId,
    epoch: allocation.epoch,
    state: allocation.state,
    desired: allocation.desired,
    reason: allocation.reason,
    ...(allocation.preemptedBy !== undefined && { preemptedBy: allocation.preemptedBy }),
    resources: allocation.spec.requests,
    ...(allocation.devices !== undefined && { devices: [...allocation.devices] }),
    ...(allocation.ports !== undefined && { ports: [...allocation.ports] }),
    score: scoreOf(allocation),
    placedAtMs: allocation.placedAtMs,
    startedAtMs: allocation.startedAtMs,
    exit: allocation.exit,
    usage,
  };
};

export interface LiveHost {
  readonly usage: HostUsage | null;
  readonly pressure: Pressure | null;
  readonly lastHeartbeatAgoMs: number | null;
}

/** Undefined for a host that is unknown, or was admitted but has not said hello yet. */
export const hostView = (state: ClusterState, id: HostId, live: LiveHost | null): HostView | undefined => {
  const host = state.hosts.get(id);
  if (host === undefined || host.state === "enrolled" || host.inventory === null || host.capacity === null)
    return undefined;
  return {
    id: host.id,
    state: host.state,
    inventory: host.inventory,
    // What may be booked is what the packer books: see `bookable`.
    capacity: { ...host.capacity, allocatable: host.allocatable },
    reserved: reservedOn(state, id),
    allocations: host.allocations.length,
    ...(host.drained && host.state === "cordoned" && { drained: true as const }),
    drainDeadlineAtMs: host.drainDeadlineAtMs,
    usage: live?.usage ?? null,
    pressure: live?.pressure ?? null,
    lastHeartbeatAgoMs: live?.lastHeartbeatAgoMs ?? null,
  };
};
