/**
 * What agents and the scheduler say to each other over NATS. An agent is who its subject says it is: no payload names
 * its sender. Every request is answered with `{ok: true, value}` or `{ok: false, problem}`.
 */
import Type, { type Static, type TSchema } from "#typebox";
import { AllocationStateSchema, ExitSchema, ReasonSchema } from "./allocation.ts";
import { ChangesRpcSchema } from "./changes.ts";
import { PortGrantsSchema } from "./ports.ts";
import { DeviceGrantsSchema } from "./devices.ts";
import { CapacitySchema, ContainerUsageSchema, HostUsageSchema, InventorySchema, PressureSchema } from "./host.ts";
import { SessionIdSchema, SessionRequestSchema } from "./exec.ts";
import { AllocationIdSchema, HostIdSchema, JobNameSchema, ProjectNameSchema } from "./ids.ts";
import { JobSpecSchema } from "./job.ts";
import { ImageRpcSchemas } from "./image.ts";
import { LayerRpcSchemas } from "./layers.ts";
import { ProblemSchema } from "./problem.ts";
import { SealedSchema, SealingKeySchema } from "./secret.ts";
import { DesiredVolumeSchema, VolumeRpcSchemas } from "./volume.ts";

const strict = { additionalProperties: false } as const;
const whole = Type.Integer({ minimum: 0 });
/** Random, made at each start of an agent: tells a restarted agent from a late message of its former self. */
export const SessionSchema = Type.String({ pattern: "^[A-Za-z0-9_-]{16,64}$" });

/** The public part of an nkey of kind user: what proves a host to nats-server. The seed never leaves the host. */
export const PublicKeySchema = Type.String({ pattern: "^U[A-Z2-7]{55}$" });

/** Bytes that only the holder of the cluster key can have written: JSON text and its Ed25519 signature, base64. */
export const SignedSchema = Type.Object(
  { payload: Type.String(), signature: Type.String({ pattern: "^[A-Za-z0-9+/]{86}==$" }) },
  strict,
);
export type Signed = Static<typeof SignedSchema>;

/** One allocation of a desired document; `spec` is a key of the document's `specs`. */
export const DesiredAllocationSchema = Type.Object(
  {
    id: AllocationIdSchema,
    project: ProjectNameSchema,
    job: JobNameSchema,
    jobVersion: Type.Integer({ minimum: 1 }),
    index: whole,
    attempt: Type.Integer({ minimum: 1 }),
    epoch: whole,
    desired: Type.Enum(["run", "stop"]),
    spec: Type.String(),
    /** Those of its spec's volumes that are named, in their order; absent: none is. */
    volumes: Type.Optional(Type.Array(DesiredVolumeSchema, { maxItems: 64 })),
    /** What is its own of the host's devices; absent: nothing. */
    ports: Type.Optional(PortGrantsSchema),
    devices: Type.Optional(DeviceGrantsSchema),
    /** What its image's name stands for, where the cluster has said so: nothing else is to be started under it. */
    manifest: Type.Optional(Type.String({ pattern: "^sha256:[0-9a-f]{64}$" })),
  },
  strict,
);
export type DesiredAllocation = Static<typeof DesiredAllocationSchema>;

/**
 * Everything one host should run, whole. Newer means `(epoch, rev)` is greater, in that order; older ones are refused.
 * An allocation that is not in it is not wanted: it is stopped.
 */
export const DesiredDocumentSchema = Type.Object(
  {
    version: Type.Literal(1),
    host: HostIdSchema,
    epoch: whole,
    rev: whole,
    specs: Type.Record(Type.String(), JobSpecSchema),
    allocations: Type.Array(DesiredAllocationSchema),
    /** Those of its tasks, by `project/name`; absent: none. */
    secrets: Type.Optional(Type.Record(Type.String(), SealedSchema)),
  },
  strict,
);
export type DesiredDocument = Static<typeof DesiredDocumentSchema>;

/** The state of one allocation as its agent knows it. Whole, so that repeating it does no harm. */
export const AllocationReportSchema = Type.Object(
  {
    id: AllocationIdSchema,
    state: AllocationStateSchema,
    reason: ReasonSchema,
    startedAtMs: Type.Union([whole, Type.Null()]),
    exit: Type.Union([ExitSchema, Type.Null()]),
  },
  strict,
);
export type AllocationReport = Static<typeof AllocationReportSchema>;

/** At most this many allocations in one report: a larger set is sent in several. */
export const MAX_REPORTS = 500;
const reports = Type.Array(AllocationReportSchema, { maxItems: MAX_REPORTS });

/** `api.<host>.hello`, the first request of a session. */
export const HelloSchema = Type.Object(
  {
    version: Type.Literal(1),
    session: SessionSchema,
    bootId: Type.String({ maxLength: 64 }),
    inventory: InventorySchema,
    capacity: CapacitySchema,
    /** Absent: an agent that knows no secrets. */
    sealingKey: Type.Optional(SealingKeySchema),
    epoch: whole,
    rev: whole,
  },
  strict,
);
export type Hello = Static<typeof HelloSchema>;

export const WelcomeSchema = Type.Object({ epoch: whole, heartbeatMs: whole, desired: SignedSchema }, strict);
export type Welcome = Static<typeof WelcomeSchema>;

/** `api.<host>.report`: acknowledged only after it is in the log. */
export const ReportSchema = Type.Object({ session: SessionSchema, allocations: reports }, strict);
export type Report = Static<typeof ReportSchema>;
export const ReportedSchema = Type.Object({ rev: whole }, strict);
export type Reported = Static<typeof ReportedSchema>;

