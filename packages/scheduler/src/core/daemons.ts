/**
 * Daemons: jobs with one task on every host that their `require` lets them on. A task has its index and its host for as long
 * as that is one of the cluster; what it does there follows the host:
 *
 *   answers, open or closed     the task is open: it is placed, there or nowhere
 *   silent, draining, drained   what runs goes on (a drain stops it last); what does not run is stopped until the host is back
 *   matches no longer           it is stopped
 *   removed                     its index is free for the next host
 *
 * All of this follows from the log alone: `fold` calls when a host or a job changes, which costs the daemons there are.
 */
import { holds, taskName, type Expression, type HostId } from "@berth/schema";
import { Bitset } from "./bitset.ts";
import { allocationsOn } from "./allocations-on.ts";
import { failing } from "./rule-check.ts";
import { rulesOf, type Rules } from "./rules.ts";
import type {
  HostRecord,
  MutableAllocation,
  MutableHost,
  MutableJob,
  MutableState,
  MutableTask,
  TaskRecord,
} from "./state.ts";

/** What a job knows beside its tasks when it is a daemon. */
export interface Daemon {
  readonly rules: Rules | null;
  /** Which task belongs to which host. */
  readonly places: Map<HostId, number>;
  /**
   * Of the tasks that want a place, those that planning has not found without one since anything changed on their hosts: no
   * fact but a short cut, as with parked queues.
   */
  readonly awake: Set<number>;
  /** The mark of the index since when the others sleep, and `budgetChanges` then, or null: see ClassQueue. */
  asleepAt: number;
  asleepBudget: number | null;
}

export const createDaemon = (spec: MutableJob["spec"]): Daemon | null =>
  spec.kind !== "daemon"
    ? null
    : { rules: rulesOf(spec), places: new Map(), awake: new Set(), asleepAt: 0, asleepBudget: null };

/** Who closes a host when its drain has come to its end. */
export const DRAINED_BY = "drain";

/** Daemons tolerate a closed host, and neither a drain nor what is left after one. */
export const takesDaemons = ({ drained, state }: Pick<HostRecord, "drained" | "state">): boolean =>
  state === "ready" || (state === "cordoned" && !drained);

const required = ({ rules }: Daemon): readonly { readonly expression: Expression }[] => rules?.require ?? [];

const matches = ({ index }: MutableState, daemon: Daemon, { slot }: MutableHost): boolean =>
  required(daemon).every(({ expression }) => holds(expression, index.lookupOf(slot)));

export const standsOn = (state: MutableState, daemon: Daemon, host: MutableHost | undefined): boolean =>
  host !== undefined && host.capacity !== null && takesDaemons(host) && matches(state, daemon, host);

/** Whether the host of a task is one that it may be on now. */
export const mayStand = (state: MutableState, { daemon }: MutableJob, { hostId }: TaskRecord): boolean =>
  daemon !== null && standsOn(state, daemon, state.hosts.get(hostId ?? ("" as HostId)));

/**
 * The hosts of a daemon that has just been submitted, by index: those that had a task of the version before keep it. Null:
 * the host of this one is gone.
 */
export const placeAll = (state: MutableState, daemon: Daemon, old: Daemon | null | undefined): (HostId | null)[] => {
  const { places } = daemon;
  const hosts: (HostId | null)[] = [];
  for (const [hostId, index] of old?.places ?? []) {
    places.set(hostId, index);
    hosts[index] = hostId;
  }
  let next = 0;
  for (const host of state.hosts.values()) {
    if (places.has(host.id) || !standsOn(state, daemon, host)) continue;
    while (hosts[next] !== undefined) next += 1;
    places.set(host.id, next);
    hosts[next] = host.id;
  }
  return Array.from(hosts, (hostId) => hostId ?? null);
};

/** Room for so many tasks, and for some that are still to come. */
const roomy = (tasks: number): number => 64 * Math.ceil((tasks * 1.5 + 1) / 64);
export const wantingFor = (tasks: number): MutableJob["wanting"] => new Bitset(roomy(tasks));

/** Ends a task that runs nowhere for as long as its host is not one of those that it may be on. */
export const retire = (state: MutableState, job: MutableJob, task: MutableTask): void => {
  if (job.daemon === null || task.status !== "open" || task.active !== null || job.desired === "stop") return;
  if (mayStand(state, job, task)) return;
  task.status = "stopped";
  task.notBeforeMs = 0;
};

/** Where a task of a daemon belongs, and nowhere else; undefined: it has a choice of hosts. */
export const ownHost = ({ tasks, daemon }: MutableJob, index: number): HostId | undefined =>
  daemon === null ? undefined : (tasks[index]?.hostId ?? undefined);

/**
 * What an earlier version of a daemon has not ended yet on the host of this task: another index of it, where the job was of
 * another kind in between and its hosts were counted anew. Nothing of a daemon starts beside that. Undefined: nothing.
 */
export const leftBeside = (state: MutableState, job: MutableJob, task: TaskRecord): MutableAllocation | undefined => {
  // What is left of earlier versions is being stopped, so mostly there is nothing to look for.
  if (job.daemon === null || job.counts.stopping + job.extra.size === 0) return undefined;
  const isOlder = ({ id, jobVersion, key }: MutableAllocation): boolean =>
    key === job.key && jobVersion !== job.version && id !== task.active;
  return allocationsOn(state, task.hostId ?? ("" as HostId)).find(isOlder);
};

/** Why none of a daemon is on this host, although all is well with those that are: in words, without a subject. */
export const whyNoneOn = (state: MutableState, { daemon }: MutableJob, host: MutableHost): string | undefined => {
  if (daemon === null || standsOn(state, daemon, host)) return undefined;
  if (host.capacity === null) return `${host.id} has not said yet what it has`;
  if (host.drained && host.state === "cordoned") return `${host.id} is drained`;
  if (!takesDaemons(host)) return `${host.id} is ${host.state}`;
  if (daemon.rules === null) return undefined;
  const lookup = state.index.lookupOf(host.slot);
  const { actual, rule } = failing({ rules: daemon.rules }, { reason: "constraint", rule: "" }, lookup);
  return `${host.id} is against the rule "${rule}" (${actual})`;
};

/** Of a task that is stopped although its job runs. */
export const whyRetired = (state: MutableState, job: MutableJob, { hostId, index }: TaskRecord): string => {
  const subject = `${job.project}/${taskName(job.name, index)}`;
  const host = state.hosts.get(hostId ?? ("" as HostId));
  if (host === undefined) return `${subject} has no host any more: its own was removed`;
  return `${subject} does not run: ${whyNoneOn(state, job, host) ?? `${host.id} was away`}`;
};
