/**
 * One container, started by this process or found again. It follows its supervisor until the end is known:
 *
 *   connected ─► exit event ──────────────────────────────► ended
 *       │                                                     ▲
 *       └─ connection lost ─► lock held? ─ yes ─► reconnect   │
 *                                 └──────── no ─► exit record ┤
 *                                                 none: kill the cgroup, write `supervisor_lost` or `host_rebooted`
 *
 * The lock is the truth: it is held exactly while a supervisor lives.
 */
import { closeSync } from "node:fs";
import { constants } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Child } from "./child.ts";
import type { ContainerCgroup } from "./cgroup.ts";
import type { ContainerLimits } from "./resources/limits.ts";
import { ControlConnection } from "./control.ts";
import { nativeError, NativeFailure } from "./errors.ts";
import { encodeExec, exec } from "./exec.ts";
import { freeze, isFrozen, thaw, type FreezerPlace } from "./freezer.ts";
import { linkNameOf } from "./network/names.ts";
import { findLink, innerStats } from "./network/links.ts";
import { shape } from "./network/networks.ts";
import type { InterfaceStats, ShapeOptions } from "./network/types.ts";
import type { FramingError } from "./frames.ts";
import { dial, dialStream, discard, isErrno, removing, unrefSleep, type Host } from "./host.ts";
import { killIf } from "./kill.ts";
import { forget } from "./forget.ts";
import { openLog } from "./log.ts";
import { conclude, KILL_DIRECT_MS } from "./conclude.ts";
import { NEVER_STARTED, notStartedRecord, requireLevel, unreachable, type Started } from "./lost.ts";
import { parseStatus, readRecord, type StatusRecord } from "./records.ts";
import { attach } from "./session.ts";
import { isTerminalSize } from "./spec/output.ts";
import { NO_STATS } from "./stats.ts";
import { watchUntilEnd, type WatchOptions } from "./container-watch.ts";
import type {
  Attachment,
  AttachOptions,
  Container,
  ContainerEvent,
  ContainerStats,
  ExecResult,
  ExecSpec,
  ExitRecord,
  Resources,
  TerminalSize,
  Unenforced,
  UpdateResult,
  Watch,
} from "./types.ts";

/** After this a supervisor that was told to kill is no longer waited for. */
const KILL_WAIT_MS = 1000;
const ADOPT_WAIT_MS = 10_000;
const DEFAULT_SCROLLBACK = 64 * 1024;

export class TrackedContainer implements Container {
  readonly id: string;
  readonly logPath: string;
  readonly writablePath: string;
  readonly exited: Promise<ExitRecord>;
  /** Settles when it is known whether the program was executed. */
  readonly started: Promise<Started>;
  readonly #host: Host;
  readonly #cgroup: ContainerCgroup;
  readonly #limits: ContainerLimits;
  readonly #directory: string;
  #status: StatusRecord | undefined;
  #exit: ExitRecord | undefined;
  #stats: ContainerStats = NO_STATS;
  /** Watches that end with it. */
  readonly #onEnd = new Set<(exit: ExitRecord) => void>();
  #connection: ControlConnection | undefined;
  #child: Child | undefined;
  #refused: FramingError | undefined;
  #settleExited: (exit: ExitRecord) => void = () => undefined;
  #settleStarted: (result: Started) => void = () => undefined;

