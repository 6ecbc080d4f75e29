/**
 * From what the runtime saw to what the scheduler is told. The runtime knows how a container ended; only the agent knows
 * that it was the one who ended it. An OOM kill stays an OOM kill: it happened, whoever else was about to stop it.
 */
import type { Exit } from "@berth/schema";
import type { ExitRecord, RuntimeError } from "./container.ts";
import type { StopCause } from "./record.ts";

const MAX_DETAIL = 1024;
/** Berth itself failed: what a shell shows for a container that could not be run. */
const BERTH_FAILED = 125;
const TERMINATED = 143;

const clip = (text: string): string => (text.length <= MAX_DETAIL ? text : `${text.slice(0, MAX_DETAIL - 1)}…`);
const bounded = (value: number, low: number, high: number): number => Math.min(high, Math.max(low, Math.trunc(value)));

/** One sentence: what failed, in which step, with the kernel's word for it. */
export const describeError = (error: RuntimeError): string => {
  const cause = error.code === "" ? (error.errno === 0 ? "" : ` (errno ${error.errno})`) : ` (${error.code})`;
  return clip(`${error.stage}: ${error.detail}${cause}`);
};

/** An allocation that could not be started because of something before the runtime was asked. */
export const failedExit = (error: RuntimeError, nowMs: number): Exit => ({
  code: BERTH_FAILED,
  signal: null,
  oom: false,
  cause: "start_failed",
  detail: describeError(error),
  startedAtMs: null,
  finishedAtMs: nowMs,
});

/** An allocation that was stopped before anything of it ran. */
export const neverStartedExit = (nowMs: number): Exit => ({
  code: TERMINATED,
  signal: null,
  oom: false,
  cause: "stopped",
  detail: "stopped before it was started",
  startedAtMs: null,
  finishedAtMs: nowMs,
});

/** A container that is gone without a record of its end. */
export const vanishedExit = (startedAtMs: number | null, nowMs: number): Exit => ({
  code: BERTH_FAILED,
  signal: null,
  oom: false,
  cause: "supervisor_lost",
  detail: "the runtime has no record of this container any more",
  startedAtMs,
  finishedAtMs: nowMs,
});

/** A container that ended. `stopCause`: the agent had asked it to. */
export const exitOf = (record: ExitRecord, stopCause: StopCause | null): Exit => {
  const byItself = record.cause === "exited" || record.cause === "signalled";
  const cause = record.cause === "lease_ended" ? "stopped" : record.cause;
  return {
    code: bounded(record.code, 0, 255),
    signal: record.signal === null ? null : bounded(record.signal, 1, 64),
    oom: record.oom,
    cause: (byItself || record.cause === "lease_ended") && stopCause !== null ? stopCause : cause,
    detail:
      record.error !== null
        ? describeError(record.error)
        : record.cause === "lease_ended"
          ? "a singleton without a lease: no leader has answered this host for too long"
          : null,
    startedAtMs: record.startedAtMs === null ? null : Math.max(0, Math.trunc(record.startedAtMs)),
    finishedAtMs: Math.max(0, Math.trunc(record.finishedAtMs)),
  };
};

/** A program that succeeded, but whose outputs could not be kept: that is no success. */
export const outputsFailedExit = (exit: Exit, why: string): Exit => ({
  ...exit,
  code: BERTH_FAILED,
  detail: clip(`outputs: ${why}`),
});

/** True when its outputs belong to a success. */
export const succeeded = (exit: Exit): boolean => exit.code === 0 && exit.cause === "exited";
