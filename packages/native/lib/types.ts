/**
 * What a container is, as the runtime sees it: plain data in, plain data out. Everything above (images, jobs, retries)
 * belongs to the agent; everything below (clone, mounts, cgroup files) to the supervisor.
 */
import type { Readable, Writable } from "node:stream";
import type { SeccompProfile } from "./seccomp/profile.ts";
import type { CgroupLayout } from "./cgroup-layout.ts";
import type { InterfaceStats, Networks, NetworkSpec, ShapeOptions } from "./network/types.ts";
import type { UpdateResult } from "./resources/limits.ts";
import type { ContainerEvent, PressureTrigger, Watch } from "./watch.ts";
import type { Knob, Resources, Unenforced } from "./resources/resources.ts";

export type { IoLimit, Knob, Resources, Unenforced } from "./resources/resources.ts";
export type { UpdateResult } from "./resources/limits.ts";
export type { ContainerEvent, PressureTrigger, Watch } from "./watch.ts";

/** A failure of the runtime: which step, which errno (0 when the kernel was not involved), and what it was about. */
export interface NativeError {
  /** Dotted name of the step: `cgroup.create`, `mount.proc`, `exec` … */
  readonly stage: string;
  readonly errno: number;
  /** Symbolic errno, e.g. `ENOSPC`; empty when errno is 0. */
  readonly code: string;
  readonly detail: string;
}

export interface BindMount {
  readonly kind?: "bind";
  /** Absolute path on the host. */
  readonly source: string;
  /** Absolute path in the container; created when it does not exist, resolved inside the rootfs only. */
  readonly target: string;
  readonly readOnly: boolean;
  readonly noExec?: boolean;
  /** With what is mounted below the source. Default true. */
  readonly recursive?: boolean;
  /** `slave`: what the host mounts below the source later appears inside, never the other way round. */
  readonly propagation?: "private" | "slave";
}

/** A file system in memory; its content counts against the memory limit. */
export interface TmpfsMount {
  readonly kind: "tmpfs";
  readonly target: string;
  /** Default: the memory limit. */
  readonly sizeBytes?: number;
  readonly inodes?: number;
  /** Permission bits of its root. Default 0755. */
  readonly mode?: number;
  readonly readOnly?: boolean;
  readonly noExec?: boolean;
}

/** POSIX shared memory, at /dev/shm unless said otherwise (where it replaces the default one). */
export interface ShmMount {
  readonly kind: "shm";
  readonly target: string;
  readonly sizeBytes?: number;
  readonly inodes?: number;
  readonly mode?: number;
}

/** The kernel's own view of this container once more, at another place; `cgroup` only at /sys/fs/cgroup. */
export interface KernelMount {
  readonly kind: "proc" | "sysfs" | "mqueue" | "devpts" | "cgroup";
  readonly target: string;
  readonly readOnly?: boolean;
  readonly noExec?: boolean;
}

/** Every mount is nosuid and nodev. */
export type Mount = BindMount | TmpfsMount | ShmMount | KernelMount;
export type MountKind = NonNullable<Mount["kind"]>;

/** Of those that Linux has, the ones that stay inside of a user namespace. */
export type Capability =
  | "audit_write"
  | "chown"
  | "dac_override"
  | "dac_read_search"
  | "fowner"
  | "fsetid"
  | "ipc_lock"
  | "ipc_owner"
  | "kill"
  | "lease"
  | "mknod"
  | "net_admin"
  | "net_bind_service"
  | "net_broadcast"
  | "net_raw"
  | "setfcap"
  | "setgid"
  | "setpcap"
  | "setuid"
  | "sys_admin"
  | "sys_chroot"
  | "sys_nice"
  | "sys_ptrace"
  | "sys_resource";

export interface Capabilities {
  /** Beside the default set. `dac_read_search`, `net_admin`, `sys_admin` and `sys_ptrace` need the host's policy. */
  readonly add?: readonly Capability[];
  /** Taken from the default set before `add` counts. */
  readonly drop?: readonly (Capability | "all")[];
  readonly inheritable?: readonly Capability[];
  /** What a program keeps that does not run as root. Inheritable as well. */
  readonly ambient?: readonly Capability[];
}

export type RlimitName =
  | "as"
  | "core"
  | "cpu"
  | "data"
  | "fsize"
  | "locks"
  | "memlock"
  | "msgqueue"
  | "nice"
  | "nofile"
  | "nproc"
  | "rss"
  | "rtprio"
  | "rttime"
  | "sigpending"
  | "stack";

export interface Rlimit {
  readonly soft: number | "unlimited";
  readonly hard: number | "unlimited";
}

/** A device of the host. */
export interface Device {
  /** Below /dev. */
  readonly path: string;
  readonly type: "char" | "block";
  readonly major: number;
  readonly minor: number;
  /** Permission bits of the node. Default 0660. */
  readonly mode?: number;
  /** Owner inside. Default root. */
  readonly uid?: number;
  readonly gid?: number;
  /** Of r(ead), w(rite) and m(knod). Default `rw`. */
  readonly access?: string;
}

export type JoinableNamespace = "user" | "net" | "ipc" | "uts";
/** Somebody else's namespace: a path like /proc/PID/ns/net, or an open descriptor of this process. */
export type NamespaceSource = { readonly path: string } | { readonly fd: number };

export interface Namespaces extends Partial<Readonly<Record<JoinableNamespace, NamespaceSource>>> {
  /** A clock namespace: what is added to the time since boot, time_namespaces(7). */
  readonly time?: { readonly monotonicOffsetMs?: number; readonly boottimeOffsetMs?: number };
}

export type HookPoint = "createRuntime" | "started" | "stopped";

