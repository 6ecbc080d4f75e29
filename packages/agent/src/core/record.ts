/**
 * What an agent remembers about one allocation: the write-ahead record of its life here, kept on disk beside its files.
 *
 *   (no record) ──start──▶ preparing ─▶ starting ─▶ running ─▶ stopping ─▶ exited
 *                              └───────────────┴──────────────────────────▶ failed
 *
 * The record is on disk before the runtime is asked to start anything, and its end is on disk before the runtime forgets
 * the container: whatever is killed in between, an allocation is never started a second time and its end is never lost.
 * `preparing` on disk means: the runtime may or may not have been asked, so ask the runtime. `acked` is the last state
 * that the scheduler is known to have in its log.
 */
import {
  Type,
  type Static,
  AllocationIdSchema,
  AllocationStateSchema,
  decoder,
  ExitSchema,
  isForward,
  isTerminal,
  ReasonSchema,
  taskName,
  type AllocationReport,
  type AllocationState,
  type DesiredAllocation,
  type Exit,
  type JobSpec,
} from "@berth/schema";

const whole = Type.Integer({ minimum: 0 });
const nullable = <T extends Parameters<typeof Type.Array>[0]>(schema: T) => Type.Union([schema, Type.Null()]);

/** Why the agent ended a container itself. The first reason stays. */
export const StopCauseSchema = Type.Enum(["stopped", "timeout"]);
export type StopCause = Static<typeof StopCauseSchema>;

export const RecordSchema = Type.Object(
  {
    version: Type.Literal(1),
    id: AllocationIdSchema,
    /** `project/job[index]`, for people who read logs. */
    task: Type.String(),
    state: AllocationStateSchema,
    reason: ReasonSchema,
    startedAtMs: nullable(whole),
    exit: nullable(ExitSchema),
    /** The id range it runs in; null before one is given and after the container has ended. */
    slot: nullable(whole),
    outputs: Type.Array(Type.String()),
    /** Ids of volumes that it mounts; absent: none. */
    volumes: Type.Optional(Type.Array(Type.String())),
    runTimeoutMs: nullable(whole),
    stopTimeoutMs: whole,
    stopCause: nullable(StopCauseSchema),
    acked: nullable(AllocationStateSchema),
    /** Size of the files kept of a finished allocation; what retention adds up. */
    keptBytes: whole,
  },
  { additionalProperties: false },
);
export type AllocationRecord = Static<typeof RecordSchema>;

export const decodeRecord = decoder(RecordSchema);

const DEFAULT_STOP_MS = 10_000;

/** The record of an allocation of the desired document, before anything was done for it. */
export const newRecord = (allocation: DesiredAllocation, spec: JobSpec | undefined): AllocationRecord => ({
  version: 1,
  id: allocation.id,
  task: `${allocation.project}/${taskName(allocation.job, allocation.index)}`,
  state: "placed",
  reason: "scheduled",
  startedAtMs: null,
  exit: null,
  slot: null,
  outputs: (spec?.outputs ?? []).map((output) => output.path),
  ...(allocation.volumes === undefined ? {} : { volumes: allocation.volumes.map(({ id }) => id) }),
  runTimeoutMs: spec?.runTimeoutMs ?? null,
  stopTimeoutMs: spec?.stopTimeoutMs ?? DEFAULT_STOP_MS,
  stopCause: null,
  acked: null,
  keptBytes: 0,
});

const UNKNOWN_TASK = "unknown";

/**
 * The record of something that exists here although nothing says why: a container without a record, or a record that
 * cannot be read. It counts as having run, so that it is never started.
 */
export const orphanRecord = (id: AllocationRecord["id"]): AllocationRecord => ({
  version: 1,
  id,
  task: UNKNOWN_TASK,
  state: "running",
  reason: "adopted",
  startedAtMs: null,
  exit: null,
  slot: null,
  outputs: [],
  runTimeoutMs: null,
  stopTimeoutMs: DEFAULT_STOP_MS,
  stopCause: null,
  acked: null,
  keptBytes: 0,
});

export const isOrphan = (record: AllocationRecord): boolean => record.task === UNKNOWN_TASK;

/** What an orphan lacks, from the document that lists it. */
export const completeOrphan = (
  orphan: AllocationRecord,
  allocation: DesiredAllocation,
  spec: JobSpec,
): AllocationRecord => {
  const { outputs, runTimeoutMs, stopTimeoutMs, task, volumes } = newRecord(allocation, spec);
  return { ...orphan, ...(volumes === undefined ? {} : { volumes }), outputs, runTimeoutMs, stopTimeoutMs, task };
};

/** The record one step ahead, or the same record when that would not be a step forward. */
export const advance = (
  record: AllocationRecord,
  state: AllocationState,
  change: Partial<Omit<AllocationRecord, "id" | "version" | "state">> = {},
): AllocationRecord => (isForward(record.state, state) ? { ...record, ...change, state } : record);

/** The record at its end. The id range is free from here on. */
export const finish = (
  record: AllocationRecord,
  state: "exited" | "failed",
  exit: Exit,
  keptBytes: number,
): AllocationRecord =>
  advance(record, state, {
    exit,
    reason: exit.cause,
    startedAtMs: exit.startedAtMs ?? record.startedAtMs,
    slot: null,
    keptBytes,
  });

export const isFinished = (record: AllocationRecord): boolean => isTerminal(record.state);

export const reportOf = (record: AllocationRecord): AllocationReport => ({
  id: record.id,
  state: record.state,
  reason: record.reason,
  startedAtMs: record.startedAtMs,
  exit: record.exit,
});
