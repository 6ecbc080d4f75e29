/**
 * What follows when an attempt of the current version of a job has ended: is the task over, or is there another attempt,
 * after which wait, and does this end count against `restart.max`? Pure; `fold` applies the answer.
 *
 *   fatal code → failed · retry code → again · code 0 → succeeded, unless restarts are `always` · else `on` decides
 */
import type { Exit, JobSpec } from "@berth/schema";

export type Verdict =
  | { readonly kind: "over"; readonly status: "succeeded" | "failed" | "stopped" }
  | { readonly kind: "again"; readonly counts: boolean; readonly delayMs: number; readonly streak: number };

export interface Ended {
  readonly spec: JobSpec;
  /** Null when the agent could not say how it ended: counted as a failure with this code. */
  readonly exit: Exit | null;
  readonly jobStopped: boolean;
  readonly allocationStopped: boolean;
  /** Restarts that counted so far, and how many ends came in a row without a long run between them. */
  readonly restarts: number;
  readonly streak: number;
}

/** The code of an end that nobody could observe, and of a container that could not be started. */
export const UNKNOWN_EXIT_CODE = 125;

/** A task that fails at once and waits for nothing must not fill the log. */
const MIN_DELAY_MS = 100;

/** The task's own program had no part in these ends: they are repeated whatever the policy says, and never counted. */
const isInterruption = (exit: Exit | null): boolean =>
  exit !== null && (exit.cause === "host_rebooted" || exit.cause === "host_lost" || exit.cause === "stopped");

/** An attempt that ran as long as the longest wait has proven itself: the next wait is the first again. */
const isLongRun = (spec: JobSpec, exit: Exit | null): boolean =>
  exit !== null &&
  exit.startedAtMs !== null &&
  exit.finishedAtMs - exit.startedAtMs >= Math.max(spec.restart.backoffLongestMs, MIN_DELAY_MS);

/** `first`, doubled with every end in a row, at most `longest`. `streak` counts from 1. */
export const backoffMs = (restart: JobSpec["restart"], streak: number): number => {
  const wait = restart.backoffFirstMs * 2 ** Math.min(streak - 1, 40);
  return Math.max(MIN_DELAY_MS, Math.min(wait, restart.backoffLongestMs));
};

const again = ({ restart }: JobSpec, streak: number, counts: boolean): Verdict => ({
  kind: "again",
  counts,
  delayMs: backoffMs(restart, streak),
  streak,
});

const over = (status: Extract<Verdict, { kind: "over" }>["status"]): Verdict => ({ kind: "over", status });

export const afterEnd = (ended: Ended): Verdict => {
  const { spec, exit } = ended;
  const code = exit?.code ?? UNKNOWN_EXIT_CODE;
  const { on, max, retryCodes, fatalCodes } = spec.restart;
  const completed = spec.kind === "batch" && exit !== null && exit.cause === "exited" && code === 0;
  if (ended.jobStopped) return over(completed ? "succeeded" : "stopped");

  const streak = isLongRun(spec, exit) ? 1 : ended.streak + 1;
  if (isInterruption(exit)) return again(spec, streak, false);
  if (fatalCodes.includes(code)) return over("failed");
  // Stopped from outside to run elsewhere: unless it just came to its end, it is placed again without counting.
  if (ended.allocationStopped && !completed) return again(spec, streak, false);
  const repeats = retryCodes.includes(code) || (code === 0 ? on === "always" : on !== "never");
  const mayRepeat = max === null || ended.restarts < max;
  return repeats && mayRepeat ? again(spec, streak, true) : over(code === 0 ? "succeeded" : "failed");
};