/** `api.<host>.sync`: what the agent has; the answer is a document if there is a newer one. */
export const SyncSchema = Type.Object({ session: SessionSchema, epoch: whole, rev: whole }, strict);
export type Sync = Static<typeof SyncSchema>;
export const SyncedSchema = Type.Object({ desired: Type.Union([SignedSchema, Type.Null()]) }, strict);
export type Synced = Static<typeof SyncedSchema>;

/** `api.<host>.lease`: asked again and again by a host that may run singletons. The nonce is of one question. */
export const NonceSchema = Type.String({ pattern: "^[A-Za-z0-9_-]{16,64}$" });
export const LeaseRequestSchema = Type.Object({ session: SessionSchema, nonce: NonceSchema }, strict);
export type LeaseRequest = Static<typeof LeaseRequestSchema>;

/**
 * What the leader signs: whoever asked with this nonce may run its singletons for their leases (lease.ts), counted from
 * before the question, as far as a document of at least this `rev` wants them. A host that has an older one asks for it first.
 */
export const LeaseSchema = Type.Object(
  {
    kind: Type.Literal("lease"),
    host: HostIdSchema,
    session: SessionSchema,
    epoch: whole,
    rev: whole,
    nonce: NonceSchema,
  },
  strict,
);
export type Lease = Static<typeof LeaseSchema>;
export const LeasedSchema = Type.Object({ lease: SignedSchema }, strict);
export type Leased = Static<typeof LeasedSchema>;

/** `hb.<host>`: never stored, the last one wins. `digest` covers ids and states of all allocations the agent holds. */
export const HeartbeatSchema = Type.Object(
  {
    session: SessionSchema,
    seq: whole,
    epoch: whole,
    rev: whole,
    digest: Type.String({ maxLength: 64 }),
    usage: HostUsageSchema,
    pressure: Type.Union([PressureSchema, Type.Null()]),
    containers: Type.Record(AllocationIdSchema, ContainerUsageSchema, strict),
  },
  strict,
);
export type Heartbeat = Static<typeof HeartbeatSchema>;

/** A file of an allocation that can be read through its agent. */
export const AllocationFileSchema = Type.Union([
  Type.Object({ kind: Type.Enum(["stdout", "stderr"]) }, strict),
  Type.Object({ kind: Type.Literal("output"), path: Type.String({ minLength: 1, maxLength: 4096 }) }, strict),
]);
export type AllocationFile = Static<typeof AllocationFileSchema>;

/** Requests that change something are valid for this long, and clocks may differ by as much. */
export const RPC_VALID_MS = 300_000;

/** `host.<host>.rpc`, signed by the scheduler. `session` and `epoch` bind it to this life of the agent and this leader. */
export const RpcSchema = Type.Object(
  {
    host: HostIdSchema,
    session: SessionSchema,
    epoch: whole,
    /** Who has signed it, a name made at each start, and its number there: obeyed once. */
    issuer: Type.String({ pattern: "^[a-z0-9]{8,32}$" }),
    seq: whole,
    /** On the scheduler's clock; what changes something is not obeyed later (RPC_VALID_MS). */
    expiresAtMs: whole,
    op: Type.Union([
      Type.Object(
        {
          kind: Type.Literal("read"),
          allocation: AllocationIdSchema,
          file: AllocationFileSchema,
          offset: whole,
          maxBytes: Type.Integer({ minimum: 1, maximum: 262_144 }),
          /** Waits this long for bytes beyond `offset` while the container may still write some. */
          waitMs: Type.Integer({ minimum: 0, maximum: 10_000 }),
        },
        strict,
      ),
      Type.Object({ kind: Type.Literal("list_outputs"), allocation: AllocationIdSchema, offset: whole }, strict),
      ChangesRpcSchema,
      /** Answered when every process stands still, or goes on: `{}`. */
      Type.Object({ kind: Type.Enum(["pause", "resume"]), allocation: AllocationIdSchema }, strict),
      ...ImageRpcSchemas,
      ...LayerRpcSchemas,
      ...VolumeRpcSchemas,
      Type.Object(
        {
          kind: Type.Literal("open"),
          allocation: AllocationIdSchema,
          /** Also what makes the request unique: an agent opens each id once. */
          id: SessionIdSchema,
          /** On the scheduler's clock; not obeyed later. */
          expiresAtMs: whole,
          request: SessionRequestSchema,
        },
        strict,
      ),
    ]),
  },
  strict,
);
export type Rpc = Static<typeof RpcSchema>;

/** Answer to `read`: `size` is the file's size now, `done` means no byte will ever follow it. */
export const ChunkSchema = Type.Object(
  { data: Type.String(), offset: whole, size: whole, done: Type.Boolean() },
  strict,
);
export type Chunk = Static<typeof ChunkSchema>;

/** Answer to `list_outputs`: paths relative to the output root, sorted; `next` is the offset of the next page. */
export const OutputListSchema = Type.Object(
  {
    files: Type.Array(Type.Object({ path: Type.String(), sizeBytes: whole }, strict), { maxItems: 1000 }),
    next: Type.Union([whole, Type.Null()]),
  },
  strict,
);
export type OutputList = Static<typeof OutputListSchema>;

/** The answer to every request on the bus. */
export type Reply<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly problem: Static<typeof ProblemSchema> };
export const replySchema = <S extends TSchema>(value: S) =>
  Type.Union([
    Type.Object({ ok: Type.Literal(true), value }, strict),
    Type.Object({ ok: Type.Literal(false), problem: ProblemSchema }, strict),
  ]);
