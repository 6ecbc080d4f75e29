/**
 * The addon as it is: numbers, buffers and plain failures. Nothing else of the package touches it, and it decides
 * nothing. Built by scripts/build.mjs.
 */
import { createRequire } from "node:module";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

export interface RawFailure {
  readonly stage: string;
  readonly errno: number;
  readonly detail: string;
}

/** Waits once for an event of a descriptor each time it is started. Does not keep the process alive. */
export interface Poller {
  start(): boolean;
  /** To be called before the descriptor is closed. */
  close(): void;
}

/** A connected socket, which it owns. Keeps the process alive until it is closed. */
export interface Link {
  /** 0, or an errno; then nothing was sent. Never waits. */
  send(bytes: Uint8Array): number;
  /** At once; nothing is told any more. */
  close(): void;
}

export interface Binding {
  /** `onData` gets what arrives, and null, once, when nothing more will. */
  readonly Link: new (socket: number, onData: (bytes: Buffer | null) => void) => Link;
  /** A socket that is connected to the supervisor of `id`, or a negative errno. */
  dial(stateRoot: number, id: string): number;
  readonly Poller: new (fd: number, priority: boolean, onEvent: () => void) => Poller;
  /** A descriptor that never blocks, or a negative errno. */
  eventFd(): number;
  drain(fd: number): void;
  /** Descriptor of a sealed copy of the supervisor program. */
  imageOpen(path: string): number | RawFailure;
  start(
    image: number,
    stateRoot: number,
    id: string,
    spec: Uint8Array,
    /** Kept in the lock file. */
    note: string,
    /** Descriptors of namespaces, in the order in which the spec names them. */
    joins: readonly number[],
  ): Promise<{ readonly pid: number; readonly socket: number } | RawFailure>;
  /** Starts a supervisor that waits for its spec, in a new directory `slot`, with a cgroup in each of the v1 directories. */
  standby(
    image: number,
    stateRoot: number,
    slot: string,
    cgroupParents: readonly string[],
  ): Promise<{ readonly pid: number; readonly socket: number } | RawFailure>;
  /** Asks the file system to keep the directories in this one far apart; whether it will. */
  spread(directory: number): boolean;
  /** Renames `slot` to `id` and sends the spec to the supervisor behind `socket`. EEXIST: nothing was done. */
  claim(
    stateRoot: number,
    slot: string,
    id: string,
    socket: number,
    spec: Uint8Array,
    note: string,
  ): Promise<RawFailure | undefined>;
  /** Sends rtnetlink messages, in the network namespace of descriptor `netns` or, with -1, in our own. */
  netlink(netns: number, messages: Uint8Array): Promise<Buffer | RawFailure>;
  /** Descriptor that holds the lock of a state directory until it is closed, or a negative errno. */
  lock(stateRoot: number, id: string): number;
  /**
   * Starts a program whose stdout is the pipe `output`, without forking; `input` -1 is /dev/null, and with -2 (FED) it reads
   * what is written to the pipe `feed`. To be reaped.
   */
  run(
    path: string,
    words: readonly string[],
    input: number,
    third: number,
  ): Promise<{ readonly pid: number; readonly output: number; readonly feed?: number } | RawFailure>;
  /** A descriptor of whoever has this number now, or a negative errno. */
  pidfdOpen(pid: number): number;
  /** 0 when that process was sent SIGKILL, or a negative errno. */
  pidfdKill(pidfd: number): number;
  /** True when this child of ours is gone and no zombie is left of it. */
  reap(pid: number): boolean;
  /** Numbers by container and field, and rows of disks; the meaning is in lib/stats.ts. */
  readStats(
    paths: readonly string[],
    v1: readonly boolean[],
    ids: readonly string[],
  ): Promise<{ readonly values: Float64Array; readonly io: Float64Array }>;
  /** As `lock`, asked until it is free, for at most so long. */
  lockSoon(stateRoot: number, id: string, patienceMs: number): Promise<number>;
  /** Renames `id` to `trash` in one step, deletes that, and closes `lock`, whatever happens. */
  discard(stateRoot: number, id: string, trash: string, lock: number): Promise<RawFailure | undefined>;
  /**
   * `discard` once the supervisor is gone. When one of `paths` is there nothing is done, and it resolves to the lock.
   * `supervisor` is a child of ours that is reaped by this, or 0: then the lock tells when it is gone. With
   * `vouches` its exit status alone says whether any were left, and `paths` are not looked at. It resolves to false when the directory held
   * nothing: then it is only renamed, and left to `sweep`.
   */
  forget(
    stateRoot: number,
    id: string,
    trash: string,
    patienceMs: number,
    paths: readonly string[],
    supervisor: number,
    vouches: boolean,
  ): Promise<RawFailure | number | boolean>;
  /** Deletes what `forget` left; resolves to those that could not be deleted. */
  sweep(stateRoot: number, names: readonly string[]): Promise<readonly string[]>;
  /** An extended attribute of what is open, or a negative errno. */
  getXattr(fd: number, name: string): Buffer | number;
  /** 0 when the file system of this directory enforces project quotas, else a negative errno. */
  projectQuotas(fd: number): number;
  removeTree(directory: number, name: string): Promise<RawFailure | undefined>;
}

/** Tests run the same suite on a build with sanitizers, build/sanitize. */
const variant = process.env["BERTH_NATIVE_BUILD"] === "sanitize" ? "sanitize" : "native";
const built = (name: string): string => fileURLToPath(new URL(`../build/${variant}/${name}`, import.meta.url));
export const addonPath = built("berth_native.node");
export const supervisorPath = built("berth-supervisor");
/** A program of its own, which the sanitized build does not make. */
export const unpackPath = fileURLToPath(new URL("../build/native/berth-unpack", import.meta.url));
export const packPath = fileURLToPath(new URL("../build/native/berth-pack", import.meta.url));

let loaded: Binding | undefined;

export const binding = (): Binding => {
  if (!existsSync(addonPath)) throw new Error(`${addonPath} does not exist: build it with "pnpm build:native"`);
  loaded ??= createRequire(import.meta.url)(addonPath) as Binding;
  return loaded;
};

export const isFailure = (value: object | undefined): value is RawFailure => value !== undefined && "stage" in value;