  constructor(host: Host, cgroup: ContainerCgroup, limits: ContainerLimits, id: string) {
    this.id = id;
    this.#limits = limits;
    this.#host = host;
    this.#cgroup = cgroup;
    this.#directory = join(host.stateDir, id);
    this.logPath = join(this.#directory, "log");
    this.writablePath = join(this.#directory, "upper");
    this.exited = new Promise((resolve) => (this.#settleExited = resolve));
    this.started = new Promise((resolve) => (this.#settleStarted = resolve));
  }

  get pid(): number | null {
    return this.#status?.pid ?? null;
  }
  get startedAtMs(): number | null {
    return this.#status?.startedAtMs ?? this.#exit?.startedAtMs ?? null;
  }
  get limits(): Resources | undefined {
    return this.#limits.resources;
  }
  get limitsInDoubt(): boolean {
    return this.#limits.inDoubt;
  }
  get unenforced(): readonly Unenforced[] {
    return this.#limits.unenforced;
  }
  /** Follows a supervisor that was just started: `socket` is its first client connection, `pid` our child. */
  follow(socket: number, pid: number): void {
    this.#child = new Child(this.#host.binding, pid);
    this.#connection = this.#attach(socket, () => {
      /* Its socket ends a moment before the process does; `remove` waits for that end anyway. */
      void this.#child?.reapSoon();
      void this.#lost();
    });
  }

  /**
   * Finds out what became of it after a restart of the agent. A supervisor that holds the lock and does not answer
   * counts as running: it is asked again in the background, and `stop` kills it.
   */
  async adopt(): Promise<"running" | "ended" | "never_started"> {
    const status = await readRecord(this.#directory, "status");
    this.#status = status === undefined ? undefined : parseStatus(status);
    const search = this.#find();
    const found = await Promise.race([search, unrefSleep(ADOPT_WAIT_MS)]).catch((cause: unknown) => {
      if (this.#refused !== undefined) return undefined;
      throw cause;
    });
    await this.#limits.adopt(found === "running");
    if (found !== undefined) return found;
    search.catch(() => void this.#lost());
    return "running";
  }

  /** Follows whatever is found on disk. */
  async #find(): Promise<"running" | "ended" | "never_started"> {
    for (let pauseMs = 5; ; pauseMs = Math.min(pauseMs * 2, 500)) {
      if (this.#host.isClosed()) throw new NativeFailure(nativeError("state.lock", constants.errno.ECANCELED, this.id));
      const lock = this.#host.binding.lock(this.#host.stateRoot, this.id);
      if (lock >= 0) return await this.#conclude(lock);
      if (-lock !== constants.errno.EWOULDBLOCK) throw new NativeFailure(nativeError("state.lock", -lock, this.id));
      if (await this.#reconnect()) return "running";
      /* It is about to listen, or about to end. */
      await sleep(pauseMs, undefined, { ref: false });
    }
  }

  async attach(options: AttachOptions = {}): Promise<Attachment> {
    this.#require(2, "attach");
    return await attach(
      dialStream(this.#host, this.id),
      openLog(this.logPath),
      options.scrollbackBytes ?? DEFAULT_SCROLLBACK,
    );
  }

  async exec(spec: ExecSpec): Promise<ExecResult> {
    this.#require(spec.limits !== undefined ? 6 : spec.seccomp !== undefined ? 3 : 2, "exec");
    return await this.#limits.within(spec.limits, async (cgroup) => {
      if (!cgroup.ok) return { ok: false, error: cgroup.error, exit: notStartedRecord(cgroup.error) };
      const encoded = encodeExec(spec, this.#status?.controlLevel, cgroup.value);
      if (!encoded.ok) return { ok: false, error: encoded.error, exit: notStartedRecord(encoded.error) };
      const stream = dialStream(this.#host, this.id);
      return await exec(stream, encoded.value, spec.terminal !== undefined, () => this.#connected());
    });
  }

  async resize(size: TerminalSize): Promise<void> {
    this.#require(2, "resize");
    if (!isTerminalSize(size))
      throw new NativeFailure(nativeError("terminal", constants.errno.EINVAL, "rows and columns are 1 to 65535"));
    await this.#connected().resize(size);
  }

  async signal(signal: number): Promise<void> {
    if (this.#exit !== undefined) return;
    try {
      await this.#connected().signal(signal);
    } catch (cause) {
      if (this.#exit === undefined && !isErrno(cause, constants.errno.ESRCH)) throw cause;
    }
  }

  async stop(options: { readonly signal?: number; readonly graceMs: number }): Promise<ExitRecord> {
    const signal = options.signal ?? this.#status?.stopSignal ?? constants.signals.SIGTERM;
    /* A signal that cannot be delivered must not keep the kill from coming. */
    await this.signal(signal).catch(() => undefined);
    if (options.graceMs > 0) await this.#goOn().catch(() => undefined);
    const ended = await Promise.race([this.exited, unrefSleep(options.graceMs)]);
    return ended ?? (await this.#kill());
  }

  async renew(untilMs: number): Promise<void> {
    this.#require(4, "renew");
    await this.#connected().renew(Math.floor(untilMs));
  }

  async pause(): Promise<void> {
    await freeze(this.#freezer("cgroup.freeze"));
  }

  async resume(): Promise<void> {
    await thaw(this.#freezer("cgroup.freeze"));
  }

  async isPaused(): Promise<boolean> {
    const place = this.#cgroup.freezer;
    return place !== undefined && this.#exit === undefined && (await isFrozen(place));
  }

  async stats(): Promise<ContainerStats> {
    this.#stats = (await this.#cgroup.stats(this.#host.binding)) ?? this.#stats;
    return this.#stats;
  }

  async watch(listener: (event: ContainerEvent) => void, options: WatchOptions = {}): Promise<Watch> {
    if (this.#exit !== undefined)
      throw new NativeFailure(nativeError("watch", constants.errno.ESRCH, `${this.id} has ended`));
    const close = (): void => {
      this.#onEnd.delete(made.onEnd);
      this.#host.watches.delete(made.watch);
    };
    const made = await watchUntilEnd(this.#host.binding, this.#cgroup.watchPlaces, options, listener, close);
    this.#host.watches.add(made.watch);
    this.#onEnd.add(made.onEnd);
    if (this.#exit !== undefined) made.onEnd(this.#exit);
    return made.watch;
  }

  /** To be called once it runs; what cannot be protected now is with the next change of limits. */
  async protect(): Promise<void> {
    if (this.#limits.protects) await this.#limits.protect().catch(() => undefined);
  }

  async update(limits: Resources, options: { readonly strict?: boolean } = {}): Promise<UpdateResult> {
    if (this.#exit !== undefined)
      return { ok: false, error: nativeError("cgroup.limit", constants.errno.ESRCH, `${this.id} has ended`) };
    return await this.#limits.update(limits, options.strict === true);
  }

  async networkStats(): Promise<InterfaceStats | null> {
    const link = await findLink(this.#host.binding, linkNameOf(this.#host.stateDir, this.id));
    return link?.stats === undefined ? null : innerStats(link.stats);
  }

  async shape(options: ShapeOptions): Promise<void> {
    const initPid = this.#exit === undefined ? this.#status?.initPid : null;
    if (initPid === null || initPid === undefined)
      throw new NativeFailure(nativeError("net", constants.errno.ESRCH, `${this.id} does not run`));
    await shape(this.#host.binding, linkNameOf(this.#host.stateDir, this.id), initPid, options);
  }

  async remove(): Promise<void> {
    if (this.#exit === undefined) {
      throw new NativeFailure(nativeError("state.remove", constants.errno.EBUSY, `${this.id} has not ended`));
    }
    const { cause } = this.#exit;
    await removing(this.#host, () => this.#remove(cause));
  }

  async #remove(cause: ExitRecord["cause"]): Promise<void> {
    /* Tells the supervisor that its exit was received: nothing keeps it any more. */
    this.#connection?.destroy();
    const lock = await forget(this.#host, {
      id: this.id,
      child: this.#child,
      paths: () => this.#cgroup.paths,
      /* What could not start may have met cgroups that were not its own. */
      vouches: !this.#limits.changed && cause !== "start_failed",
    });
    if (lock !== undefined) {
      try {
        await this.#removeCgroup();
      } catch (cause) {
        closeSync(lock);
        throw cause;
      }
      await discard(this.#host, this.id, lock);
    }
    await this.protect();
  }

  async #removeCgroup(): Promise<void> {
    if (!(await this.#cgroup.kill(KILL_DIRECT_MS)))
      throw new NativeFailure(nativeError("cgroup.kill", constants.errno.EBUSY, `processes of ${this.id} do not die`));
    await this.#cgroup.remove();
  }

  async #kill(): Promise<ExitRecord> {
    await this.#connection?.kill().catch(() => undefined);
    const ended = await Promise.race([this.exited, unrefSleep(KILL_WAIT_MS)]);
    if (ended !== undefined) return ended;
    await this.#cgroup.kill(KILL_DIRECT_MS);
    const late = await Promise.race([this.exited, unrefSleep(KILL_WAIT_MS)]);
    if (late !== undefined) return late;
    /* The supervisor itself stands still. Its pid is its own for as long as it holds the lock. */
    if (this.#status !== undefined) killIf(this.#status.supervisorPid, () => this.#isLocked());
    return await this.exited;
  }

  #isLocked(): boolean {
    const lock = this.#host.binding.lock(this.#host.stateRoot, this.id);
    if (lock >= 0) closeSync(lock);
    return lock === -constants.errno.EWOULDBLOCK;
  }

  /** Frozen, it could not use its grace. */
  async #goOn(): Promise<void> {
    const place = this.#cgroup.freezer;
    if (place !== undefined && (await isFrozen(place))) await thaw(place);
  }

  #freezer(stage: string): FreezerPlace {
    const place = this.#cgroup.freezer;
    if (this.#exit !== undefined)
      throw new NativeFailure(nativeError(stage, constants.errno.ESRCH, `${this.id} has ended`));
    if (place === undefined)
      throw new NativeFailure(nativeError(stage, constants.errno.EOPNOTSUPP, "this host cannot freeze cgroups"));
    return place;
  }

  #connected(): ControlConnection {
    if (this.#connection === undefined) throw unreachable(this.id, this.#refused);
    return this.#connection;
  }

  #attach(socket: number, onClose: () => void): ControlConnection {
    const connection = new ControlConnection(this.#host.binding, socket, {
      onStatus: (status) => {
        this.#status = status;
        if (status.state === "running") this.#settleStarted({ started: true });
      },
      onExit: (exit) => this.#end(exit),
      onClose: () => {
        this.#host.connections.delete(connection);
        if (this.#connection === connection) this.#connection = undefined;
        onClose();
      },
    });
    this.#host.connections.add(connection);
    if (this.#host.isClosed()) connection.destroy();
    return connection;
  }

  #end(exit: ExitRecord): void {
    if (this.#exit !== undefined) return;
    this.#exit = exit;
    for (const tell of this.#onEnd) tell(exit);
    const untouched = exit.error === NEVER_STARTED;
    this.#settleStarted(exit.cause === "start_failed" ? { started: false, exit, untouched } : { started: true });
    this.#settleExited(exit);
  }

  /** The connection ended without an exit event. `exited` never rejects: what cannot be read is tried again. */
  async #lost(): Promise<void> {
    while (!this.#host.isClosed() && this.#exit === undefined) {
      try {
        const found = await this.#find();
        if (found === "never_started") this.#end(notStartedRecord(NEVER_STARTED));
        return;
      } catch {
        if (!this.#host.isClosed()) await unrefSleep(1000);
      }
    }
    this.#settleStarted({ started: "unknown" });
  }

  async #reconnect(): Promise<boolean> {
    let connection: ControlConnection | undefined;
    try {
      let subscribed = false;
      connection = this.#attach(dial(this.#host, this.id), () => {
        if (subscribed) void this.#lost();
      });
      await connection.subscribe();
      subscribed = true;
      this.#connection = connection;
      return true;
    } catch {
      connection?.destroy();
      if (connection?.refused === undefined) return false;
      this.#refused = connection.refused;
      throw unreachable(this.id, this.#refused);
    }
  }

  #require(level: number, what: string): void {
    requireLevel(this.id, what, this.#refused, this.#status?.controlLevel, level);
  }

  async #conclude(lock: number): Promise<"ended" | "never_started"> {
    const exit = await conclude(this.#host, this.#cgroup, this.#directory, lock);
    if (exit === undefined) return "never_started";
    this.#end(exit);
    return "ended";
  }
}
