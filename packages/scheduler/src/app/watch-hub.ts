/**
 * The live feed: one snapshot per client, then deltas that chain by revision. Changes of a few dozen milliseconds become
 * one delta, rendered and serialised once for everybody. The newest deltas are kept so that a client that was cut off
 * can go on; one that has missed more gets a new snapshot. A client that does not read is dropped: it can come back.
 */
import type {
  AccessProjects,
  AllocationId,
  AllocationView,
  HostId,
  HostView,
  JobKey,
  JobName,
  JobView,
  ProjectName,
  WatchMessage,
} from "@berth/schema";
import type { Changes } from "../core/index.ts";
import type { Clock } from "../ports/clock.ts";
import { scoped } from "./watch-scope.ts";

export interface WatchClient {
  readonly send: (text: string) => void;
  /** Bytes that were sent and not yet taken by the network. */
  readonly bufferedBytes: () => number;
  readonly close: (why: "slow" | "stopping") => void;
}

/** How the hub sees the cluster. */
export interface WatchViews {
  readonly revision: () => number;
  readonly host: (id: HostId) => HostView | undefined;
  readonly job: (key: JobKey) => JobView | undefined;
  readonly allocation: (id: AllocationId) => AllocationView | undefined;
  readonly projectOf: (id: AllocationId) => ProjectName | undefined;
  /** Jobs whose reason to wait may be another one when hosts have changed; a bounded number of them. */
  readonly waitingJobs: () => readonly JobKey[];
  readonly snapshot: () => Extract<WatchMessage, { kind: "snapshot" }>;
  /** Measurements since the last call, or undefined when there are none. */
  readonly usage: () => Extract<WatchMessage, { kind: "usage" }> | undefined;
}

export interface WatchHub {
  readonly folded: (changes: Changes) => void;
  /** For somebody who sees these projects. Undefined when there are as many clients as there may be. Returns how to leave. */
  readonly join: (client: WatchClient, since: number | undefined, projects: AccessProjects) => (() => void) | undefined;
  readonly clients: () => number;
  /** Begins to publish; before, the state is still being read. */
  readonly start: () => void;
  readonly close: () => void;
}

export interface WatchLimits {
  readonly clients: number;
  readonly bufferBytes: number;
  readonly ringDeltas: number;
  readonly ringBytes: number;
  readonly coalesceMs: number;
  /** Why jobs wait is looked at again so often at most: each costs a look at every host. */
  readonly waitingMs: number;
  /** Nothing is noted, rendered, nor kept for those who come back, once nobody has listened for so long, or ever. */
  readonly quietMs: number;
  readonly usageMs: number;
  readonly pingMs: number;
}

export const WATCH_LIMITS: WatchLimits = {
  clients: 256,
  bufferBytes: 8 * 2 ** 20,
  ringDeltas: 1_024,
  ringBytes: 16 * 2 ** 20,
  coalesceMs: 50,
  waitingMs: 1_000,
  quietMs: 60_000,
  usageMs: 2_000,
  pingMs: 15_000,
};

interface Delta {
  readonly previous: number;
  readonly revision: number;
  readonly text: string;
}

interface Member {
  readonly client: WatchClient;
  readonly projects: AccessProjects;
  /** More may be buffered until a large snapshot has gone out once. */
  allowanceBytes: number;
}

const createPending = () => ({
  hosts: new Set<HostId>(),
  jobs: new Set<JobKey>(),
  allocations: new Set<AllocationId>(),
  removedHosts: new Set<HostId>(),
  removedJobs: new Map<JobKey, { readonly project: ProjectName; readonly name: JobName }>(),
  removedAllocations: new Set<AllocationId>(),
});

