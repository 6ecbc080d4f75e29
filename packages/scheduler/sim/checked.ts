/** What the checker knows of jobs, tasks and allocations. */
import type { Device, DeviceGrant, JobSpec, Placement, PortRange, Resources } from "@berth/schema";

import { AMOUNTS } from "./amounts.ts";

/** The life of an allocation, by rank. */
export const RANKS = ["placed", "preparing", "starting", "running", "stopping"];
export const ENDED = RANKS.length;

export interface CheckedHost {
  allocatable: Resources | null;
  devices: readonly Device[];
  zone: string | null;
  ports: PortRange | undefined;
  lost: boolean;
  silentMs: number | null;
}

export interface CheckedTask {
  active: string | null;
  attempts: number;
  succeeded: boolean;
}

export interface CheckedJob {
  version: number;
  spec: JobSpec;
  stopped: boolean;
  tasks: Map<number, CheckedTask>;
  /** Allocations that have not ended, of any version. */
  holding: Set<string>;
}

export interface CheckedAllocation {
  /** Its version is that of the job, also when that got new limits meanwhile. */
  placement: Placement;
  readonly requests: Resources;
  /** Of its own version. */
  readonly spec: JobSpec;
  /** True when an exit with code 0 ends the task for good. */
  readonly settles: boolean;
  readonly priority: number;
  rank: number;
  stopped: boolean;
}

/** A task for which room is kept. */
export interface Kept {
  readonly hostId: string;
  readonly requests: Resources;
  readonly devices: readonly DeviceGrant[];
  readonly spec: JobSpec;
}

/** One that was admitted and has said nothing yet. */
export const newHost = (): CheckedHost => ({
  ...{ allocatable: null, devices: [], zone: null, ports: undefined },
  ...{ lost: false, silentMs: null },
});

/** More is more important. */
export const rankOf = ({ priority }: JobSpec): number =>
  ["besteffort", "batch", "production", "system"].indexOf(priority?.band ?? "production") * 1_000 +
  (priority?.level ?? 50);

/** The job of a task, by its name. */
export const jobNamed = (name: string): string => name.slice(0, name.lastIndexOf("["));

/** What all that has not ended on a host requests. */
export const bookedOn = (allocations: Iterable<CheckedAllocation>, hostId: string): Resources => {
  const sum = { cpuMillis: 0, memoryBytes: 0, pids: 0 };
  for (const { placement, rank, requests } of allocations) {
    if (placement.hostId !== hostId || rank === ENDED) continue;
    for (const amount of AMOUNTS) sum[amount] += requests[amount];
  }
  return sum;
};

/** Whether another may take its place, as the job document promises, in its own words. */
export const isOverdue = ({ spec }: CheckedAllocation, host: CheckedHost | undefined): boolean => {
  // A daemon belongs to its host.
  if (host === undefined || host.silentMs === null || spec.kind === "daemon") return false;
  if (spec.disconnect === undefined) return host.lost;
  const { action, afterMs, singleton } = spec.disconnect;
  if (action === "keep") return false;
  if (singleton) return host.silentMs > spec.stopTimeoutMs + 6_000 && host.silentMs >= (afterMs ?? 0);
  return afterMs === null ? host.lost : host.silentMs >= afterMs;
};

/** The job gets a new version, and so does what runs, as it is. */
export const renumber = (
  job: CheckedJob,
  allocations: ReadonlyMap<string, CheckedAllocation>,
  version: number,
): void => {
  for (const { active } of job.tasks.values()) {
    const one = active === null ? undefined : allocations.get(active);
    if (one?.placement.jobVersion === job.version) one.placement = { ...one.placement, jobVersion: version };
  }
  job.version = version;
};

/** How many tasks of a job are certainly away: of a service also those that do not run yet, or never did. */
export const awayOf = (job: CheckedJob | undefined, current: readonly CheckedAllocation[]): number => {
  const stopped = current.filter((one) => one.stopped).length;
  if (job === undefined || job.spec.kind === "batch") return stopped;
  const placed = [...job.tasks.values()].filter(({ attempts }) => attempts > 0).length;
  const starting = current.filter((one) => !one.stopped && one.rank < RANKS.indexOf("running")).length;
  return stopped + starting + Math.max(0, job.spec.count - placed);
};
