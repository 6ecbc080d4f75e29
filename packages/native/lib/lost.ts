/** How a container ended whose supervisor cannot say so any more, and why a supervisor cannot be talked to. */
import { constants } from "node:os";
import { nativeError, NativeFailure } from "./errors.ts";
import { CONTROL_VERSION, type FramingError } from "./frames.ts";
import type { StatusRecord } from "./records.ts";
import type { ExitRecord } from "./types.ts";

export const lostRecord = (status: StatusRecord | undefined, bootId: string): ExitRecord => ({
  code: 137,
  signal: null,
  oom: false,
  cause: status !== undefined && status.bootId !== bootId ? "host_rebooted" : "supervisor_lost",
  error: null,
  createdAtMs: status?.createdAtMs ?? null,
  startedAtMs: status?.startedAtMs ?? null,
  finishedAtMs: Date.now(),
  droppedBytes: 0,
  cpuMicros: null,
  peakMemoryBytes: null,
});

export const neverStartedRecord = (): ExitRecord => ({
  code: 125,
  signal: null,
  oom: false,
  cause: "start_failed",
  error: nativeError("supervisor", 0, "the supervisor was killed before it did anything"),
  createdAtMs: null,
  startedAtMs: null,
  finishedAtMs: Date.now(),
  droppedBytes: 0,
  cpuMicros: null,
  peakMemoryBytes: null,
});

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
export const tooOld = (id: string, what: string, spoken: number, needed: number): NativeFailure =>
  control(
    constants.errno.ENOSYS,
    `${what}: the supervisor of ${id} is of an older version (level ${spoken}, ${needed} is needed)`,
  );

const control = (errno: number, detail: string): NativeFailure =>
  new NativeFailure(nativeError("control", errno, detail));
