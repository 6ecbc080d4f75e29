/** The state joined with what is measured: what API and dashboard show. */
import {
  isTerminal,
  type AllocationId,
  type AllocationView,
  type ContainerUsage,
  type HostId,
  type HostView,
  type JobKey,
  type JobView,
} from "@berth/schema";
import { allocationView, hostView, jobView, type ClusterState } from "../core/index.ts";
import type { Clock } from "../ports/clock.ts";
import type { LiveHosts } from "./live-hosts.ts";
import type { Liveness } from "./liveness.ts";
import type { WatchViews } from "./watch-hub.ts";

export interface Views extends WatchViews {
  readonly hosts: () => HostView[];
}

/** Explaining a job costs a look at every host. */
const MAX_WAITING_JOBS = 100;

const present = <T>(value: T | undefined): value is T => value !== undefined;

export const createViews = (options: {
  readonly state: ClusterState;
  readonly live: LiveHosts;
  readonly liveness: Liveness;
  readonly clock: Clock;
  readonly cluster: string;
  /** Nothing is left to plan now. */
  readonly isSettled: () => boolean;
}): Views => {
  const { state, live, liveness, clock, cluster } = options;

  const host = (id: HostId): HostView | undefined => {
    const heartbeat = live.of(id);
    const heardMs = liveness.lastHeardMs(id);
    return hostView(state, id, {
      usage: heartbeat?.usage ?? null,
      pressure: heartbeat?.pressure ?? null,
      lastHeartbeatAgoMs: heardMs === undefined ? null : Math.max(0, Math.round(clock.monotonicMs() - heardMs)),
    });
  };
  const job = (key: JobKey): JobView | undefined => jobView(state, key, clock.nowMs(), options.isSettled());
  const allocation = (id: AllocationId): AllocationView | undefined => {
    const record = state.allocations.get(id);
    if (record === undefined) return undefined;
    return allocationView(state, id, isTerminal(record.state) ? null : live.usageOf(record.hostId, id));
  };
  const hosts = (): HostView[] => [...state.hosts.keys()].map(host).filter(present);

  return {
    revision: () => state.revision,
    host,
    job,
    allocation,
    projectOf: (id) => state.allocations.get(id)?.project,
    hosts,
    waitingJobs: () => {
      const keys: JobKey[] = [];
      for (const record of state.jobs.values()) {
        if (record.finishedAtMs !== null || record.counts.pending === 0) continue;
        keys.push(record.key);
        if (keys.length >= MAX_WAITING_JOBS) break;
      }
      return keys;
    },
    snapshot: () => ({
      kind: "snapshot",
      revision: state.revision,
      cluster,
      hosts: hosts(),
      jobs: [...state.jobs.keys()].map(job).filter(present),
      allocations: [...state.allocations.keys()].map(allocation).filter(present),
    }),
    usage: () => {
      const fresh = live.fresh();
      if (fresh.length === 0) return undefined;
      const measured: Record<string, { usage: NonNullable<HostView["usage"]>; pressure: HostView["pressure"] }> = {};
      const containers: Record<string, ContainerUsage> = {};
      for (const id of fresh) {
        const heartbeat = live.of(id);
        if (heartbeat === undefined) continue;
        measured[id] = { usage: heartbeat.usage, pressure: heartbeat.pressure };
        for (const [key, usage] of Object.entries(heartbeat.containers)) {
          // Only what this host was given: nobody speaks for another's containers.
          if (state.allocations.get(key as AllocationId)?.hostId === id) containers[key] = usage;
        }
      }
      return { kind: "usage", hosts: measured, allocations: containers };
    },
  };
};