/** A program of the host, run by its root outside of the container; it reads the container's `status` from stdin. */
export interface Hook {
  /** Absolute path, which the host's policy must name, and arguments. */
  readonly command: readonly string[];
  /** All of its environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** After this it is killed and counts as failed. Default 10 s. */
  readonly timeoutMs?: number;
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

/** What specs may ask for on this host beyond what is harmless everywhere. */
export interface SpecPolicy {
  /** Of the four that have been part of an escape: those that a spec may add. Default none. */
  readonly capabilities?: readonly Capability[];
  /** Whether a spec may do without the default system call profile. */
  readonly unconfinedSeccomp?: boolean;
  /** Absolute paths of programs that specs may name as hooks. */
  readonly hooks?: readonly string[];
  /** Devices of the host that a spec may ask for. Default none: a disk's node is the host itself. */
  readonly devices?: readonly Pick<Device, "type" | "major" | "minor">[];
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
  /** When its supervisor began to make it; null when that is not known. */
  readonly createdAtMs: number | null;
  /** When the program was executed; null when it never was. */
  readonly startedAtMs: number | null;
  readonly finishedAtMs: number;
  /** Bytes of output that were not kept. */
  readonly droppedBytes: number;
  /** Processor time of everything in it; null when this host or its last supervisor does not tell. */
  readonly cpuMicros: number | null;
  /** The most memory at one time, file pages included; of an executed program: its own resident set. */
  readonly peakMemoryBytes: number | null;
}

/** Bytes and operations of one disk since the start. */
export interface DeviceIo {
  readonly device: string;
  readonly readBytes: number;
  readonly writtenBytes: number;
  readonly reads: number;
  readonly writes: number;
}

/**
 * Of a running container; of an ended one the last that were read, or zeros. Counters start with the container. `null`
 * is what this host does not count.
 */
export interface ContainerStats {
  readonly cpuUsageMicros: number;
  readonly cpuUserMicros: number | null;
  readonly cpuSystemMicros: number | null;
  /** Periods of the quota in which it ran, those in which it had to wait, and how long it did. */
  readonly cpuPeriods: number | null;
  readonly cpuThrottledPeriods: number | null;
  readonly cpuThrottledMicros: number | null;
  /** Without file pages that nobody used lately: what would be missing if it were taken away. */
  readonly memoryBytes: number;
  /** All of it, which is what counts against the limit. */
  readonly memoryUsageBytes: number | null;
  readonly memoryCacheBytes: number | null;
  readonly memoryPeakBytes: number | null;
  readonly swapBytes: number | null;
  readonly oomKills: number;
  readonly pids: number;
  /** How often a new process was refused. */
  readonly pidsRefused: number | null;
  /** Disks that it used. On v1 only of a container that has limits for disks. */
  readonly io: readonly DeviceIo[];
}

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
  /** Several may be attached. Rejects when its supervisor cannot be reached or is too old for it. */
  attach(options?: AttachOptions): Promise<Attachment>;
  /** Settles once the program was executed, or could not be. Up to eight at a time. */
  exec(spec: ExecSpec): Promise<ExecResult>;
  /** Of its terminal. Rejects with ENOTTY when it has none. */
  resize(size: TerminalSize): Promise<void>;
  /** Sends a signal to the program. Nothing happens when it has ended. */
  signal(signal: number): Promise<void>;
  /** Resolves when every process of it stands still; rejects, and lets all go on, when one does not within 5 s. */
  pause(): Promise<void>;
  resume(): Promise<void>;
  /** What the kernel says: it stays paused when the agent is restarted. */
  isPaused(): Promise<boolean>;
  /**
   * Signal, then after `graceMs` everything in the container is killed. Resolves with the exit. Without a signal it is
   * the `stopSignal` of the spec. A paused container goes on once it has the signal, unless it is given no grace.
   */
  stop(options: { readonly signal?: number; readonly graceMs: number }): Promise<ExitRecord>;
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
  /**
   * Tells `listener` of every kill by the memory limit and of each given pressure, at most ten times a second each,
   * until it is closed or the container ends. One descriptor for each.
   */
  watch(
    listener: (event: ContainerEvent) => void,
    options?: { readonly oom?: boolean; readonly pressure?: readonly PressureTrigger[] },
  ): Promise<Watch>;
  /** Of its interface; null when it has none, or none any more. */
  networkStats(): Promise<InterfaceStats | null>;
  /** Changes how fast it may send and receive while it runs; a rate that is not given stays. */
  shape(options: ShapeOptions): Promise<void>;
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
  /** How many supervisors wait for a start that they make faster, about 50 KiB each; 0 to 64. Default 0. */
  readonly standby?: number;
  /** Default: nothing beyond what is harmless everywhere. */
  readonly allow?: SpecPolicy;
}

export interface Runtime {
  /** Settles once the program was executed, or could not be. Never starts an id for the second time. */
  start(spec: ContainerSpec): Promise<StartResult>;
  /** Everything in the state directory. To be called once, before the first `start`. */
  adopt(): Promise<readonly AdoptedContainer[]>;
  /** Of many containers in one cheap call; those that have ended are not among the answers. */
  stats(ids: readonly string[]): Promise<ReadonlyMap<string, ContainerStats>>;
  /** Pressure of the whole machine, until it is closed. Rejects where the kernel does not tell it. */
  watchPressure(trigger: PressureTrigger, listener: () => void): Promise<{ close(): void }>;
  features(): RuntimeFeatures;
  /** Bridges and interfaces of this host's network. */
  readonly networks: Networks;
  /** Lets go of everything; containers run on. Promises of containers that still run stay open. */
  close(options?: CloseOptions): Promise<void>;
}
