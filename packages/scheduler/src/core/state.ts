/**
 * What the cluster is, folded from the log: jobs with their tasks, hosts, allocations, who leads. These are read-only
 * views of one mutable state; only `fold` changes it, and nothing in it comes from anywhere but the log. Beside the
 * facts it keeps indexes (what wants work, what hosts have left) so that a decision costs what it decides, not what
 * exists; they are functions of the facts.
 */
import {
  DIMENSIONS,
  type AllocationId,
  type AllocationState,
  type Capacity,
  type DeviceGrant,
  type Exit,
  type HostId,
  type HostState,
  type Inventory,
  type JobKey,
  type JobName,
  type JobSpec,
  type PortGrant,
  type ProjectName,
  type Resources,
  type TaskCounts,
} from "@berth/schema";
import type { Bitset } from "./bitset.ts";
import type { Daemon } from "./daemons.ts";
import { createDeviceLayout, type DeviceLayout } from "./devices.ts";
import { createDemand, type Demand } from "./demand.ts";
import { createHostIndex, type HostIndex } from "./host-index.ts";
import type { AccessRecord } from "./access.ts";
import { createAuditTrail, type AuditTrail } from "./audit.ts";
import { IdMap } from "./id-map.ts";
import type { JoinTokenRecord } from "./join-tokens.ts";
import type { Ingredient, KeptScore } from "./kept-score.ts";
import type { ProjectRecord } from "./projects.ts";
import { createLedger, type Ledger } from "./ledger.ts";
import { Queues } from "./queues.ts";
import { createClassTable, type ClassTable, type RequestClass } from "./request-class.ts";
import type { Reservation } from "./reservations.ts";
import type { SecretRecord } from "./secrets.ts";
import type { SortedList } from "./sorted-list.ts";
import { createTimeHeap, type TimeHeap } from "./time-heap.ts";
import { createUsage, type Usage } from "./usage.ts";
import type { VolumeKey, VolumeRecord } from "./volumes.ts";

/** `open`: still to be run to an end. The others are ends and final within a job version. */
export type TaskStatus = "open" | "succeeded" | "failed" | "stopped";

/** One index of the current version of a job. */
export interface TaskRecord {
  readonly index: number;
  readonly status: TaskStatus;
  /** The one allocation of this index that has not ended; of an earlier version while that one is being stopped. */
  readonly active: AllocationId | null;
  /** Placements in this job version. */
  readonly attempts: number;
  /** Ends that count against `restart.max`. A lost or rebooted host does not count. */
  readonly restarts: number;
  /** Ends in a row without a long run between them: the exponent of the backoff. */
  readonly streak: number;
  /** Not placed before this time. 0: at once. */
  readonly notBeforeMs: number;
  /** How the newest ended attempt of this version ended. */
  readonly exit: Exit | null;
  /** The newest ended allocations of this index, oldest first, at most FINISHED_PER_TASK. */
  readonly history: readonly AllocationId[];
  /** Of a daemon: the host that it belongs to; null: that is gone. */
  readonly hostId?: HostId | null;
}

export interface JobRecord {
  readonly key: JobKey;
  readonly project: ProjectName;
  readonly name: JobName;
  readonly version: number;
  readonly spec: JobSpec;
  readonly desired: "run" | "stop";
  readonly submittedBy: string;
  readonly submittedAtMs: number;
  /** Counts submissions: jobs are served in this order. */
  readonly order: number;
  /** Since when some of it waits for a place; null while nothing does. */
  readonly waitingSinceMs: number | null;
  readonly finishedAtMs: number | null;
  /** Set once finished: see `exitCodeOf`. */
  readonly exitCode: number | null;
  readonly tasks: readonly TaskRecord[];
  /** Always add up to the number of tasks. */
  readonly counts: Readonly<TaskCounts>;
  /** Tasks, and indices beyond a reduced count, that hold an allocation which has not ended. */
  readonly activeTasks: number;
}

export interface HostRecord {
  readonly id: HostId;
  readonly publicKey: string;
  readonly enrolledBy: string;
  readonly enrolledAtMs: number;
  /** `enrolled`: admitted, has not said hello yet. */
  readonly state: "enrolled" | HostState;
  /** How long it has been silent as far as the log says; 0 while it answers. */
  readonly silentMs: number;
  /** What it should be when it answers: of two hosts that return, one may still be closed. */
  readonly duty: "open" | "cordoned" | "draining";
  /** It is closed since a drain has come to its end: then for daemons as well. */
  readonly drained: boolean;
  /** When what is left on a draining host is stopped. */
  readonly drainDeadlineAtMs: number | null;
  readonly session: string | null;
  readonly bootId: string | null;
  /** What is sealed to it, only this host can open; null: its agent knows no secrets. */
  readonly sealingKey: string | null;
  readonly inventory: Inventory | null;
  /** As the host reported it. */
  readonly capacity: Capacity | null;
  /** What may be booked in all: the reported allocatable, never above what capacity and system reserve leave. */
  readonly allocatable: Resources;
  /** Those that have not ended, in the order in which they came. What they have reserved: see `reservedOn`. */
  readonly allocations: readonly AllocationRecord[];
  /** Sequence of the record that last changed this host's desired document. */
  readonly desiredRev: number;
}

