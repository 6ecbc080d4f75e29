/**
 * The browser's copy of the cluster: one snapshot, then deltas in the order of their revisions.
 *
 * A delta is taken only if it continues exactly what is held; anything else is a gap, and whoever feeds the replica must
 * ask again. Measurements (`usage`) have no revision and never cause a gap. The replica decides nothing about
 * connections and knows no clock: the time is a parameter. What it publishes is immutable.
 */
import type {
  AllocationId,
  AllocationView,
  ContainerUsage,
  HostId,
  HostView,
  JobKey,
  JobView,
  WatchMessage,
} from "@berth/schema";

export interface Cluster {
  readonly name: string;
  readonly revision: number;
  readonly hosts: ReadonlyMap<HostId, HostView>;
  readonly jobs: ReadonlyMap<JobKey, JobView>;
  readonly allocations: ReadonlyMap<AllocationId, AllocationView>;
  /** When each host was last heard, by the browser's clock; absent when it never was. */
  readonly heardAtMs: ReadonlyMap<HostId, number>;
}

/**
 * `applied`: the replica changed. `repeated`: it knew this already. `gap`: something is missing in between; nothing
 * was changed. `ignored`: no news for it (a ping, or a kind of message that is newer than this program).
 */
export type Verdict = "applied" | "repeated" | "gap" | "ignored";

export interface Replica {
  readonly apply: (message: WatchMessage, nowMs: number) => Verdict;
  /** The revision held, or undefined before the first snapshot. */
  readonly revision: () => number | undefined;
  /** An immutable picture of now; unchanged collections are the same objects as in the picture before. */
  readonly publish: () => Cluster | undefined;
}

export const keyOf = (job: { readonly project: string; readonly name: string }): JobKey =>
  `${job.project}/${job.name}` as JobKey;

const ENDED: ReadonlySet<string> = new Set(["exited", "failed", "lost"]);
/** True when an attempt is over. Kept here because the schema's own helper would pull its validators into the bundle. */
export const hasEnded = (allocation: Pick<AllocationView, "state">): boolean => ENDED.has(allocation.state);

type Snapshot = Extract<WatchMessage, { kind: "snapshot" }>;
type Delta = Extract<WatchMessage, { kind: "delta" }>;
type Usage = Extract<WatchMessage, { kind: "usage" }>;
type Measured = Pick<HostView, "usage" | "pressure">;

export const createReplica = (): Replica => {
  let name = "";
  let revision: number | undefined;
  let hosts = new Map<HostId, HostView>();
  let jobs = new Map<JobKey, JobView>();
  let allocations = new Map<AllocationId, AllocationView>();
  let heardAtMs = new Map<HostId, number>();
  let published: Cluster | undefined;
  const changed = { hosts: true, jobs: true, allocations: true };

  const putHost = (host: HostView, nowMs: number): void => {
    const before = hosts.get(host.id);
    // A delta is about state; it need not repeat the last measurement.
    hosts.set(host.id, {
      ...host,
      usage: host.usage ?? before?.usage ?? null,
      pressure: host.pressure ?? before?.pressure ?? null,
    });
    if (host.lastHeartbeatAgoMs !== null) heardAtMs.set(host.id, nowMs - host.lastHeartbeatAgoMs);
  };
  const putAllocation = (allocation: AllocationView): void => {
    const usage = hasEnded(allocation) ? null : (allocation.usage ?? allocations.get(allocation.id)?.usage ?? null);
    allocations.set(allocation.id, { ...allocation, usage });
  };

  const applySnapshot = (message: Snapshot, nowMs: number): Verdict => {
    name = message.cluster;
    revision = message.revision;
    hosts = new Map();
    jobs = new Map(message.jobs.map((job) => [keyOf(job), job]));
    allocations = new Map();
    heardAtMs = new Map();
    for (const host of message.hosts) putHost(host, nowMs);
    for (const allocation of message.allocations) putAllocation(allocation);
    Object.assign(changed, { hosts: true, jobs: true, allocations: true });
    return "applied";
  };

  const applyDelta = (message: Delta, nowMs: number): Verdict => {
    if (revision === undefined) return "gap";
    if (message.revision <= revision) return "repeated";
    if (message.previous !== revision) return "gap";
    revision = message.revision;
    for (const host of message.hosts) putHost(host, nowMs);
    for (const job of message.jobs) jobs.set(keyOf(job), job);
    for (const allocation of message.allocations) putAllocation(allocation);
    for (const id of message.removed.hosts) {
      hosts.delete(id);
      heardAtMs.delete(id);
    }
    for (const job of message.removed.jobs) jobs.delete(keyOf(job));
    for (const id of message.removed.allocations) allocations.delete(id);
    changed.hosts ||= message.hosts.length + message.removed.hosts.length > 0;
    changed.jobs ||= message.jobs.length + message.removed.jobs.length > 0;
    changed.allocations ||= message.allocations.length + message.removed.allocations.length > 0;
    return "applied";
  };

  const applyUsage = (message: Usage, nowMs: number): Verdict => {
    if (revision === undefined) return "ignored";
    for (const [id, measured] of Object.entries(message.hosts) as [HostId, Measured][]) {
      const host = hosts.get(id);
      if (host === undefined) continue;
      hosts.set(id, { ...host, ...measured });
      heardAtMs.set(id, nowMs);
      changed.hosts = true;
    }
    for (const [id, usage] of Object.entries(message.allocations) as [AllocationId, ContainerUsage][]) {
      const allocation = allocations.get(id);
      if (allocation === undefined || hasEnded(allocation)) continue;
      allocations.set(id, { ...allocation, usage });
      changed.allocations = true;
    }
    return "applied";
  };

  return {
    revision: () => revision,
    apply: (message, nowMs) => {
      switch (message.kind) {
        case "snapshot":
          return applySnapshot(message, nowMs);
        case "delta":
          return applyDelta(message, nowMs);
        case "usage":
          return applyUsage(message, nowMs);
        case "ping":
          return "ignored";
        default:
          return "ignored";
      }
    },
    publish: () => {
      if (revision === undefined) return undefined;
      const before = published;
      const fresh = before === undefined;
      published = {
        name,
        revision,
        hosts: fresh || changed.hosts ? new Map(hosts) : before.hosts,
        jobs: fresh || changed.jobs ? new Map(jobs) : before.jobs,
        allocations: fresh || changed.allocations ? new Map(allocations) : before.allocations,
        heardAtMs: fresh || changed.hosts ? new Map(heardAtMs) : before.heardAtMs,
      };
      Object.assign(changed, { hosts: false, jobs: false, allocations: false });
      return published;
    },
  };
};
