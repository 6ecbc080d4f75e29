/** What a host says of itself: what it is (inventory), what it has (capacity), what is going on (usage, pressure). */
import Type, { type Static } from "#typebox";
import { DeviceSchema, MAX_DEVICES } from "./devices.ts";
import { AllowedPathSchema, MAX_HOST_PATHS } from "./host-paths.ts";
import { AllocationIdSchema, HostIdSchema, JobNameSchema, ProjectNameSchema } from "./ids.ts";
import { PortRangeSchema } from "./ports.ts";
import { ResourcesSchema } from "./resources.ts";

const text = Type.String({ maxLength: 256 });
const count = Type.Integer({ minimum: 0 });
const ratio = Type.Number({ minimum: 0, maximum: 1 });

/** Slow facts, read once at start-up. */
export const InventorySchema = Type.Object(
  {
    hostname: text,
    arch: text,
    os: text,
    kernel: text,
    cpuModel: text,
    cpuCount: count,
    memoryBytes: count,
    cgroupVersion: Type.Enum(["v1", "hybrid", "v2"]),
    /** What this host cannot enforce, as sentences: reported in plans, never dropped silently. */
    notEnforced: Type.Array(text, { maxItems: 64 }),
    agentVersion: text,
    /** What jobs may mount of it, as its operator says; absent: it does not say. */
    hostPaths: Type.Optional(Type.Array(AllowedPathSchema, { maxItems: MAX_HOST_PATHS })),
    /** Jobs of projects that may do so run here without the filter of system calls, if they ask for it. */
    unconfinedSeccomp: Type.Optional(Type.Literal(true)),
    /** Given by the operator; what rules of placement ask about as host.labels.NAME. */
    labels: Type.Optional(
      Type.Record(Type.String({ pattern: "^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}$" }), Type.String({ maxLength: 128 }), {
        additionalProperties: false,
        maxProperties: 64,
      }),
    ),
  },
  { additionalProperties: false },
);
export type Inventory = Static<typeof InventorySchema>;

/** `allocatable = capacity - systemReserved`: what may be requested on this host in all. */
export const CapacitySchema = Type.Object(
  {
    capacity: ResourcesSchema,
    systemReserved: ResourcesSchema,
    allocatable: ResourcesSchema,
    /** What may be given to tasks one by one; what they have in all is in `capacity.more` too. */
    devices: Type.Optional(Type.Array(DeviceSchema, { maxItems: MAX_DEVICES })),
    /** As many as these are in `capacity.more` too. */
    ports: Type.Optional(PortRangeSchema),
  },
  { additionalProperties: false },
);
export type Capacity = Static<typeof CapacitySchema>;

/** Measured use of the whole host. */
export const HostUsageSchema = Type.Object(
  {
    cpuMillis: count,
    memoryBytes: count,
    pids: count,
    load1: Type.Number({ minimum: 0 }),
    uptimeMs: count,
  },
  { additionalProperties: false },
);
export type HostUsage = Static<typeof HostUsageSchema>;

/** Pressure stall information: share of the last 10 s in which some or all tasks waited (Documentation/accounting/psi.rst). */
export const PressureSchema = Type.Object(
  {
    cpuSome10: ratio,
    memorySome10: ratio,
    memoryFull10: ratio,
    ioSome10: ratio,
    ioFull10: ratio,
  },
  { additionalProperties: false },
);
export type Pressure = Static<typeof PressureSchema>;

/**
 * Measured use of one running container. `paused` is there while every process of it stands still, `limitsRefused` while
 * its host could not give it the limits that its job has now: why, and the former ones hold.
 */
export const ContainerUsageSchema = Type.Object(
  {
    cpuMillis: count,
    memoryBytes: count,
    pids: count,
    paused: Type.Optional(Type.Literal(true)),
    limitsRefused: Type.Optional(Type.String({ maxLength: 300 })),
  },
  { additionalProperties: false },
);
export type ContainerUsage = Static<typeof ContainerUsageSchema>;

/**
 * `cordoned` takes nothing new; `draining` gives away what it has as well; `disconnected` has been silent for a moment and
 * takes nothing new; `lost` has been silent for long, and its tasks are placed elsewhere.
 */
export const HOST_STATES = ["ready", "cordoned", "draining", "disconnected", "lost"] as const;
export const HostStateSchema = Type.Enum([...HOST_STATES]);
export type HostState = (typeof HOST_STATES)[number];

/** A host as the API shows it. `reserved` is the sum of requests booked there; `usage` is null until a heartbeat came. */
export const HostViewSchema = Type.Object(
  {
    id: HostIdSchema,
    state: HostStateSchema,
    inventory: InventorySchema,
    capacity: CapacitySchema,
    reserved: ResourcesSchema,
    allocations: count,
    /** A drain has come to its end: closed for daemons, too, until it is opened or closed anew. */
    drained: Type.Optional(Type.Literal(true)),
    /** When what is left on a draining host is stopped. */
    drainDeadlineAtMs: Type.Optional(Type.Union([count, Type.Null()])),
    usage: Type.Union([HostUsageSchema, Type.Null()]),
    pressure: Type.Union([PressureSchema, Type.Null()]),
    lastHeartbeatAgoMs: Type.Union([count, Type.Null()]),
  },
  { additionalProperties: false },
);
export type HostView = Static<typeof HostViewSchema>;

/** How a host is emptied. Services move at once, one task of a job at a time; batch tasks may end until the deadline. */
export const DrainRequestSchema = Type.Object(
  {
    deadline: Type.Optional(
      Type.String({
        maxLength: 32,
        description: "then what is left is stopped: 30m; 0s stops all at once; default 1h",
      }),
    ),
  },
  { additionalProperties: false },
);
export type DrainRequest = Static<typeof DrainRequestSchema>;

/**
 * `move`: to that host, as things are now. `finish`: it may end by itself. `wait`: no other host has room for it yet. `stop`:
 * a daemon, which belongs to this host and stops when all others have left.
 */
export const DrainStepSchema = Type.Object(
  {
    allocation: AllocationIdSchema,
    project: ProjectNameSchema,
    job: JobNameSchema,
    index: count,
    kind: Type.Enum(["move", "finish", "wait", "stop"]),
    to: Type.Union([HostIdSchema, Type.Null()]),
  },
  { additionalProperties: false },
);
export const DrainPlanSchema = Type.Object(
  { host: HostIdSchema, deadlineMs: count, steps: Type.Array(DrainStepSchema) },
  { additionalProperties: false },
);
export type DrainPlan = Static<typeof DrainPlanSchema>;

/** Takes a host out of the cluster for good. With `force`, also one that runs something. */
export const RemovalSchema = Type.Object({ force: Type.Optional(Type.Boolean()) }, { additionalProperties: false });
export type Removal = Static<typeof RemovalSchema>;
export const RemovedSchema = Type.Object(
  { host: HostIdSchema, allocations: count, revision: count },
  { additionalProperties: false },
);
export type Removed = Static<typeof RemovedSchema>;
