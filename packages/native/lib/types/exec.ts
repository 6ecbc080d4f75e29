/** What talks to a running container: attached clients, and further programs in it. */
import type { Readable, Writable } from "node:stream";
import type { SeccompProfile } from "../seccomp/profile.ts";
import type { ExitRecord } from "./container.ts";
import type { NativeError } from "./error.ts";
import type { Capabilities, Rlimit, RlimitName } from "./security.ts";
import type { TerminalSize } from "./spec.ts";

/** `ended`: with the container. `dropped`: it did not keep up with the output, or its supervisor was killed. */
export type AttachEnd = "ended" | "detached" | "dropped";

/** A connection to what a container writes and reads. Reads both outputs, or destroys the one that is not wanted. */
export interface Attachment {
  /** Then all output is `stdout`. */
  readonly terminal: boolean;
  /** Somebody reads what is written to `stdin`; otherwise it is thrown away. */
  readonly takesInput: boolean;
  /** Ending it ends the program's standard input, for all that are attached; on a terminal it sends end-of-file. */
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr: Readable;
  readonly closed: Promise<AttachEnd>;
  resize(size: TerminalSize): Promise<void>;
  /** The container runs on. */
  detach(): void;
}

export interface AttachOptions {
  /** So much of each stream that is in the log comes first. Default 64 KiB. */
  readonly scrollbackBytes?: number;
}

/**
 * Another program in a running container: in all its namespaces and cgroups, with its limits, system call filter and
 * no_new_privs, and never with more capabilities than the container has. Who it is and what it may (`user` to
 * `capabilities`) is as for the container's own program when none of it is given; when some is, the rest has the defaults
 * of a container.
 */
export interface ExecSpec {
  readonly command: readonly string[];
  /** Beside, and instead of, the container's own. */
  readonly env?: Readonly<Record<string, string>>;
  /** Default: the container's. */
  readonly workdir?: string;
  readonly stdin?: "null" | "pipe";
  readonly terminal?: TerminalSize;
  readonly user?: string;
  readonly groups?: readonly string[];
  readonly umask?: number;
  readonly rlimits?: Partial<Readonly<Record<RlimitName, Rlimit>>>;
  readonly capabilities?: Capabilities;
  /** Applies beside the container's: it can only take calls away. Its `base` is `default`. */
  readonly seccomp?: SeccompProfile;
  /** Beside the container's, which hold all the same. Default: none of its own. */
  readonly limits?: ExecLimits;
}

/**
 * What a program may use of that which its container may. Refused where this host cannot enforce it. On v2 the container's
 * own processes move into a cgroup beside the program's when the first one with limits is executed.
 */
export interface ExecLimits {
  /** Share when the container's programs contend for processor time. Default: that of a whole CPU. */
  readonly cpuRequestMillis?: number;
  readonly cpuLimitMillis?: number;
  /** Beyond this the program is killed, with `oom` as the cause, and the container is not. */
  readonly memoryBytes?: number;
  /** At least 2. */
  readonly pids?: number;
}

/** Killed with its process group when its connection ends: by `close`, or with the agent; and with the container. */
export interface ExecProcess {
  /** Among those of its container. */
  readonly id: number;
  /** On the host. */
  readonly pid: number;
  /** Then all output is `stdout`. */
  readonly terminal: boolean;
  /** Read both outputs, or destroy the one that is not wanted: a program whose output is not read waits. */
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr: Readable;
  /** Settles when it has ended, and all that it wrote has arrived; never rejects. */
  readonly exited: Promise<ExitRecord>;
  resize(size: TerminalSize): Promise<void>;
  signal(signal: number): Promise<void>;
  kill(): Promise<void>;
  close(): void;
}

export type ExecResult =
  | { readonly ok: true; readonly value: ExecProcess }
  | { readonly ok: false; readonly error: NativeError; readonly exit: ExitRecord };
