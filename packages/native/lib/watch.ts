/**
 * Pressure and out-of-memory events as they happen. Nothing is watched unless somebody asks: each trigger costs one open
 * descriptor, and a pressure trigger of an agent with CAP_SYS_RESOURCE a kernel thread for its cgroup. Waiting is done by the event loop itself
 * (src/addon/poll.cc), so a thousand watches cost no thread and no polling.
 *
 *   pressure   v2 and hybrid: PSI triggers (Documentation/accounting/psi.rst); v1 alone: memory.pressure_level
 *   oom        v2: memory.events; v1: an eventfd on memory.oom_control
 */
import { closeSync, constants as fsConstants } from "node:fs";
import { open, readFile, type FileHandle } from "node:fs/promises";
import { constants } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Binding, Poller } from "./binding.ts";
import { writeCgroupFile } from "./cgroup-parent.ts";
import { fromSystemError, hasCode, nativeError, NativeFailure } from "./errors.ts";
import type { NativeError } from "./types.ts";

/** Told when the time that some (or all) of the processes were held up reaches `stallMs` within `windowMs`. */
export interface PressureTrigger {
  readonly resource: "cpu" | "memory" | "io";
  readonly level: "some" | "full";
  readonly stallMs: number;
  /** 500 to 10000. An agent without CAP_SYS_RESOURCE gets the next multiple of 2000, and as much more of `stallMs`. */
  readonly windowMs: number;
}

export type ContainerEvent =
  | { readonly kind: "oom"; readonly oomKills: number }
  | { readonly kind: "pressure"; readonly resource: PressureTrigger["resource"]; readonly level: "some" | "full" };

export interface Watch {
  /** What of the wish this host cannot tell, and why. */
  readonly unavailable: readonly NativeError[];
  /** No event follows. Also happens when the container or the runtime ends. */
  close(): void;
}

/** Between two events of one trigger; more of them say nothing new. */
const PAUSE_MS = 100;
/** v1 tells of an OOM before it has killed: the count is looked at again. */
const COUNT_AGAIN_MS = [20, 100, 500];
const STAGE = "watch";

interface Source {
  readonly fd: number;
  readonly priority: boolean;
  /** Before each wait. */
  rearm(): Promise<void>;
  close(): void;
}

/** Waits for a source over and over until it is closed or fails, as it does when its cgroup goes. */
class Repeated {
  readonly #source: Source;
  readonly #poller: Poller;
  #closed = false;

