/**
 * The state as lines of JSON, and back. An image holds every fact of the log that it was folded from and nothing that is
 * a function of other facts: those indexes are built again. A state that was restored decides exactly as the one that it
 * was taken of; the simulation checks that after random histories.
 *
 * Facts are written as they are, so that a new field of a job or a host needs no line here. What cannot be written as
 * JSON (a map, a set, an index) must be named below: `Plain` makes the compiler insist.
 */
import {
  isTerminal,
  noResources,
  secretKey,
  type AllocationId,
  type AuditEntry,
  type JobKey,
  type JobSpec,
} from "@berth/schema";
import { allocationOf, factsOf, type AllocationFacts } from "./allocation-facts.ts";
import { restoreAudit } from "./audit.ts";
import { Bitset } from "./bitset.ts";
import { createDaemon } from "./daemons.ts";
import { restorePlaces } from "./fold-daemons.ts";
import { createDemand, type DemandFacts } from "./demand.ts";
import { noteAsked } from "./dimensions.ts";
import { describeHost } from "./granted.ts";
import { toVector } from "./feasibility.ts";
import { account, queueKeyOf, refreshExtra, refreshQueue, refreshWanting } from "./fold-tasks.ts";
import type { ProjectRecord } from "./projects.ts";
import type { SecretRecord } from "./secrets.ts";
import { reserve, type ReservationFacts } from "./reservations.ts";
import { bookVolume, type VolumeRecord } from "./volumes.ts";
import {
  createState,
  inside,
  type ClusterState,
  type IdempotencyEntry,
  type MutableHost,
  type MutableJob,
  type MutableState,
  type MutableTask,
} from "./state.ts";
import { createUsage, type UsageFacts } from "./usage.ts";
import { askedOf } from "./request-class.ts";

type Primitive = string | number | boolean | null | undefined;
/** T, if JSON keeps all of it. */
type Plain<T> = T extends Primitive
  ? T
  : T extends ReadonlyMap<unknown, unknown> | ReadonlySet<unknown> | ArrayBufferView | ((...args: never[]) => unknown)
    ? never
    : { [K in keyof T]: Plain<T[K]> };

type StateFacts = Omit<
  MutableState,
  | "jobs"
  | "hosts"
  | "allocations"
  | "volumes"
  | "secrets"
  | "imageNames"
  | "projects"
  | "idempotency"
  | "finished"
  | "audit"
  | "toStop"
  | "ingredients"
  | "classes"
  | "devices"
  | "asked"
  | "daemons"
  | "queues"
  | "reservations"
  | "priorities"
  | "limited"
  | "budgetChanges"
  | "ledger"
  | "usage"
  | "delayed"
  | "demand"
  | "index"
>;
type HostFacts = Omit<MutableHost, "allocations" | "reservations" | "slot">;
type JobFacts = Omit<
  MutableJob,
  | "spec"
  | "tasks"
  | "requestClass"
  | "wanting"
  | "stranded"
  | "displaced"
  | "extra"
  | "reserved"
  | "queueKey"
  | "daemon"
>;

/** In this order: whoever restores an image has read what a line refers to. */
export type ImageLine =
  | {
      readonly kind: "state";
      readonly facts: StateFacts;
      readonly finished: readonly JobKey[];
      readonly toStop: readonly AllocationId[];
      readonly demand: DemandFacts;
      readonly largest: readonly number[];
      /** Columns of devices, where hosts have some. */
      readonly columns?: readonly string[];
      /** Absent in images of older versions. */
      readonly usage?: UsageFacts;
    }
  | { readonly kind: "spec"; readonly number: number; readonly spec: JobSpec }
  | { readonly kind: "host"; readonly facts: HostFacts }
  | {
      readonly kind: "job";
      readonly facts: JobFacts;
      readonly spec: number;
      readonly extra: readonly (readonly [number, AllocationId])[];
    }
  /** Tasks to which something has happened; the others are as they were submitted. */
  | { readonly kind: "tasks"; readonly job: JobKey; readonly tasks: readonly MutableTask[] }
  | { readonly kind: "allocation"; readonly facts: AllocationFacts; readonly spec: number }
  /** Absent from images of versions that had none. */
  | { readonly kind: "volumes"; readonly volumes: readonly VolumeRecord[] }
  /** Absent from images of versions that had none. Not called secrets, as what a backup has of the cluster's keys. */
  | { readonly kind: "project_secrets"; readonly secrets: readonly SecretRecord[] }
  /** Absent from images of versions that had none. */
  | { readonly kind: "image_names"; readonly names: readonly (readonly [string, string])[] }
  /** Absent from images of versions that had no records of projects. */
  | { readonly kind: "projects"; readonly projects: readonly ProjectRecord[] }
  /** Absent from images of versions that kept no audit trail. */
  | { readonly kind: "audit"; readonly droppedUpTo: number; readonly entries: readonly AuditEntry[] }
  | { readonly kind: "reservations"; readonly reservations: readonly ReservationFacts[] }
  | { readonly kind: "keys"; readonly entries: readonly (readonly [string, IdempotencyEntry])[] };