export interface TaskRef {
  readonly project: ProjectName;
  readonly job: JobName;
  readonly index: number;
}

export interface AllocationRecord extends KeptScore {
  readonly id: AllocationId;
  readonly key: JobKey;
  readonly project: ProjectName;
  readonly job: JobName;
  readonly jobVersion: number;
  /** The spec of that version: what the host runs even after the job has a newer one. */
  readonly spec: JobSpec;
  /** What it has of its host's devices; absent: nothing. */
  readonly devices?: readonly DeviceGrant[];
  /** The numbers that it has of its host's ports; absent: none. */
  readonly ports?: readonly PortGrant[];
  readonly index: number;
  readonly attempt: number;
  readonly hostId: HostId;
  /** Who led when it was placed. */
  readonly epoch: number;
  readonly state: AllocationState;
  readonly desired: "run" | "stop";
  readonly reason: string;
  /** Whoever got its room, when it was stopped for that. */
  readonly preemptedBy?: TaskRef;
  readonly placedAtMs: number;
  readonly startedAtMs: number | null;
  readonly exit: Exit | null;
}

export interface IdempotencyEntry {
  readonly digest: string;
  readonly key: JobKey;
  readonly version: number;
}

export interface ClusterState {
  /** Sequence of the newest transaction that was folded. */
  readonly revision: number;
  /** Sequence of the newest `leader_elected` record. */
  readonly epoch: number;
  /** What every instance must sign with, as its public half; null before the first election. */
  readonly clusterKey: string | null;
  readonly jobs: ReadonlyMap<JobKey, JobRecord>;
  readonly hosts: ReadonlyMap<HostId, HostRecord>;
  readonly allocations: ReadonlyMap<AllocationId, AllocationRecord>;
  /** Those on hosts that are gone included, until somebody gives them up. */
  readonly volumes: ReadonlyMap<VolumeKey, VolumeRecord>;
  /** By `project/name`; see secrets.ts. */
  readonly secrets: ReadonlyMap<string, SecretRecord>;
  /** What names of the cluster stand for; see image-names.ts. */
  readonly imageNames: ReadonlyMap<string, string>;
  /** The dimensions that count, in the order in which they began to; see dimensions.ts. */
  readonly dimensions: readonly string[];
  /** By user and Idempotency-Key (see `idempotencyKeyOf`); the newest MAX_IDEMPOTENCY_KEYS are kept. */
  readonly idempotency: ReadonlyMap<string, IdempotencyEntry>;
  /** With which machines may join; see join-tokens.ts. */
  readonly joinTokens: readonly JoinTokenRecord[];
  /** Those that somebody declared; see projects.ts. */
  readonly projects: ReadonlyMap<ProjectName, ProjectRecord>;
  /** Who may do what; see access.ts. */
  readonly access: readonly AccessRecord[];
  /** Who changed what, and who was refused; see audit.ts. */
  readonly audit: AuditTrail;
  /** Finished jobs, the one that finished first first. */
  readonly finished: ReadonlySet<JobKey>;
  /** Tasks of jobs that have not finished, and of those that have. */
  readonly activeTaskCount: number;
  readonly finishedTaskCount: number;
  /** Records that said something unknown, contradictory or old, since the start of the fold. */
  readonly ignoredRecords: number;
}

/**
 * What one fold touched, so that views are rendered again only where needed. The lists are written for every record and read
 * only while somebody looks on: they may say the same twice, and name allocations that are among the removed.
 */
export interface Changes {
  readonly hosts: HostId[];
  readonly jobs: Set<JobKey>;
  readonly allocations: AllocationId[];
  readonly removed: {
    readonly jobs: Map<JobKey, { readonly project: ProjectName; readonly name: JobName }>;
    readonly allocations: AllocationId[];
    readonly hosts: Set<HostId>;
  };
  /** Hosts whose desired document is another one now. */
  readonly documents: HostId[];
  /** Records of this transaction that were ignored. */
  readonly ignored: number;
}

type Writable<T> = { -readonly [K in keyof T]: T[K] };

export type MutableTask = Writable<Omit<TaskRecord, "history">> & { history: AllocationId[] };
export type MutableAllocation = Writable<AllocationRecord> & {
  /** What it has booked, as the index counts it. */
  requestClass: RequestClass;
};
export type MutableHost = Writable<Omit<HostRecord, "allocations">> & {
  allocations: MutableAllocation[];
  /** Room kept there, the oldest first. */
  readonly reservations: Set<Reservation>;
  /** Its place in the index. */
  readonly slot: number;
};
export type MutableJob = Writable<Omit<JobRecord, "tasks" | "counts">> & {
  tasks: MutableTask[];
  counts: Writable<TaskCounts>;
  requestClass: RequestClass;
  /** Indices that want a placement now, those that must wait for a later time excepted. */
  wanting: Bitset;
  /** Of the wanting, those whose current allocation sits on a lost host: `maxRunning` has counted them already. */
  stranded: Set<number>;
  /** Indices whose allocation of an earlier version sits on a lost host: `maxRunning` does not count what may never end. */
  displaced: Set<number>;
  /** Allocations of indices beyond the count of the current version, until they have ended. */
  extra: Map<number, AllocationId>;
  /** Indices for which room is kept: they want nothing else meanwhile. */
  reserved: Map<number, Reservation>;
  /** Null of what has a choice of hosts. */
  daemon: Daemon | null;
  /** The queue that it stands in when it wants something. */
  queueKey: string;
};

