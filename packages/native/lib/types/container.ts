/** A container that runs or ended: how it ended, what it used, what can be done with it. */
import type { InterfaceStats, ShapeOptions } from "../network/types.ts";
import type { UpdateResult } from "../resources/limits.ts";
import type { Resources, Unenforced } from "../resources/resources.ts";
import type { ContainerEvent, PressureTrigger, Watch } from "../watch.ts";
import type { NativeError } from "./error.ts";
import type { AttachOptions, Attachment, ExecResult, ExecSpec } from "./exec.ts";
import type { TerminalSize } from "./spec.ts";

export type ExitCause =
  | "exited"
  | "signalled"
  | "oom"
  | "start_failed"
  | "supervisor_lost"
  | "host_rebooted"
  | "lease_ended";

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
  /** Every process of it stands still. */
  readonly paused: boolean;
  /** Disks that it used. On v1 only of a container that has limits for disks. */
  readonly io: readonly DeviceIo[];
}

/** A container that was started or found again. */
export interface Container {
  readonly id: string;
  /** Host pid of the program (not of the small init above it), or null before the start is known to have worked. */
  readonly pid: number | null;
  readonly startedAtMs: number | null;
  /** Directory of its log, for `openLog`. May not exist before the program has written anything. */
  readonly logPath: string;
  /** What it has written over its layers, as overlayfs keeps it: hostile, changing, and deleted by `remove`. */
  readonly writablePath: string;
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
  /** It may run until then: see Lease. Rejects with ESTALE when that comes too late, with ENOENT when it has no lease. */
  renew(untilMs: number): Promise<void>;
  stats(): Promise<ContainerStats>;
  /** What it may use now; undefined when its records were lost. */
  readonly limits: Resources | undefined;
  /** An update was interrupted and could not be taken back: the kernel may hold it to others, until `update` succeeds. */
  readonly limitsInDoubt: boolean;
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
  /**
   * Deletes what is left of an ended container (rootfs upper, cgroup, records, logs). Rejects while it runs. Of one that
   * wrote nothing and said nothing a few empty directories may be left for a moment, under another name.
   */
  remove(): Promise<void>;
}
