/**
 * What a container is, as the runtime sees it: plain data in, plain data out. Everything above (images, jobs, retries)
 * belongs to the agent; everything below (clone, mounts, cgroup files) to the supervisor.
 */
import type { CgroupLayout } from "./cgroup-layout.ts";
import type { UpdateResult } from "./resources/limits.ts";
import type { Knob, Resources, Unenforced } from "./resources/resources.ts";

export type { IoLimit, Knob, Resources, Unenforced } from "./resources/resources.ts";
export type { UpdateResult } from "./resources/limits.ts";

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
  readonly limits: Resources;
  /** Refuses to start when this host cannot enforce all of `limits`. Default: starts, and says what does not hold. */
  readonly strictLimits?: boolean;
  /** What is kept of its output. Default: that of the runtime, field by field. */
  readonly log?: LogLimits;
  /** Standard input: /dev/null, or a pipe that attached clients write to. Default `null`. A terminal has its own. */
  readonly stdin?: "null" | "pipe";
  /** Gives the program a terminal of this size, as its standard input, output and error and as /dev/console. */
  readonly terminal?: TerminalSize;
}

export interface TerminalSize {
  readonly rows: number;
  readonly columns: number;
}

/** Bounds on the log of a container, both streams together. */
export interface LogLimits {
  /** The newest this many bytes are kept, headers included; at least 128 KiB, or 0 to keep nothing. Default 64 MiB. */
  readonly maxBytes?: number;
  /** In so many files; the oldest is deleted as a whole. 2 to 64, default 4. */
  readonly files?: number;
  /** What may be written a second, with four seconds' worth saved up; `null` for no limit. Default 16 MiB. */
  readonly bytesPerSecond?: number | null;
  /** What happens to more: `discard` counts it and says so in the log, `wait` makes the program wait. Default `discard`. */
  readonly beyond?: "discard" | "wait";
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
  /** Bytes of output that were not kept. */
  readonly droppedBytes: number;
}

/** Of a running container; of an ended one the last that were read, or zeros. */
export interface ContainerStats {
  readonly cpuUsageMicros: number;
  /** Without file pages that nobody used lately: what would be missing if it were taken away. */
  readonly memoryBytes: number;
  readonly pids: number;
  readonly oomKills: number;
}

/** A container that was started or found again. */
export interface Container {
  readonly id: string;
  /** Host pid of the program (not of the small init above it), or null before the start is known to have worked. */
  readonly pid: number | null;
  readonly startedAtMs: number | null;
  /** Directory of its log, for `openLog`. May not exist before the program has written anything. */
  readonly logPath: string;
  /** Settles when it has ended, for whatever reason; never rejects. */
  readonly exited: Promise<ExitRecord>;
  /** Sends a signal to the program. Nothing happens when it has ended. */
  signal(signal: number): Promise<void>;
  /** Signal, then after `graceMs` everything in the container is killed. Resolves with the exit. */
  stop(options: { readonly signal: number; readonly graceMs: number }): Promise<ExitRecord>;
  stats(): Promise<ContainerStats>;
  /** What it may use now; undefined when its records were lost. */
  readonly limits: Resources | undefined;
  /** What of that does not hold on this host. */
  readonly unenforced: readonly Unenforced[];
  /**
   * Gives a running container other limits, all or none of them; what is not named goes back to its default. Never
   * kills for a lower memory limit: what is in use and cannot be taken back makes it fail with EBUSY.
   */
  update(limits: Resources, options?: { readonly strict?: boolean }): Promise<UpdateResult>;
  /** Deletes what is left of an ended container (rootfs upper, cgroup, records, logs). Rejects while it runs. */
  remove(): Promise<void>;
}

/**
 * `started`: the program runs (it may have ended since). Otherwise nothing of the container is left, and `exit` is the
 * record that it would have had: 127, 126 or 125 with the same error.
 */
export type StartResult =
  | { readonly ok: true; readonly value: Container }
  | { readonly ok: false; readonly error: NativeError; readonly exit: ExitRecord };

/** What is found in the state directory after a restart of the agent. */
export type AdoptedContainer =
  | { readonly kind: "running"; readonly id: string; readonly container: Container }
  | { readonly kind: "ended"; readonly id: string; readonly container: Container; readonly exit: ExitRecord }
  /** Its directory exists, but no process ever did: `start` with this id is safe, and so is `remove`. */
  | { readonly kind: "never_started"; readonly id: string; remove(): Promise<void> };

export interface RuntimeFeatures {
  readonly cgroup: "v1" | "hybrid" | "v2";
  readonly controllers: readonly string[];
  /** Where the cgroups of this host are mounted. */
  readonly hierarchies: readonly {
    readonly path: string;
    readonly version: 1 | 2;
    readonly controllers: readonly string[];
  }[];
  /** Of each limit, why this host cannot enforce it, or null when it can. */
  readonly limits: Readonly<Record<Knob, string | null>>;
  /** Sentences on what this host cannot enforce. */
  readonly missing: readonly string[];
  readonly kernel: string;
  readonly bootId: string;
}

export interface CloseOptions {
  /** Also removes the cgroup parent where it is empty. For when nothing is being started and nothing will be soon. */
  readonly removeCgroups?: boolean;
}

export interface RuntimeOptions {
  /** Absolute path; one directory per container in it. Made if it does not exist; belongs to one agent alone. */
  readonly stateDir: string;
  /** Below the root of each cgroup hierarchy, e.g. `berth`; every container's cgroup lies in it. */
  readonly cgroupParent: string;
  /** What is kept of output when the spec does not say. */
  readonly log?: LogLimits;
  /** How overlays are made: kernels before 6.15 want their layers attached to a mount namespace. Default: by kernel. */
  readonly attachLayers?: boolean;
  /** Which cgroup hierarchies to use. Default: those of this host, `readCgroupLayout()`. */
  readonly cgroupLayout?: CgroupLayout;
}

export interface Runtime {
  /** Settles once the program was executed, or could not be. Never starts an id for the second time. */
  start(spec: ContainerSpec): Promise<StartResult>;
  /** Everything in the state directory. To be called once, before the first `start`. */
  adopt(): Promise<readonly AdoptedContainer[]>;
  features(): RuntimeFeatures;
  /** Lets go of everything; containers run on. Promises of containers that still run stay open. */
  close(options?: CloseOptions): Promise<void>;
}
