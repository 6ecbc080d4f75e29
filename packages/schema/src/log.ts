/**
 * The log: one message is one transaction, appended with the expected last sequence, so that it is the only truth, the
 * lock and the audit trail. State is the fold of these records and nothing else; replaying them gives the same state.
 * Record kinds are versioned by `version` of the transaction; a reader upgrades old ones (log-upgrade.ts), a writer writes
 * the newest.
 */
import Type, { type Static } from "#typebox";
import { AccessDigestSchema, AccessIdSchema, AccessNameSchema, AccessProjectsSchema, RoleSchema } from "./access.ts";
import { LimitsSchema } from "./resources.ts";
import { AllocationReportSchema, PublicKeySchema, SessionSchema } from "./agent.ts";
import { ReasonSchema } from "./allocation.ts";
import { CapacitySchema, InventorySchema } from "./host.ts";
import { AllocationIdSchema, HostIdSchema, JobNameSchema, ProjectNameSchema } from "./ids.ts";
import { ImageNameSchema } from "./image.ts";
import { JobSpecSchema } from "./job.ts";
import { JoinDigestSchema, JoinTokenIdSchema } from "./join.ts";
import { DeviceGrantsSchema } from "./devices.ts";
import { EncryptedSchema, SealingKeySchema, SecretNameSchema } from "./secret.ts";
import { PortGrantsSchema } from "./ports.ts";
import { ScoreBreakdownSchema } from "./plan.ts";
import { QuotaSchema, WeightSchema } from "./project.ts";
import { VolumeNameSchema, VolumeStateSchema } from "./volume.ts";

const strict = { additionalProperties: false } as const;
const whole = Type.Integer({ minimum: 0 });
const version = Type.Integer({ minimum: 1 });

/** So many allocations may be stopped for one task. */
export const MAX_VICTIMS = 256;

export const PlacementSchema = Type.Object(
  {
    id: AllocationIdSchema,
    project: ProjectNameSchema,
    job: JobNameSchema,
    jobVersion: version,
    index: whole,
    attempt: version,
    hostId: HostIdSchema,
    score: ScoreBreakdownSchema,
    /** The attempt on a lost host that this one takes the place of: it becomes `lost` in the same transaction. */
    replaces: Type.Union([AllocationIdSchema, Type.Null()]),
    /** Absent: its job asks for none. */
    devices: Type.Optional(DeviceGrantsSchema),
    /** Absent: its job asks for none. */
    ports: Type.Optional(PortGrantsSchema),
  },
  strict,
);
export type Placement = Static<typeof PlacementSchema>;

/** Method and address with its placeholders, and what those stood for, where it is the name of something. */
const aboutRequest = {
  request: Type.String({ maxLength: 256 }),
  project: Type.Union([ProjectNameSchema, Type.Null()]),
  job: Type.Union([JobNameSchema, Type.Null()]),
  host: Type.Union([HostIdSchema, Type.Null()]),
};

/** All that is said of a project, also when only some of it changes. */
const project = {
  project: ProjectNameSchema,
  description: Type.String({ maxLength: 256 }),
  weight: WeightSchema,
  quota: QuotaSchema,
  /** Its jobs may do without the filter of system calls from here on; absent: they may not. */
  unconfinedSeccomp: Type.Optional(Type.Literal(true)),
  by: Type.String({ maxLength: 128 }),
};

