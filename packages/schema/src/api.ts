/** Bodies and answers of the HTTP API, and the messages of the live feed. Addresses are in routes.ts. */
import Type, { type Static } from "#typebox";
import { PublicKeySchema } from "./agent.ts";
import { AllocationViewSchema } from "./allocation.ts";
import { ContainerUsageSchema, HostUsageSchema, HostViewSchema, PressureSchema } from "./host.ts";
import { AllocationIdSchema, HostIdSchema, JobNameSchema, ProjectNameSchema } from "./ids.ts";
import { JobSpecSchema } from "./job.ts";

const strict = { additionalProperties: false } as const;
const whole = Type.Integer({ minimum: 0 });

/** How many tasks of a job are in which state; they add up to `count`, see `taskTotal`. */
export const TaskCountsSchema = Type.Object(
  { pending: whole, starting: whole, running: whole, stopping: whole, succeeded: whole, failed: whole, stopped: whole },
  strict,
);
export type TaskCounts = Static<typeof TaskCountsSchema>;

/** How many tasks a job has: of a daemon as many as there are, or have been, hosts for it. */
export const taskTotal = (counts: TaskCounts): number => Object.values(counts).reduce((sum, count) => sum + count, 0);

export const JOB_STATES = ["pending", "running", "stopping", "succeeded", "failed", "stopped"] as const;

/** A job as the API shows it. `exitCode` is set once it is finished: what `berth run --wait` exits with. */
export const JobViewSchema = Type.Object(
  {
    project: ProjectNameSchema,
    name: JobNameSchema,
    version: Type.Integer({ minimum: 1 }),
    state: Type.Enum([...JOB_STATES]),
    spec: JobSpecSchema,
    tasks: TaskCountsSchema,
    exitCode: Type.Union([Type.Integer({ minimum: 0, maximum: 255 }), Type.Null()]),
    /** One sentence when something keeps tasks from running, else null. */
    pendingReason: Type.Union([Type.String(), Type.Null()]),
    submittedBy: Type.String(),
    submittedAtMs: whole,
    finishedAtMs: Type.Union([whole, Type.Null()]),
  },
  strict,
);
export type JobView = Static<typeof JobViewSchema>;

/** Answer to a submission: the job, and whether anything changed. `revision` is the log's sequence that holds it. */
export const SubmittedSchema = Type.Object(
  {
    job: JobViewSchema,
    action: Type.Enum(["create", "replace", "change_limits", "run_again", "unchanged"]),
    revision: whole,
  },
  strict,
);
export type Submitted = Static<typeof SubmittedSchema>;

const page = <T extends Parameters<typeof Type.Array>[0]>(item: T) =>
  Type.Object({ items: Type.Array(item), next: Type.Union([Type.String(), Type.Null()]), revision: whole }, strict);
export const JobListSchema = page(JobViewSchema);
export const HostListSchema = page(HostViewSchema);
export const AllocationListSchema = page(AllocationViewSchema);
export type JobList = Static<typeof JobListSchema>;
export type HostList = Static<typeof HostListSchema>;
export type AllocationList = Static<typeof AllocationListSchema>;

/** `POST /v1/hosts`: admits a host by the public part of its nkey. Repeating it with the same key changes nothing. */
export const EnrolmentSchema = Type.Object({ id: HostIdSchema, publicKey: PublicKeySchema }, strict);
export type Enrolment = Static<typeof EnrolmentSchema>;

/** What an admitted host needs: where the bus is, and the key that signs everything it may believe (SPKI, PEM). */
export const EnrolledSchema = Type.Object(
  { id: HostIdSchema, natsUrls: Type.Array(Type.String()), clusterKey: Type.String(), revision: whole },
  strict,
);
export type Enrolled = Static<typeof EnrolledSchema>;

export const VersionSchema = Type.Object(
  { version: Type.String(), api: Type.Literal("v1"), cluster: Type.String(), capabilities: Type.Array(Type.String()) },
  strict,
);
export type Version = Static<typeof VersionSchema>;

/** Answer to `POST /v1/tickets`: a one-time ticket that `GET /login?ticket=…` turns into a session cookie. */
export const TicketSchema = Type.Object({ ticket: Type.String(), expiresInMs: whole }, strict);
export type Ticket = Static<typeof TicketSchema>;

/**
 * The live feed (`/v1/watch`, WebSocket, JSON text frames): one snapshot, then deltas whose `previous` is the revision
 * before. A client that sees a gap, or reconnects, asks again with `?since=REVISION` and gets what it missed or a new
 * snapshot. `usage` carries measurements, which have no revision. `ping` shows that the line is alive.
 */
export const WatchMessageSchema = Type.Union([
  Type.Object(
    {
      kind: Type.Literal("snapshot"),
      revision: whole,
      cluster: Type.String(),
      hosts: Type.Array(HostViewSchema),
      jobs: Type.Array(JobViewSchema),
      allocations: Type.Array(AllocationViewSchema),
    },
    strict,
  ),
  Type.Object(
    {
      kind: Type.Literal("delta"),
      revision: whole,
      previous: whole,
      hosts: Type.Array(HostViewSchema),
      jobs: Type.Array(JobViewSchema),
      allocations: Type.Array(AllocationViewSchema),
      removed: Type.Object(
        {
          hosts: Type.Array(HostIdSchema),
          jobs: Type.Array(Type.Object({ project: ProjectNameSchema, name: JobNameSchema }, strict)),
          allocations: Type.Array(AllocationIdSchema),
        },
        strict,
      ),
    },
    strict,
  ),
  Type.Object(
    {
      kind: Type.Literal("usage"),
      hosts: Type.Record(
        HostIdSchema,
        Type.Object({ usage: HostUsageSchema, pressure: Type.Union([PressureSchema, Type.Null()]) }, strict),
      ),
      allocations: Type.Record(AllocationIdSchema, ContainerUsageSchema),
    },
    strict,
  ),
  Type.Object({ kind: Type.Literal("ping") }, strict),
]);
export type WatchMessage = Static<typeof WatchMessageSchema>;
