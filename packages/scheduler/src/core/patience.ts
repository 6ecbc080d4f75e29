/**
 * How long a host may be silent before an allocation there is given up, which is when another attempt may take its place.
 * What counts is the silence that the log holds: every instance that reads it gives up the same allocations.
 */
import { isTerminal, leaseTermsOf, type AllocationId, type HostId, type JobSpec } from "@berth/schema";
import type { ClusterState, HostRecord, JobRecord } from "./state.ts";

/** The cluster's own: what a host is told for, and what holds for jobs that say nothing. */
export interface Patience {
  readonly disconnectedAfterMs: number;
  readonly lostAfterMs: number;
}

/** In milliseconds of silence; infinite: never; null: when the cluster calls the host lost. */
export const patienceOf = (spec: JobSpec): number | null => {
  // It belongs to its host, and to no other.
  if (spec.kind === "daemon") return Number.POSITIVE_INFINITY;
  if (spec.disconnect?.action === "keep") return Number.POSITIVE_INFINITY;
  return leaseTermsOf(spec)?.replaceAfterMs ?? spec.disconnect?.afterMs ?? null;
};

export const isSilent = (host: HostRecord | undefined): boolean =>
  host?.state === "lost" || host?.state === "disconnected";

export const isGivenUp = (state: ClusterState, id: AllocationId | null | undefined): boolean => {
  const allocation = id === null || id === undefined ? undefined : state.allocations.get(id);
  return allocation !== undefined && isGivenUpOn(state.hosts.get(allocation.hostId), allocation);
};

/** The same of an allocation and its host. */
export const isGivenUpOn = (host: HostRecord | undefined, { spec }: { readonly spec: JobSpec }): boolean => {
  if (host === undefined || !isSilent(host)) return false;
  const patienceMs = patienceOf(spec);
  return patienceMs === null ? host.state === "lost" : host.silentMs >= patienceMs;
};

/** The next length of silence of this host that changes something; undefined when none does. */
export const nextSilenceMs = (state: ClusterState, hostId: HostId, patience: Patience): number | undefined => {
  const host = state.hosts.get(hostId);
  if (host === undefined || host.state === "enrolled") return undefined;
  if (!isSilent(host)) return patience.disconnectedAfterMs;
  let next = host.state === "lost" ? Number.POSITIVE_INFINITY : patience.lostAfterMs;
  for (const { spec, state: at } of host.allocations) {
    if (isTerminal(at)) continue;
    const own = patienceOf(spec);
    if (own !== null && own > host.silentMs) next = Math.min(next, own);
  }
  return Number.isFinite(next) ? next : undefined;
};

/** What counts against `maxRunning`: all that holds a place, but not what an earlier version has left on lost hosts. */
export const runningOf = (state: ClusterState, job: JobRecord): number => {
  let displaced = 0;
  for (const host of state.hosts.values()) {
    if (!isSilent(host)) continue;
    for (const one of host.allocations) {
      if (one.key === job.key && one.jobVersion !== job.version && isGivenUpOn(host, one)) displaced += 1;
    }
  }
  return job.activeTasks - displaced;
};