export const createWatchHub = (options: {
  readonly views: WatchViews;
  readonly clock: Clock;
  readonly limits: WatchLimits;
  readonly dropped: () => void;
}): WatchHub => {
  const { views, clock, limits } = options;
  const members = new Set<Member>();
  const ring: Delta[] = [];
  let ringBytes = 0;
  let pending = createPending();
  let published = 0;
  let started = false;
  /** Nobody has, so far. */
  let listenedAtMs = Number.NEGATIVE_INFINITY;
  let waitingShownAtMs = Number.NEGATIVE_INFINITY;
  let isWaitingStale = false;
  const timers = new Map<string, () => void>();

  const later = (name: string, delayMs: number, run: () => void): void => {
    if (timers.has(name)) return;
    timers.set(
      name,
      clock.after(delayMs, () => {
        timers.delete(name);
        run();
      }),
    );
  };

  const leave = (member: Member): void => {
    members.delete(member);
    listenedAtMs = clock.monotonicMs();
  };

  const isQuiet = (): boolean => members.size === 0 && clock.monotonicMs() - listenedAtMs > limits.quietMs;

  /** Jobs that wait may do so for another reason when a host has changed. */
  const addWaiting = (jobs: Set<JobKey>): void => {
    if (!isWaitingStale) return;
    const againMs = waitingShownAtMs + limits.waitingMs - clock.monotonicMs();
    if (againMs > 0) return later("waiting", againMs, flush);
    isWaitingStale = false;
    waitingShownAtMs = clock.monotonicMs();
    for (const key of views.waitingJobs()) jobs.add(key);
  };

  const send = (member: Member, text: string): void => {
    const buffered = member.client.bufferedBytes();
    if (buffered <= limits.bufferBytes) member.allowanceBytes = limits.bufferBytes;
    if (buffered > member.allowanceBytes) {
      leave(member);
      options.dropped();
      member.client.close("slow");
      return;
    }
    member.client.send(text);
  };

  const textFor = (message: WatchMessage, projects: AccessProjects): string =>
    JSON.stringify(
      projects === null ? message : scoped(message, (project) => projects.includes(project), views.projectOf),
    );

  const broadcast = (message: WatchMessage): string => {
    const text = JSON.stringify(message);
    /** Rendered once for all who see the same. */
    const others = new Map<string, string>();
    for (const member of [...members]) {
      const { projects } = member;
      if (projects === null) {
        send(member, text);
        continue;
      }
      const key = projects.join("/");
      const theirs = others.get(key) ?? textFor(message, projects);
      others.set(key, theirs);
      send(member, theirs);
    }
    return text;
  };

  const keep = (delta: Delta): void => {
    ring.push(delta);
    ringBytes += delta.text.length;
    while (ring.length > limits.ringDeltas || (ringBytes > limits.ringBytes && ring.length > 0)) {
      ringBytes -= ring.shift()?.text.length ?? 0;
    }
  };

  const forgetDeltas = (): void => {
    ring.length = 0;
    ringBytes = 0;
  };

  const present = <K, V>(keys: Iterable<K>, view: (key: K) => V | undefined): V[] =>
    [...keys].map(view).filter((value): value is V & {} => value !== undefined);

  /** Brings everybody to the current revision. Also when nothing visible has changed: the chain must not break. */
  const flush = (): void => {
    const revision = views.revision();
    if (revision === published && !isWaitingStale) return;
    const changes = pending;
    pending = createPending();
    const previous = published;
    published = revision;
    if (isQuiet()) {
      forgetDeltas();
      return;
    }
    if (changes.hosts.size > 0) isWaitingStale = true;
    addWaiting(changes.jobs);
    if (revision === previous && changes.jobs.size === 0) return;
    const text = broadcast({
      kind: "delta",
      revision,
      previous,
      hosts: present(changes.hosts, views.host),
      jobs: present(changes.jobs, views.job),
      allocations: present(changes.allocations, views.allocation),
      removed: {
        hosts: [...changes.removedHosts],
        jobs: [...changes.removedJobs.values()],
        allocations: [...changes.removedAllocations],
      },
    });
    keep({ previous, revision, text });
  };

  const tickUsage = (): void => {
    if (members.size === 0) return;
    const message = views.usage();
    if (message !== undefined) broadcast(message);
    later("usage", limits.usageMs, tickUsage);
  };
  const tickPing = (): void => {
    if (members.size === 0) return;
    broadcast({ kind: "ping" });
    later("ping", limits.pingMs, tickPing);
  };

  /** What happened after `since`, or undefined when that is not known any more. */
  const missed = (since: number): readonly Delta[] | undefined => {
    // Also one that only says again why jobs wait, which begins and ends there.
    const at = ring.findIndex((delta) => delta.previous === since);
    if (at >= 0) return ring.slice(at);
    return since === published ? [] : undefined;
  };

  return {
    folded: (changes) => {
      if (!started) return;
      // Whoever comes gets a snapshot.
      if (isQuiet()) {
        forgetDeltas();
        return;
      }
      for (const id of changes.hosts) pending.hosts.add(id);
      for (const key of changes.jobs) {
        pending.jobs.add(key);
        pending.removedJobs.delete(key);
      }
      for (const id of changes.allocations) pending.allocations.add(id);
      for (const id of changes.removed.hosts) pending.removedHosts.add(id);
      for (const [key, job] of changes.removed.jobs) {
        pending.jobs.delete(key);
        pending.removedJobs.set(key, job);
      }
      for (const id of changes.removed.allocations) {
        pending.allocations.delete(id);
        pending.removedAllocations.add(id);
      }
      later("flush", limits.coalesceMs, flush);
    },
    join: (client, since, projects) => {
      if (members.size >= limits.clients) return undefined;
      flush();
      const member: Member = { client, projects, allowanceBytes: limits.bufferBytes };
      const deltas = since === undefined ? undefined : missed(since);
      if (deltas === undefined) {
        const text = textFor(views.snapshot(), projects);
        member.allowanceBytes += Buffer.byteLength(text);
        client.send(text);
      } else {
        for (const { text } of deltas) {
          client.send(projects === null ? text : textFor(JSON.parse(text) as WatchMessage, projects));
        }
      }
      members.add(member);
      listenedAtMs = clock.monotonicMs();
      later("usage", limits.usageMs, tickUsage);
      later("ping", limits.pingMs, tickPing);
      return () => leave(member);
    },
    clients: () => members.size,
    start: () => {
      if (started) return;
      started = true;
      published = views.revision();
    },
    close: () => {
      for (const cancel of timers.values()) cancel();
      timers.clear();
      for (const member of members) member.client.close("stopping");
      members.clear();
    },
  };
};
