/**
 * What the runtime is asked for and what it says, as plain data: the vocabulary that the core shares with the runtime
 * port. The shapes are those of the native package, so that its objects fit without translation.
 */

/** A failure of the runtime: which step, which errno (0 when the kernel was not involved), and what it was about. */
export interface RuntimeError {
  readonly stage: string;
  readonly errno: number;
  readonly code: string;
  readonly detail: string;
}

export interface Mount {
  readonly source: string;
  readonly target: string;
  readonly readOnly: boolean;
}

export interface ContainerSpec {
  readonly id: string;
  readonly layers: readonly string[];
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly workdir: string;
  readonly hostname: string;
  readonly mounts: readonly Mount[];
  readonly idBase: number;
  /** `user` or `user:group` of the image; absent for root. */
  readonly user?: string;
  readonly stopSignal?: number;
  readonly limits: {
    readonly cpuRequestMillis: number;
    readonly cpuLimitMillis: number | null;
    readonly memoryBytes: number;
    readonly pids: number;
  };
}

export type RuntimeExitCause = "exited" | "signalled" | "oom" | "start_failed" | "supervisor_lost" | "host_rebooted";

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
  | { readonly phase: "running"; readonly startedAtMs: number | null; readonly runningForMs: number }
  | { readonly phase: "ended"; readonly exit: ExitRecord };