const TASKS_PER_LINE = 500;
const KEYS_PER_LINE = 500;

const plain = <T>(facts: T & Plain<T>): T => facts;

/** Shared by all tasks that have no past. Never changed in place. */
const NO_HISTORY: AllocationId[] = [];

const untouched = (index: number): MutableTask => ({
  index,
  status: "open",
  active: null,
  attempts: 0,
  restarts: 0,
  streak: 0,
  notBeforeMs: 0,
  exit: null,
  history: NO_HISTORY,
});

const isUntouched = (task: MutableTask): boolean =>
  task.status === "open" &&
  task.active === null &&
  task.attempts === 0 &&
  task.restarts === 0 &&
  task.streak === 0 &&
  task.notBeforeMs === 0 &&
  task.exit === null &&
  task.history.length === 0 &&
  task.hostId === undefined;

function* slices<T>(items: readonly T[], size: number): Generator<readonly T[]> {
  for (let at = 0; at < items.length; at += size) yield items.slice(at, at + size);
}

/** Must be walked to its end before the next fold. Costs a few microseconds per allocation and per task with a past. */
export function* imageOf(clusterState: ClusterState): Generator<ImageLine> {
  const state = inside(clusterState);
  const {
    jobs,
    hosts,
    allocations,
    volumes,
    secrets,
    imageNames,
    projects,
    idempotency,
    finished,
    audit,
    toStop,
    ingredients,
    classes,
    queues,
    delayed,
    demand,
    index,
    ...more
  } = state;
  const { reservations, priorities, limited, budgetChanges, ledger, usage, devices, daemons, asked, ...facts } = more;
  void [ingredients, asked, daemons, limited, budgetChanges, classes, queues, delayed, priorities, ledger];
  yield {
    kind: "state",
    facts: plain(facts),
    finished: [...finished],
    toStop: [...toStop],
    demand: demand.facts(),
    largest: Array.from(index.valuation().largest),
    ...(devices.names.length > 0 && { columns: [...devices.names] }),
    usage: usage.facts(),
  };
  const numbers = new Map<JobSpec, number>();
  for (const { spec } of [...jobs.values(), ...allocations.values()]) {
    if (numbers.has(spec)) continue;
    numbers.set(spec, numbers.size);
    yield { kind: "spec", number: numbers.size - 1, spec };
  }
  for (const { allocations: booked, reservations: kept, slot, ...host } of hosts.values()) {
    void booked;
    void kept;
    void slot;
    yield { kind: "host", facts: plain(host) };
  }
  for (const { spec, tasks, requestClass, wanting, stranded, displaced, extra, ...others } of jobs.values()) {
    const { reserved, queueKey, daemon, ...job } = others;
    void daemon;
    void reserved;
    void queueKey;
    void requestClass;
    void wanting;
    void stranded;
    void displaced;
    yield { kind: "job", facts: plain(job), spec: numbers.get(spec) ?? -1, extra: [...extra] };
    for (const some of slices(
      tasks.filter((task) => !isUntouched(task)),
      TASKS_PER_LINE,
    )) {
      yield { kind: "tasks", job: job.key, tasks: some };
    }
  }
  for (const allocation of allocations.values()) {
    yield { kind: "allocation", facts: plain(factsOf(allocation)), spec: numbers.get(allocation.spec) ?? -1 };
  }
  for (const some of slices([...volumes.values()], KEYS_PER_LINE)) yield { kind: "volumes", volumes: some };
  for (const some of slices([...secrets.values()], KEYS_PER_LINE)) yield { kind: "project_secrets", secrets: some };
  for (const names of slices([...imageNames], KEYS_PER_LINE)) yield { kind: "image_names", names };
  for (const some of slices([...projects.values()], KEYS_PER_LINE)) yield { kind: "projects", projects: some };
  for (const entries of slices([...audit.changes, ...audit.refusals], KEYS_PER_LINE)) {
    yield { kind: "audit", droppedUpTo: audit.droppedUpTo, entries };
  }
  for (const some of slices([...reservations], KEYS_PER_LINE)) {
    const kept = some.map(({ job, index: at, hostId, devices: grants }) => ({
      ...{ job: job.key, index: at, hostId },
      ...(grants.length > 0 && { devices: grants }),
    }));
    yield { kind: "reservations", reservations: kept };
  }
  for (const entries of slices([...idempotency], KEYS_PER_LINE)) yield { kind: "keys", entries };
}

/** An image that contradicts itself. */
export class BrokenImage extends Error {
  override readonly name = "BrokenImage";
}

const found = <T>(value: T | undefined, what: string): T => {
  if (value === undefined) throw new BrokenImage(`the snapshot refers to ${what}, which is not in it`);
  return value;
};

