/** What a host says of itself: what it is (inventory), what it has (capacity), what is going on (usage, pressure). */
import Type, { type Static } from "typebox";
import { HostIdSchema } from "./ids.ts";
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
  { capacity: ResourcesSchema, systemReserved: ResourcesSchema, allocatable: ResourcesSchema },
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

/** Measured use of one running container. */
export const ContainerUsageSchema = Type.Object(
  { cpuMillis: count, memoryBytes: count, pids: count },
  { additionalProperties: false },
);
export type ContainerUsage = Static<typeof ContainerUsageSchema>;

export const HOST_STATES = ["ready", "lost"] as const;
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
    usage: Type.Union([HostUsageSchema, Type.Null()]),
    pressure: Type.Union([PressureSchema, Type.Null()]),
    lastHeartbeatAgoMs: Type.Union([count, Type.Null()]),
  },
  { additionalProperties: false },
);
export type HostView = Static<typeof HostViewSchema>;