  constructor(binding: Binding, source: Source, onEvent: () => void | Promise<void>) {
    this.#source = source;
    this.#poller = new binding.Poller(source.fd, source.priority, () => {
      void (async () => {
        if (this.#closed) return;
        await onEvent();
        await sleep(PAUSE_MS, undefined, { ref: false });
        await this.arm();
      })().catch(() => this.close());
    });
  }

  async arm(): Promise<void> {
    if (this.#closed) return;
    await this.#source.rearm();
    if (!this.#closed) this.#poller.start();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#poller.close();
    this.#source.close();
  }
}

const closeHandle = (handle: FileHandle) => (): void => void handle.close().catch(() => undefined);

/** Without CAP_SYS_RESOURCE the kernel takes windows of whole multiples of this only. */
const UNPRIVILEGED_WINDOW_MS = 2000;

/** The kernel takes the trigger with its first write, and keeps it as long as the file is open. */
const pressureSource = async (file: string, trigger: PressureTrigger): Promise<Source> => {
  const handle = await open(file, fsConstants.O_RDWR | fsConstants.O_NONBLOCK);
  /* In microseconds. The last byte is overwritten by the kernel, see psi_write(). */
  const arm = (factor: number) =>
    handle.write(
      `${trigger.level} ${Math.round(trigger.stallMs * factor * 1000)} ${trigger.windowMs * factor * 1000}\0`,
    );
  try {
    await arm(1).catch(async (cause: unknown) => {
      const windowMs = Math.ceil(trigger.windowMs / UNPRIVILEGED_WINDOW_MS) * UNPRIVILEGED_WINDOW_MS;
      if (!hasCode(cause, "EINVAL") || !(trigger.windowMs >= 500) || windowMs === trigger.windowMs) throw cause;
      return await arm(windowMs / trigger.windowMs);
    });
  } catch (cause) {
    await handle.close();
    throw cause;
  }
  return { fd: handle.fd, priority: true, rearm: () => Promise.resolve(), close: closeHandle(handle) };
};

/** A v2 file that announces its changes; each has to be read before the next is announced. */
const changesSource = async (file: string): Promise<Source> => {
  const handle = await open(file, "r");
  const buffer = Buffer.alloc(4096);
  const rearm = async () => void (await handle.read(buffer, 0, buffer.length, 0));
  return { fd: handle.fd, priority: true, rearm, close: closeHandle(handle) };
};

/** v1: `cgroup.event_control` ties an eventfd to a file (cgroup-v1/memory.rst, "Memory thresholds" and following). */
const eventSource = async (binding: Binding, cgroup: string, file: string, argument: string): Promise<Source> => {
  const fd = binding.eventFd();
  if (fd < 0) throw new NativeFailure(nativeError(STAGE, -fd, "eventfd"));
  try {
    const handle = await open(join(cgroup, file), "r");
    try {
      await writeCgroupFile(join(cgroup, "cgroup.event_control"), `${fd} ${handle.fd}${argument}`);
    } finally {
      await handle.close();
    }
  } catch (cause) {
    closeSync(fd);
    throw cause;
  }
  return { fd, priority: false, rearm: () => Promise.resolve(binding.drain(fd)), close: () => closeSync(fd) };
};

export interface WatchPlaces {
  /** The container's cgroup in the v2 hierarchy, which has the pressure files; undefined on v1 alone. */
  readonly unified: string | undefined;
  readonly memory: { readonly path: string; readonly version: 1 | 2 } | undefined;
}

export interface WatchWish {
  readonly oom: boolean;
  readonly pressure: readonly PressureTrigger[];
}

const MAX_TRIGGERS = 8;

export const watchCgroup = async (
  binding: Binding,
  places: WatchPlaces,
  wish: WatchWish,
  listener: (event: ContainerEvent) => void,
): Promise<Watch> => {
  if (wish.pressure.length > MAX_TRIGGERS)
    throw new NativeFailure(nativeError(STAGE, constants.errno.EINVAL, `at most ${MAX_TRIGGERS} triggers`));
  const unavailable: NativeError[] = [];
  const active: Repeated[] = [];
  let closed = false;
  const tell = (event: ContainerEvent): void => {
    if (!closed) listener(event);
  };
  const add = async (what: string, make: () => Promise<Source>, onEvent: () => void | Promise<void>) => {
    try {
      const repeated = new Repeated(binding, await make(), onEvent);
      active.push(repeated);
      await repeated.arm();
    } catch (cause) {
      unavailable.push(cause instanceof NativeFailure ? cause.error : fromSystemError(STAGE, cause, what));
    }
  };
  for (const trigger of wish.pressure) {
    const { resource, level } = trigger;
    await add(
      `${level} pressure of ${resource}`,
      () => containerPressure(binding, places, trigger),
      () => tell({ kind: "pressure", resource, level }),
    );
  }
  const { memory } = places;
  if (wish.oom && memory !== undefined) {
    const count = await oomCounter(memory);
    await add(
      "oom",
      () => oomSource(binding, memory),
      async () => {
        const waits = memory.version === 1 ? COUNT_AGAIN_MS : [0];
        for (const waitMs of waits) {
          await sleep(waitMs, undefined, { ref: false });
          const kills = await count();
          if (kills === undefined) continue;
          tell({ kind: "oom", oomKills: kills });
          return;
        }
      },
    );
  } else if (wish.oom) unavailable.push(nativeError(STAGE, 0, "oom: this host has no memory controller"));
  return {
    unavailable,
    close: () => {
      closed = true;
      for (const each of active) each.close();
    },
  };
};

const containerPressure = async (
  binding: Binding,
  { unified, memory }: WatchPlaces,
  trigger: PressureTrigger,
): Promise<Source> => {
  try {
    if (unified !== undefined) return await pressureSource(join(unified, `${trigger.resource}.pressure`), trigger);
  } catch (cause) {
    /* A kernel without PSI, or with it switched off. */
    if (!hasCode(cause, "ENOENT", "EOPNOTSUPP")) throw cause;
  }
  if (trigger.resource === "memory" && memory?.version === 1)
    return await eventSource(
      binding,
      memory.path,
      "memory.pressure_level",
      trigger.level === "some" ? " medium" : " critical",
    );
  throw new NativeFailure(nativeError(STAGE, 0, `${trigger.resource}: this host tells no pressure of single cgroups`));
};

const oomSource = (binding: Binding, memory: { readonly path: string; readonly version: 1 | 2 }): Promise<Source> =>
  memory.version === 1
    ? eventSource(binding, memory.path, "memory.oom_control", "")
    : changesSource(join(memory.path, "memory.events"));

/** Answers the number of kills when it has grown since the last answer. */
const oomCounter = async (memory: { readonly path: string; readonly version: 1 | 2 }) => {
  const file = join(memory.path, memory.version === 1 ? "memory.oom_control" : "memory.events");
  const read = async () => Number(/^oom_kill (\d+)$/m.exec(await readFile(file, "utf8"))?.[1] ?? 0);
  let last = await read().catch(() => 0);
  return async (): Promise<number | undefined> => {
    const now = await read();
    const grown = now > last;
    last = now;
    return grown ? now : undefined;
  };
};

/** Pressure of the whole machine. */
export const watchHost = async (
  binding: Binding,
  trigger: PressureTrigger,
  listener: () => void,
): Promise<{ close(): void }> => {
  try {
    const repeated = new Repeated(
      binding,
      await pressureSource(`/proc/pressure/${trigger.resource}`, trigger),
      listener,
    );
    await repeated.arm();
    return repeated;
  } catch (cause) {
    throw new NativeFailure(fromSystemError(STAGE, cause, `pressure of ${trigger.resource}`));
  }
};