/** Facts first, then what follows from them. */
const readLines = (lines: Iterable<ImageLine>): { readonly state: MutableState; readonly kept: ReservationFacts[] } => {
  const state = inside(createState());
  const specs: JobSpec[] = [];
  let largest: readonly number[] = [];
  const kept: ReservationFacts[] = [];
  for (const line of lines) {
    switch (line.kind) {
      case "state":
        Object.assign(state, line.facts);
        state.devices.restore(line.columns ?? []);
        state.finished = new Set(line.finished);
        state.toStop = new Set(line.toStop);
        state.demand = createDemand(line.demand);
        largest = line.largest;
        state.usage = createUsage(line.usage);
        break;
      case "spec":
        specs[line.number] = line.spec;
        break;
      case "host":
        state.hosts.set(line.facts.id, {
          // Before jobs had a patience of their own, none was told; before there were secrets, no key was.
          ...{ ...line.facts, silentMs: (line.facts as Partial<HostFacts>).silentMs ?? 0 },
          sealingKey: (line.facts as Partial<HostFacts>).sealingKey ?? null,
          drained: (line.facts as Partial<HostFacts>).drained ?? false,
          allocations: [],
          reservations: new Set(),
          slot: state.index.slotOf(line.facts.id),
        });
        break;
      case "job": {
        const spec = found(specs[line.spec], `spec ${line.spec}`);
        const requestClass = state.classes.retain(state.dimensions, spec);
        if (line.facts.finishedAtMs === null) noteAsked(state, spec, 1);
        state.jobs.set(line.facts.key, {
          ...line.facts,
          // Images of older versions do not say it.
          waitingSinceMs: line.facts.waitingSinceMs ?? null,
          spec,
          tasks: Array.from({ length: spec.count }, (_, index) => untouched(index)),
          requestClass,
          queueKey: queueKeyOf(requestClass, spec),
          wanting: new Bitset(spec.count),
          stranded: new Set(),
          displaced: new Set(),
          extra: new Map(line.extra),
          reserved: new Map(),
          daemon: createDaemon(spec),
        });
        break;
      }
      case "tasks": {
        const job = found(state.jobs.get(line.job), `job ${line.job}`);
        for (const task of line.tasks) job.tasks[task.index] = task;
        break;
      }
      case "allocation": {
        const spec = found(specs[line.spec], `spec ${line.spec}`);
        state.allocations.add(allocationOf(state, line.facts, spec));
        break;
      }
      case "volumes":
        for (const volume of line.volumes) state.volumes.set(volume.key, volume);
        break;
      case "project_secrets":
        for (const one of line.secrets) state.secrets.set(secretKey(one.project, one.name), one);
        break;
      case "image_names":
        for (const [name, manifest] of line.names) state.imageNames.set(name, manifest);
        break;
      case "projects":
        for (const project of line.projects) state.projects.set(project.name, project);
        break;
      case "audit":
        restoreAudit(state.audit, line);
        break;
      case "reservations":
        kept.push(...line.reservations);
        break;
      case "keys":
        for (const [key, entry] of line.entries) state.idempotency.set(key, entry);
    }
  }
  // Measured when the mix was renewed, by hosts that may be other ones now.
  state.index.setMix(state.demand.mix, largest.length === 0 ? undefined : largest);
  state.index.setSurvival(state.demand.survival());
  return { state, kept };
};

const rebuild = (state: MutableState, kept: readonly ReservationFacts[]): void => {
  state.index.setWidth(state.dimensions.length);
  for (const host of state.hosts.values()) {
    describeHost(state, host);
    state.usage.grow(toVector([], noResources()), toVector(state.dimensions, host.allocatable));
  }
  for (const { name, weight } of state.projects.values()) state.usage.setWeight(name, weight);
  for (const allocation of state.allocations.values()) {
    if (isTerminal(allocation.state)) continue;
    const host = found(state.hosts.get(allocation.hostId), `host ${allocation.hostId}`);
    host.allocations.push(allocation);
    account(state, allocation, host.slot, 1);
    state.usage.rebook(allocation.project, askedOf(allocation.requestClass).request);
  }
  for (const { job: key, index, hostId, devices } of kept) {
    const job = found(state.jobs.get(key as JobKey), `job ${key}`);
    reserve(state, job, index, found(state.hosts.get(hostId), `host ${hostId}`), devices);
  }
  for (const volume of state.volumes.values()) bookVolume(state, volume, 1);
  for (const job of state.jobs.values()) {
    restorePlaces(state, job);
    for (const task of job.tasks) {
      refreshWanting(state, job, task);
      if (task.notBeforeMs > 0 && task.status === "open" && task.active === null) {
        state.delayed.push({ atMs: task.notBeforeMs, key: job.key, index: task.index });
      }
    }
    for (const index of job.extra.keys()) refreshExtra(state, job, index);
    refreshQueue(state, job);
  }
  // They follow their hosts in the order in which they were submitted, the last time.
  state.daemons = new Set([...state.daemons].sort((a, b) => a.order - b.order));
};

/** Says that the state is that of another log, which begins after `revision`. */
export const moveRevision = (state: ClusterState, revision: number): void => {
  inside(state).revision = revision;
};

/** Makes `state` what the image says, whatever it was before. Throws `BrokenImage`, and leaves it alone then. */
export const restoreImage = (state: ClusterState, lines: Iterable<ImageLine>): void => {
  const { state: restored, kept } = readLines(lines);
  rebuild(restored, kept);
  Object.assign(inside(state), restored);
};
