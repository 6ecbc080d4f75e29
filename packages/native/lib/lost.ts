/** What became of a container whose supervisor cannot say so any more, and why a supervisor cannot be talked to. */
import { constants } from "node:os";
import { nativeError, NativeFailure } from "./errors.ts";
import { CONTROL_VERSION, type FramingError } from "./frames.ts";
import type { StatusRecord } from "./records.ts";
import type { ExitRecord, NativeError } from "./types.ts";

export const NEVER_STARTED = nativeError("supervisor", 0, "the supervisor was killed before it did anything");

/** What is not given is not known. */
const untold = (known: Pick<ExitRecord, "code" | "cause"> & Partial<ExitRecord>): ExitRecord => ({
  signal: null,
  oom: false,
  error: null,
  createdAtMs: null,
  startedAtMs: null,
  finishedAtMs: Date.now(),
  droppedBytes: 0,
  cpuMicros: null,
  peakMemoryBytes: null,
  ...known,
});

/**
 * `untouched`: its supervisor was killed before it did anything, so it may be started again. `unknown`: the runtime was
 * closed first.
 */
export type Started =
  | { readonly started: true }
  | { readonly started: false; readonly exit: ExitRecord; readonly untouched: boolean }
  | { readonly started: "unknown" };

export const lostRecord = (status: StatusRecord | undefined, hostRebooted: boolean): ExitRecord =>
  untold({
    code: 137,
    cause: hostRebooted ? "host_rebooted" : "supervisor_lost",
    createdAtMs: status?.createdAtMs ?? null,
    startedAtMs: status?.startedAtMs ?? null,
  });

/** A program in a running container whose connection ended. */
export const lostExecRecord = (startedAtMs: number): ExitRecord =>
  untold({ code: 137, cause: "supervisor_lost", startedAtMs });

/** Nothing was executed. */
export const notStartedRecord = (error: NativeError): ExitRecord => untold({ code: 125, cause: "start_failed", error });

export const unreachable = (id: string, refused: FramingError | undefined): NativeFailure => {
  const { errno } = constants;
  if (refused?.kind === "garbled") return control(errno.EPROTO, `what the supervisor of ${id} answers cannot be read`);
  if (refused?.spoken === undefined) return control(errno.ENOTCONN, `the supervisor of ${id} cannot be reached`);
  return control(
    errno.EPROTONOSUPPORT,
    `the supervisor of ${id} speaks control version ${refused.spoken}, this agent ${CONTROL_VERSION}: it runs on, and can be stopped only`,
  );
};

/** A container outlives the agent that started it, and so may its supervisor's idea of the protocol. */
export const requireLevel = (
  id: string,
  what: string,
  refused: FramingError | undefined,
  spoken: number | undefined,
  needed: number,
): void => {
  if (refused !== undefined) throw unreachable(id, refused);
  if (spoken === undefined || spoken >= needed) return;
  throw control(
    constants.errno.ENOSYS,
    `${what}: the supervisor of ${id} is of an older version (level ${spoken}, ${needed} is needed)`,
  );
};

const control = (errno: number, detail: string): NativeFailure =>
  new NativeFailure(nativeError("control", errno, detail));
