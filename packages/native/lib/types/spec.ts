/** What a container is to be: plain data in. */
import type { NetworkSpec } from "../network/types.ts";
import type { Resources } from "../resources/resources.ts";
import type { SeccompProfile } from "../seccomp/profile.ts";
import type { Mount } from "./mounts.ts";
import type { Capabilities, Device, Hook, HookPoint, Namespaces, Rlimit, RlimitName } from "./security.ts";

export interface ContainerSpec {
  /** Unique; `[a-z0-9_-]{1,64}`. Also the name of its state directory and its cgroup. */
  readonly id: string;
  /** Read-only layer directories, topmost first; an overlay with a private upper directory goes on top. */
  readonly layers: readonly string[];
  /** The files of `layers` have ids from `idBase` on already (`shiftTree`). Default false: each mount maps them. */
  readonly shiftedLayers?: boolean;
  /** Program (searched in PATH of `env` inside the container) and its arguments. */
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly workdir: string;
  readonly hostname: string;
  readonly mounts: readonly Mount[];
  /** Default: nothing but its own loopback. */
  readonly network?: NetworkSpec;
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
  /** Who runs the program: `name`, `uid`, `name:group` or `uid:gid`, names as in the image. Default root. */
  readonly user?: string;
  /** Supplementary groups, names or numbers, beside those that the image's /etc/group gives to `user`. */
  readonly groups?: readonly string[];
  /** Default 0022. */
  readonly umask?: number;
  readonly rlimits?: Partial<Readonly<Record<RlimitName, Rlimit>>>;
  /** -1000…1000: who is killed first when the host runs out of memory. */
  readonly oomScoreAdj?: number;
  readonly capabilities?: Capabilities;
  /** What `stop` sends when it is not told. Default SIGTERM. */
  readonly stopSignal?: number;
  /** False: the program itself is PID 1, as systemd wants it. Default true: it is PID 2 under a small init. */
  readonly init?: boolean;
  /**
   * The program is the init of a whole distribution: PID 1 (`init: false`), with a cgroup tree of its own at
   * /sys/fs/cgroup (cgroup2; limits stay out of its reach), the capabilities and system calls that such an init lives
   * by inside of its user namespace, and without no_new_privs, so that su and sudo work. Default false.
   */
  readonly machine?: boolean;
  readonly readOnlyRoot?: boolean;
  /** NIS domain name. */
  readonly domainname?: string;
  /** A list, even an empty one, also takes away access to all devices but these and the default ones. */
  readonly devices?: readonly Device[];
  readonly namespaces?: Namespaces;
  /** Which system calls it may make. Default `default`; `unconfined` needs the host's policy. */
  readonly seccomp?: "default" | "unconfined" | SeccompProfile;
  /** Of its own namespaces: kernel.shm*, kernel.msg*, kernel.sem, fs.mqueue.*, net.*, as in `net.core.somaxconn`. */
  readonly sysctls?: Readonly<Record<string, string>>;
  /** Beside the default ones. What does not exist is not an error. */
  readonly maskedPaths?: readonly string[];
  readonly readOnlyPaths?: readonly string[];
  /**
   * `createRuntime`: namespaces and mounts exist, the program does not; a failure fails the start. `started` and
   * `stopped`: failures change nothing.
   */
  readonly hooks?: Partial<Readonly<Record<HookPoint, readonly Hook[]>>>;
  readonly lease?: Lease;
  readonly secrets?: Secrets;
  /**
   * What it may write over its layers, in bytes, rounded up to whole MiB; volumes and memory not counted. 0, the default:
   * no limit. Enforced where the runtime's features say so.
   */
  readonly diskBytes?: number;
}

/**
 * Files on a read-only file system of the container's own, in memory, each with mode 0400 and the program's user and group
 * as its owner. They count against the memory limit, and are nowhere on the host.
 */
export interface Secrets {
  /** Absolute path in the container; created when it does not exist. */
  readonly target: string;
  /** By the file's name. At most 64 files of 64 KiB. */
  readonly files: Readonly<Record<string, Uint8Array>>;
}

/**
 * At `untilMs` on CLOCK_BOOTTIME it gets the `stopSignal`, and `graceMs` later it is killed, unless `renew` was called before:
 * by its supervisor, whatever has become of the agent. Its exit is then `lease_ended`.
 */
export interface Lease {
  readonly untilMs: number;
  readonly graceMs: number;
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