export const RecordSchema = Type.Union([
  /** Whoever appended this leads from here on; the epoch is its sequence number. */
  Type.Object({ kind: Type.Literal("leader_elected"), instance: Type.String({ maxLength: 128 }) }, strict),
  /** Changes nothing: that the log took it proves that the instance still led. Written before leases are granted. */
  Type.Object({ kind: Type.Literal("leader_confirmed") }, strict),
  /** The public half of the cluster's key: an instance with another one must not lead, since agents would believe nothing it says. */
  Type.Object({ kind: Type.Literal("cluster_keyed"), publicKey: Type.String({ maxLength: 1024 }) }, strict),
  /** The first record of a log that begins with a backup: how far that went, and when it was made. */
  Type.Object({ kind: Type.Literal("log_restored"), revision: whole, takenAtMs: whole }, strict),
  Type.Object(
    {
      kind: Type.Literal("job_submitted"),
      spec: JobSpecSchema,
      jobVersion: version,
      by: Type.String({ maxLength: 128 }),
      idempotencyKey: Type.Union([Type.String({ maxLength: 128 }), Type.Null()]),
      requestDigest: Type.String({ maxLength: 128 }),
    },
    strict,
  ),
  /** A new version that differs in its limits only: what runs goes on, under the new ones. */
  Type.Object(
    {
      kind: Type.Literal("job_limits_changed"),
      project: ProjectNameSchema,
      job: JobNameSchema,
      jobVersion: version,
      limits: LimitsSchema,
      by: Type.String({ maxLength: 128 }),
      idempotencyKey: Type.Union([Type.String({ maxLength: 128 }), Type.Null()]),
      requestDigest: Type.String({ maxLength: 128 }),
    },
    strict,
  ),
  Type.Object(
    {
      kind: Type.Literal("job_stopped"),
      project: ProjectNameSchema,
      job: JobNameSchema,
      by: Type.String({ maxLength: 128 }),
    },
    strict,
  ),
  /** Finished jobs are forgotten when there are more of them than the cluster keeps. */
  Type.Object({ kind: Type.Literal("job_forgotten"), project: ProjectNameSchema, job: JobNameSchema }, strict),
  /** The host's public key was admitted; from here on it may connect. */
  Type.Object(
    {
      kind: Type.Literal("host_enrolled"),
      hostId: HostIdSchema,
      publicKey: PublicKeySchema,
      by: Type.String({ maxLength: 128 }),
    },
    strict,
  ),
  Type.Object(
    {
      kind: Type.Literal("host_registered"),
      hostId: HostIdSchema,
      session: SessionSchema,
      bootId: Type.String({ maxLength: 64 }),
      inventory: InventorySchema,
      capacity: CapacitySchema,
      /** What secrets are sealed to for this host. */
      sealingKey: Type.Optional(SealingKeySchema),
    },
    strict,
  ),
  Type.Object({ kind: Type.Literal("host_disconnected"), hostId: HostIdSchema, silentMs: whole }, strict),
  Type.Object({ kind: Type.Literal("host_lost"), hostId: HostIdSchema, silentMs: whole }, strict),
  /** So long that a job's own patience, shorter or longer than the cluster's, has come to its end. */
  Type.Object({ kind: Type.Literal("host_silent"), hostId: HostIdSchema, silentMs: whole }, strict),
  Type.Object({ kind: Type.Literal("host_ready"), hostId: HostIdSchema }, strict),
  /** It takes nothing new from here on. Also how a drain ends, or is cancelled. */
  Type.Object(
    { kind: Type.Literal("host_cordoned"), hostId: HostIdSchema, by: Type.String({ maxLength: 128 }) },
    strict,
  ),
  Type.Object(
    { kind: Type.Literal("host_uncordoned"), hostId: HostIdSchema, by: Type.String({ maxLength: 128 }) },
    strict,
  ),
  Type.Object(
    {
      kind: Type.Literal("host_draining"),
      hostId: HostIdSchema,
      by: Type.String({ maxLength: 128 }),
      deadlineAtMs: whole,
    },
    strict,
  ),
  /** It is forgotten, its key with it; what it ran counts as lost. */
  Type.Object(
    { kind: Type.Literal("host_removed"), hostId: HostIdSchema, by: Type.String({ maxLength: 128 }) },
    strict,
  ),
  /** A machine may join with the secret that has this SHA-256, once and until then. */
  Type.Object(
    {
      kind: Type.Literal("join_token_created"),
      id: JoinTokenIdSchema,
      digest: JoinDigestSchema,
      hostId: Type.Union([HostIdSchema, Type.Null()]),
      expiresAtMs: whole,
      by: Type.String({ maxLength: 128 }),
    },
    strict,
  ),
  /** In the transaction that enrols the host. */
  Type.Object({ kind: Type.Literal("join_token_used"), id: JoinTokenIdSchema, hostId: HostIdSchema }, strict),
  Type.Object(
    { kind: Type.Literal("join_token_revoked"), id: JoinTokenIdSchema, by: Type.String({ maxLength: 128 }) },
    strict,
  ),
  /** Whoever has the secret with this SHA-256 may do what the role says, until then or until it is revoked. */
  Type.Object(
    {
      kind: Type.Literal("access_created"),
      id: AccessIdSchema,
      name: AccessNameSchema,
      digest: AccessDigestSchema,
      role: RoleSchema,
      projects: AccessProjectsSchema,
      expiresAtMs: Type.Union([whole, Type.Null()]),
      by: Type.String({ maxLength: 128 }),
    },
    strict,
  ),
  Type.Object(
    {
      kind: Type.Literal("access_revoked"),
      id: AccessIdSchema,
      name: AccessNameSchema,
      by: Type.String({ maxLength: 128 }),
    },
    strict,
  ),
  Type.Object({ kind: Type.Literal("project_created"), ...project }, strict),
  /** Nothing that runs is ended by it, whatever its new quota is. */
  Type.Object({ kind: Type.Literal("project_changed"), ...project }, strict),
  /** It is without a quota from here on, as every project that nobody declared. */
  Type.Object(
    { kind: Type.Literal("project_removed"), project: ProjectNameSchema, by: Type.String({ maxLength: 128 }) },
    strict,
  ),
  /**
   * A secret has this value from here on. `digest` is the same for the same value, and tells nothing to whoever has not the
   * cluster's key.
   */
  Type.Object(
    {
      kind: Type.Literal("secret_set"),
      project: ProjectNameSchema,
      secret: SecretNameSchema,
      encrypted: EncryptedSchema,
      digest: Type.String({ pattern: "^[0-9a-f]{64}$" }),
      by: Type.String({ maxLength: 128 }),
    },
    strict,
  ),
  /** A name of the cluster stands for this manifest from here on, whatever hosts say that they have under it. */
  Type.Object(
    {
      kind: Type.Literal("image_named"),
      image: ImageNameSchema,
      manifest: Type.String({ pattern: "^sha256:[0-9a-f]{64}$" }),
      by: Type.String({ maxLength: 128 }),
    },
    strict,
  ),
  /** It stands for nothing any more. */
  Type.Object(
    { kind: Type.Literal("image_unnamed"), image: ImageNameSchema, by: Type.String({ maxLength: 128 }) },
    strict,
  ),
  Type.Object(
    {
      kind: Type.Literal("secret_removed"),
      project: ProjectNameSchema,
      secret: SecretNameSchema,
      by: Type.String({ maxLength: 128 }),
    },
    strict,
  ),
  /**
   * The room of less important work goes to this task: `victims` are stopped, and what they free is kept for it until it is
   * placed there, its job changes or its host goes away.
   */
  Type.Object(
    {
      kind: Type.Literal("room_reserved"),
      project: ProjectNameSchema,
      job: JobNameSchema,
      jobVersion: version,
      index: whole,
      hostId: HostIdSchema,
      victims: Type.Array(AllocationIdSchema, { maxItems: MAX_VICTIMS }),
      /** Of which devices room is kept; their processors are chosen when it is placed. */
      devices: Type.Optional(DeviceGrantsSchema),
    },
    strict,
  ),
  Type.Object({ kind: Type.Literal("allocation_placed"), placement: PlacementSchema }, strict),
  Type.Object(
    { kind: Type.Literal("allocation_reported"), hostId: HostIdSchema, report: AllocationReportSchema },
    strict,
  ),
  Type.Object({ kind: Type.Literal("allocation_stop"), id: AllocationIdSchema, reason: ReasonSchema }, strict),
  /** Made by a user. Those that a placement makes are said by the placement itself. The sequence is the generation. */
  Type.Object(
    {
      kind: Type.Literal("volume_created"),
      project: ProjectNameSchema,
      volume: VolumeNameSchema,
      hostId: HostIdSchema,
      sizeBytes: whole,
      readOnly: Type.Boolean(),
      state: VolumeStateSchema,
      from: Type.Union([VolumeNameSchema, Type.Null()]),
      by: Type.String({ maxLength: 128 }),
    },
    strict,
  ),
  /**
   * Somebody asked for something that changes no other record but is worth knowing: a program in a container, an operation
   * on images, a backup. Written before it is done.
   */
  Type.Object({ kind: Type.Literal("request_made"), ...aboutRequest }, strict),
  /** Somebody asked for a change and was refused. */
  Type.Object(
    { kind: Type.Literal("request_refused"), ...aboutRequest, code: Type.String({ pattern: "^[a-z_.]{1,64}$" }) },
    strict,
  ),
  /** Its content is there. */
  Type.Object(
    { kind: Type.Literal("volume_filled"), project: ProjectNameSchema, volume: VolumeNameSchema, generation: whole },
    strict,
  ),
  /** Nobody gets it any more; its host is told to delete it. */
  Type.Object(
    {
      kind: Type.Literal("volume_removing"),
      project: ProjectNameSchema,
      volume: VolumeNameSchema,
      generation: whole,
      by: Type.String({ maxLength: 128 }),
    },
    strict,
  ),
  /** Its host has deleted it, or is no host any more. */
  Type.Object(
    { kind: Type.Literal("volume_removed"), project: ProjectNameSchema, volume: VolumeNameSchema, generation: whole },
    strict,
  ),
]);
export type LogRecord = Static<typeof RecordSchema>;
/** What only the audit trail is made for. */
export type RequestRecord = Extract<LogRecord, { kind: "request_made" | "request_refused" }>;

