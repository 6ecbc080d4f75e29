/**
 * Emptying hosts: which allocations must leave a draining host now, and when to look again.
 *
 *   service: as soon as another host has room, one task of a job at a time, and only while the rest of the job runs and
 *            its disruption budget allows it
 *   batch:   may come to its end
 *   both:    stopped at the deadline, wherever they can go
 *   daemon:  when all others have left
 *
 * A host that has nothing left is cordoned: that is the end of a drain. A host that does not answer waits, since nobody
 * there would hear of it. Changes nothing.
 */
import type { HostId, JobKey, LogRecord } from "@berth/schema";
import { DRAINED_BY } from "./daemons.ts";
import { mayStop } from "./disruption.ts";
import { withoutHosts } from "./granted.ts";
import { placeTask, wantingOf } from "./place-task.ts";
import { inside, type ClusterState, type MutableHost, type MutableState } from "./state.ts";
import { tentatively, type Tentative } from "./tentative.ts";

export interface DrainDecision {
  readonly records: readonly LogRecord[];
  /** When a deadline will be reached, or null. */
  readonly wakeAtMs: number | null;
}

/** One transaction's worth; the next call continues. */
const MAX_RECORDS = 256;
const REASON = "host_draining";

const leave = (
  state: MutableState,
  host: MutableHost,
  tentative: Tentative,
  moving: Set<JobKey>,
  nowMs: number,
): LogRecord[] => {
  if (host.allocations.length === 0) return [{ kind: "host_cordoned", hostId: host.id, by: DRAINED_BY }];
  const isOver = host.drainDeadlineAtMs !== null && nowMs >= host.drainDeadlineAtMs;
  const isLast = host.allocations.every(({ spec }) => spec.kind === "daemon");
  const records: LogRecord[] = [];
  for (const { desired, id, index, key, spec: own } of host.allocations) {
    const job = state.jobs.get(key);
    if (job === undefined || desired === "stop") continue;
    if (own.kind === "daemon") {
      if (!isLast) continue;
    } else if (!isOver) {
      if (job.spec.kind === "batch" || moving.has(job.key)) continue;
      const { pending, starting, stopping } = job.counts;
      if (pending + starting + stopping > 0) continue;
      // At the deadline it has to leave all the same.
      if (mayStop(job) < 1) continue;
      if (placeTask(state, tentative, wantingOf(job, index, id), "place").chosen === undefined) continue;
      moving.add(job.key);
    }
    records.push({ kind: "allocation_stop", id, reason: REASON });
  }
  return records;
};

const NO_HOSTS: ReadonlySet<HostId> = new Set();

/** `without`: hosts that get nothing for now, so that nobody leaves for one of them. */
export const decideDrain = (
  clusterState: ClusterState,
  nowMs: number,
  without: ReadonlySet<HostId> = NO_HOSTS,
): DrainDecision => {
  const state = inside(clusterState);
  const draining: MutableHost[] = [];
  // Before every plan: without a list of all hosts.
  for (const host of state.hosts.values()) if (host.state === "draining") draining.push(host);
  if (draining.length === 0) return { records: [], wakeAtMs: null };
  state.index.setNow(nowMs);
  const moving = new Set<JobKey>();
  const records = withoutHosts(state, without, () =>
    tentatively(state.index, (tentative) => draining.flatMap((host) => leave(state, host, tentative, moving, nowMs))),
  );
  const deadlines = draining.map((host) => host.drainDeadlineAtMs ?? 0).filter((atMs) => atMs > nowMs);
  return {
    records: records.slice(0, MAX_RECORDS),
    wakeAtMs: deadlines.length === 0 ? null : Math.min(...deadlines),
  };
};
