/** What the agent needs from the container runtime. The shape is that of the native package, which is the real one. */
import type { Readable, Writable } from "node:stream";
import type { ContainerSpec, ExitRecord, RuntimeError } from "../core/container.ts";

export interface TerminalSize {
  readonly columns: number;
  readonly rows: number;
}

export interface ExecSpec {
  readonly command: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly workdir?: string;
  readonly stdin?: "null" | "pipe";
  readonly terminal?: TerminalSize;
  readonly user?: string;
  /** Beside the container's, which hold all the same. */
  readonly limits?: { readonly cpuLimitMillis?: number; readonly memoryBytes?: number; readonly pids?: number };
}

/** Bytes of a running program. Both outputs must be read: one that is not holds up the other, and the program. */
interface Streams {
  readonly terminal: boolean;
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr: Readable;
  resize(size: TerminalSize): Promise<void>;
}

export interface ExecProcess extends Streams {
  readonly exited: Promise<ExitRecord>;
  signal(signal: number): Promise<void>;
  /** Kills it when it still runs. */
  close(): void;
}

export interface Attachment extends Streams {
  readonly closed: Promise<"ended" | "detached" | "dropped">;
  detach(): void;
}

export type ExecResult =
  | { readonly ok: true; readonly value: ExecProcess }
  | { readonly ok: false; readonly error: RuntimeError; readonly exit: ExitRecord };

export interface ContainerStats {
  readonly cpuUsageMicros: number;
  readonly memoryBytes: number;
  readonly pids: number;
  readonly paused: boolean;
}

export interface Container {
  readonly id: string;
  readonly pid: number | null;
  readonly startedAtMs: number | null;
  /** Directory of its log. */
  readonly logPath: string;
  /** Directory of what it has written over its layers. */
  readonly writablePath: string;
  /** Those that it was started with, or that it was given since. */
  readonly limits: ContainerSpec["limits"] | undefined;
  /** The kernel may hold it to others, as an update was cut off: `update` makes sure. */
  readonly limitsInDoubt: boolean;
  /** Settles when it has ended, for whatever reason; never rejects. */
  readonly exited: Promise<ExitRecord>;
  /** All of its limits, while it runs. What the kernel refuses leaves those that it has. */
  update(limits: ContainerSpec["limits"]): Promise<UpdateResult>;
  /** The signal that its spec names, then after `graceMs` everything in the container is killed. */
  stop(options: { readonly graceMs: number }): Promise<ExitRecord>;
  /** Resolves when every process of it stands still; rejects, and lets all go on, when one does not in time. */
  pause(): Promise<void>;
  resume(): Promise<void>;
  /** As the kernel says now. */
  isPaused(): Promise<boolean>;
  /** Rejects when its supervisor cannot be asked; a program that cannot be started is a result. */
  exec(spec: ExecSpec): Promise<ExecResult>;
  attach(options?: { readonly scrollbackBytes?: number }): Promise<Attachment>;
  /** A container with a lease may run until then, on the clock of the boot. Rejects when that comes too late. */
  renew(untilMs: number): Promise<void>;
  /** Deletes what is left of an ended container, its logs included. */
  remove(): Promise<void>;
}

export type StartResult =
  | { readonly ok: true; readonly value: Container }
  | { readonly ok: false; readonly error: RuntimeError; readonly exit: ExitRecord };

export type UpdateResult =
  | { readonly ok: true; readonly unenforced: readonly { readonly knob: string; readonly reason: string }[] }
  | { readonly ok: false; readonly error: RuntimeError };

export type AdoptedContainer =
  | { readonly kind: "running"; readonly id: string; readonly container: Container }
  | { readonly kind: "ended"; readonly id: string; readonly container: Container; readonly exit: ExitRecord }
  | { readonly kind: "never_started"; readonly id: string; remove(): Promise<void> };

export interface RuntimeFeatures {
  readonly cgroup: "v1" | "hybrid" | "v2";
  /** Why `diskBytes` of a container is not enforced, or null when it is. */
  readonly diskLimit: string | null;
  /** Sentences on what this host cannot enforce. */
  readonly missing: readonly string[];
  readonly bootId: string;
}

export interface Runtime {
  /**
   * Settles once the program was executed, or could not be. Never starts an id for the second time. Rejects when it is closed
   * before either is known: the container goes on.
   */
  start(spec: ContainerSpec): Promise<StartResult>;
  /** Everything that exists, running or ended. Called once, before the first `start`. */
  adopt(): Promise<readonly AdoptedContainer[]>;
  /** Of many containers in one call; those that have ended are not among the answers. */
  stats(ids: readonly string[]): Promise<ReadonlyMap<string, ContainerStats>>;
  features(): RuntimeFeatures;
  /** Lets go of everything; containers run on. */
  close(): Promise<void>;
}