/**
 * Jobs of one request class, project and priority that want placements and may have them, in the order in which they are
 * served.
 */
export interface ClassQueue {
  readonly requestClass: RequestClass;
  readonly priority: number;
  readonly jobs: SortedList<MutableJob>;
  /** Those of them of which some would take the place of an attempt on a lost host. */
  readonly replacing: SortedList<MutableJob>;
  /**
   * Set by planning, which found that this class fits nowhere: the mark of the index at that time. No fact but a short
   * cut: a plan comes out the same without it.
   */
  parkedAt: number | null;
  /** `budgetChanges` at that time, or null: nothing was less important, so that nobody could have been stopped. */
  parkedBudget: number | null;
  /** With hosts of these sizes (`sizes` of the index) it was looked whether one could take it if it were empty. */
  sizesAt: number | null;
  isTooLarge: boolean;
}

export interface MutableState extends Writable<
  Omit<
    ClusterState,
    "jobs" | "hosts" | "allocations" | "volumes" | "secrets" | "imageNames" | "projects" | "idempotency" | "finished"
  >
> {
  jobs: Map<JobKey, MutableJob>;
  hosts: Map<HostId, MutableHost>;
  allocations: IdMap<AllocationId, MutableAllocation>;
  volumes: Map<VolumeKey, VolumeRecord>;
  secrets: Map<string, SecretRecord>;
  imageNames: Map<string, string>;
  projects: Map<ProjectName, ProjectRecord>;
  idempotency: Map<string, IdempotencyEntry>;
  finished: Set<JobKey>;
  /** The order of the newest submission. */
  lastOrder: number;
  /** Allocations that run although their job wants them ended. */
  toStop: Set<AllocationId>;
  /** See kept-score.ts. */
  ingredients: (readonly Ingredient[])[];
  classes: ClassTable;
  /** Where devices stand in vectors. */
  devices: DeviceLayout;
  /** How many jobs ask for a further dimension. */
  asked: Map<string, number>;
  /** Daemons that have not finished. */
  daemons: Set<MutableJob>;
  /** By `queueKeyOf`. */
  queues: Queues;
  /** All of them, the oldest first. */
  reservations: Set<Reservation>;
  /** How many allocations that have not ended have which priority. */
  priorities: Map<number, number>;
  /** How many of them end at a known time at the latest. */
  limited: number;
  /** Counts changes of jobs with a disruption budget: what none of them would give up may be given up now. */
  budgetChanges: number;
  ledger: Ledger;
  usage: Usage;
  delayed: TimeHeap;
  demand: Demand;
  index: HostIndex;
}

export const createState = (): ClusterState => {
  const ledger = createLedger();
  const devices = createDeviceLayout();
  const state: MutableState = {
    revision: 0,
    epoch: 0,
    clusterKey: null,
    jobs: new Map(),
    hosts: new Map(),
    allocations: new IdMap(),
    volumes: new Map(),
    secrets: new Map(),
    imageNames: new Map(),
    projects: new Map(),
    idempotency: new Map(),
    joinTokens: [],
    access: [],
    audit: createAuditTrail(),
    finished: new Set(),
    activeTaskCount: 0,
    finishedTaskCount: 0,
    ignoredRecords: 0,
    lastOrder: 0,
    dimensions: [...DIMENSIONS],
    toStop: new Set(),
    ingredients: [],
    classes: createClassTable(devices),
    devices,
    asked: new Map(),
    daemons: new Set(),
    queues: new Queues(),
    reservations: new Set(),
    priorities: new Map(),
    limited: 0,
    budgetChanges: 0,
    ledger,
    usage: createUsage(),
    delayed: createTimeHeap(),
    demand: createDemand(),
    index: createHostIndex(undefined, ledger.stir, devices),
  };
  return state;
};

/** The state as core modules see it. Every ClusterState comes from `createState`, so the cast is sound. */
export const inside = (state: ClusterState): MutableState => state as MutableState;

/** Keys of different users never meet. */
export const idempotencyKeyOf = (by: string, key: string): string => `${by}\n${key}`;

/** Bounds of what a cluster keeps. */
export const MAX_JOBS = 10_000;
export const MAX_ACTIVE_TASKS = 1_000_000;
/** Each has a task on every host that is still to come, and is asked about every host that changes. */
export const MAX_DAEMONS = 100;
export const MAX_PROJECTS = 10_000;
export const MAX_FINISHED_JOBS = 1_000;
export const MAX_FINISHED_TASKS = 200_000;
export const FINISHED_PER_TASK = 3;
export const MAX_IDEMPOTENCY_KEYS = 10_000;
