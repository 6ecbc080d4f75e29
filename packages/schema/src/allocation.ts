/**
 * One attempt of one task on one host. States only move forward:
 *
 *   placed → preparing → starting → running → stopping → exited | failed | lost
 *
 * `exited`: the container ran and ended, whatever its code. `failed`: it could not be started. `lost`: its host fell
 * silent and another attempt took its place. Any state may skip ahead; none may go back.
 */
import Type, { type Static } from "#typebox";
import { DeviceGrantsSchema } from "./devices.ts";
import { AllocationIdSchema, HostIdSchema, JobNameSchema, ProjectNameSchema } from "./ids.ts";
import { ContainerUsageSchema } from "./host.ts";
import { ScoreBreakdownSchema } from "./plan.ts";
import { PortGrantsSchema } from "./ports.ts";
import { ResourcesSchema } from "./resources.ts";

export const ALLOCATION_STATES = [
  "placed",
  "preparing",
  "starting",
  "running",
  "stopping",
  "exited",
  "failed",
  "lost",
] as const;
export type AllocationState = (typeof ALLOCATION_STATES)[number];
export const AllocationStateSchema = Type.Enum([...ALLOCATION_STATES]);

const rank: Readonly<Record<AllocationState, number>> = {
  placed: 0,
  preparing: 1,
  starting: 2,
  running: 3,
  stopping: 4,
  exited: 5,
  failed: 5,
  lost: 5,
};

export const isTerminal = (state: AllocationState): boolean => rank[state] === 5;
/** True when `to` lies strictly ahead of `from`. Terminal states are equally far: the first one wins. */
export const isForward = (from: AllocationState, to: AllocationState): boolean => rank[to] > rank[from];

export const ExitCauseSchema = Type.Enum([
  "exited",
  "signalled",
  "oom",
  "stopped",
  "timeout",
  "start_failed",
  "supervisor_lost",
  "host_rebooted",
  "host_lost",
]);
export type ExitCause = Static<typeof ExitCauseSchema>;

const time = Type.Integer({ minimum: 0 });

/**
 * How a container ended. `code` is what a shell would show: the program's own code, 128+n after signal n, 125 when Berth
 * could not start it, 126 when the command could not be invoked, 127 when it was not found.
 */
export const ExitSchema = Type.Object(
  {
    code: Type.Integer({ minimum: 0, maximum: 255 }),
    signal: Type.Union([Type.Integer({ minimum: 1, maximum: 64 }), Type.Null()]),
    oom: Type.Boolean(),
    cause: ExitCauseSchema,
    detail: Type.Union([Type.String({ maxLength: 1024 }), Type.Null()]),
    startedAtMs: Type.Union([time, Type.Null()]),
    finishedAtMs: time,
  },
  { additionalProperties: false },
);
export type Exit = Static<typeof ExitSchema>;

/** Why an allocation is in its state: stable codes, shown as they are. */
export const ReasonSchema = Type.String({ pattern: "^[a-z][a-z0-9_.]{0,63}$" });

/** An allocation as the API shows it. */
export const AllocationViewSchema = Type.Object(
  {
    id: AllocationIdSchema,
    project: ProjectNameSchema,
    job: JobNameSchema,
    jobVersion: Type.Integer({ minimum: 1 }),
    index: Type.Integer({ minimum: 0 }),
    attempt: Type.Integer({ minimum: 1 }),
    hostId: HostIdSchema,
    epoch: Type.Integer({ minimum: 0 }),
    state: AllocationStateSchema,
    desired: Type.Enum(["run", "stop"]),
    reason: ReasonSchema,
    /** The task that got its room. */
    preemptedBy: Type.Optional(
      Type.Object(
        { project: ProjectNameSchema, job: JobNameSchema, index: Type.Integer({ minimum: 0 }) },
        { additionalProperties: false },
      ),
    ),
    resources: ResourcesSchema,
    devices: Type.Optional(DeviceGrantsSchema),
    ports: Type.Optional(PortGrantsSchema),
    score: ScoreBreakdownSchema,
    placedAtMs: time,
    startedAtMs: Type.Union([time, Type.Null()]),
    exit: Type.Union([ExitSchema, Type.Null()]),
    usage: Type.Union([ContainerUsageSchema, Type.Null()]),
  },
  { additionalProperties: false },
);
export type AllocationView = Static<typeof AllocationViewSchema>;