/** Who asked for a change and from where: what the audit trail is made of. */
export const OriginSchema = Type.Object(
  {
    who: Type.String({ maxLength: 128 }),
    via: Type.Enum(["token", "session"]),
    /** The address of the other end of the connection. */
    from: Type.String({ maxLength: 64 }),
    /** The access token that it was asked with. Absent: the token of the data directory, or one of joining. */
    access: Type.Optional(AccessIdSchema),
    /** The same when it is asked again, since the answer was lost: by this it is known that it was done already. */
    request: Type.Optional(Type.String({ maxLength: 36 })),
  },
  strict,
);
export type Origin = Static<typeof OriginSchema>;

/** The form that this version of the program writes. Older ones are brought to it when they are read. */
export const LOG_VERSION = 2;

/**
 * `atMs` is the leader's wall clock at the append, for people and for backoff; no decision of safety rests on it.
 * `cause` names what led to it: an evaluation's trigger, a request, a report. `origin` is null for what nobody asked for.
 */
export const TransactionSchema = Type.Object(
  {
    version: Type.Literal(LOG_VERSION),
    epoch: whole,
    atMs: whole,
    cause: Type.String({ maxLength: 256 }),
    origin: Type.Union([OriginSchema, Type.Null()]),
    records: Type.Array(RecordSchema, { minItems: 1 }),
  },
  strict,
);
export type Transaction = Static<typeof TransactionSchema>;

/** A transaction's JSON is at most this long: half of the NATS default payload limit. */
export const MAX_TRANSACTION_BYTES = 512 * 1024;
