/**
 * What the runtime is asked for and what it says, as plain data: the vocabulary that the core shares with the runtime
 * port. What is asked for has the very types of the native package; of what it says, the agent needs a part.
 */
import type { NativeError } from "@berth/native";

export type { ContainerSpec, Mount } from "@berth/native";
export type RuntimeError = NativeError;

export type RuntimeExitCause =
  | "exited"
  | "signalled"
  | "oom"
  | "start_failed"
  | "supervisor_lost"
  | "host_rebooted"
  | "lease_ended";

/** How a container ended, in the words of the runtime, which does not know why it was told to stop. */
export interface ExitRecord {
  readonly code: number;
  readonly signal: number | null;
  readonly oom: boolean;
  readonly cause: RuntimeExitCause;
  readonly error: RuntimeError | null;
  readonly startedAtMs: number | null;
  readonly finishedAtMs: number;
}

/** What the loop knows about one container at an instant. Times on the monotonic clock, so that no clock jump matters. */
export type ContainerFact =
  | {
      readonly phase: "running";
      readonly startedAtMs: number | null;
      readonly runningForMs: number;
      /** The limits that it has or was refused, as `limitsKey` says them. Absent: they were not compared yet. */
      readonly limits?: string | undefined;
    }
  | { readonly phase: "ended"; readonly exit: ExitRecord };
