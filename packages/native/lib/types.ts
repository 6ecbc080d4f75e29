/**
 * What a container is, as the runtime sees it: plain data in, plain data out. Everything above (images, jobs, retries)
 * belongs to the agent; everything below (clone, mounts, cgroup files) to the supervisor.
 */

/** A failure of the runtime: which step, which errno (0 when the kernel was not involved), and what it was about. */
export interface NativeError {
  /** Dotted name of the step: `cgroup.create`, `mount.proc`, `exec` … */
  readonly stage: string;
  readonly errno: number;
  /** Symbolic errno, e.g. `ENOSPC`; empty when errno is 0. */
  readonly code: string;
  readonly detail: string;
}

export interface Mount {
  /** Absolute path on the host. */
  readonly source: string;
  /** Absolute path in the container; created when it does not exist, resolved inside the rootfs only. */
  readonly target: string;
  readonly readOnly: boolean;
}

export interface ContainerSpec {
  /** Unique; `[a-z0-9_-]{1,64}`. Also the name of its state directory and its cgroup. */
  readonly id: string;
  /** Read-only layer directories, topmost first; an overlay with a private upper directory goes on top. */
  readonly layers: readonly string[];
  /** Program (searched in PATH of `env` inside the container) and its arguments. */
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly workdir: string;
  readonly hostname: string;
  readonly mounts: readonly Mount[];
  /** First host uid and gid of this container's range of 65536. Ranges of two containers never overlap. */
  readonly idBase: number;
  readonly limits: {
    /** Share when CPUs are contended: requested thousandths of a CPU; becomes v2 weight or v1 shares. */
    readonly cpuRequestMillis: number;
    /** Quota in thousandths of a CPU, or null for none. */
    readonly cpuLimitMillis: number | null;
    readonly memoryBytes: number;
    readonly pids: number;
  };
}

export type ExitCause = "exited" | "signalled" | "oom" | "start_failed" | "supervisor_lost" | "host_rebooted";

/** How a container ended; also kept as a record on disk until `remove`. */
export interface ExitRecord {
  /** 0…255 as a shell shows it: own code, 128+n, 125 start failed, 126 cannot be invoked, 127 not found. */
  readonly code: number;
  readonly signal: number | null;
  readonly oom: boolean;
  readonly cause: ExitCause;
  /** Set when the start failed. */
  readonly error: NativeError | null;
  readonly startedAtMs: number | null;
  readonly finishedAtMs: number;
}

export interface ContainerStats {
  readonly cpuUsageMicros: number;
  readonly memoryBytes: number;
  readonly pids: number;
  readonly oomKills: number;
}

/** A container that was started or found again. */
export interface Container {
  readonly id: string;
  /** Host pid of its first process, or null before the start is known to have worked. */
  readonly pid: number | null;
  readonly startedAtMs: number | null;
  readonly stdoutPath: string;
  readonly stderrPath: string;
  /** Settles when it has ended, for whatever reason; never rejects. */
  readonly exited: Promise<ExitRecord>;
  /** Sends a signal to the first process. */
  signal(signal: number): Promise<void>;
  /** Signal, then after `graceMs` everything in its cgroup is killed. Resolves with the exit. */
  stop(options: { readonly signal: number; readonly graceMs: number }): Promise<ExitRecord>;
  stats(): Promise<ContainerStats>;
  /** Deletes what is left of an ended container (rootfs upper, cgroup, records, logs). */
  remove(): Promise<void>;
}
