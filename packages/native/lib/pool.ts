/**
 * Supervisors that were started before anybody knew for what. Each waits in a directory `.standby-…` of its own, holds
 * that directory's lock, and has made what every container needs and no program was ever in: namespaces of users, network,
 * IPC and names, a /dev, and v1 cgroups. A start renames the directory and sends the spec, and the supervisor renames these.
 *
 *   standby ─► claimed ─► a container's supervisor
 *      └─ the agent ends: its socket does, too, and so does the process; the next agent deletes the directory
 *
 * Bounded by `size`, and filled once no start was under way for a moment: starts in quick succession find it empty and
 * make their own supervisors, as if there were no pool, and nothing takes processor time from them.
 */
import { closeSync } from "node:fs";
import { readdir, rmdir } from "node:fs/promises";
import { constants } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { isFailure, type Binding, type RawFailure } from "./binding.ts";
import { underWay } from "./under-way.ts";

/** Of their directories and cgroups; of the latter also in include/control.h. */
export const STANDBY = ".standby-";

/** So long no start ended before the pool is filled up: longer than the pauses of a burst. */
const REFILL_AFTER_MS = 25;

const CLOSED: RawFailure = {
  stage: "supervisor.start",
  errno: constants.errno.ECANCELED,
  detail: "the runtime is closed",
};

interface Child {
  readonly pid: number;
  readonly socket: number;
}
export interface Born extends Child {
  /** It was on standby: should it turn out to have been killed before it did anything, a new one may still do it. */
  readonly waited: boolean;
}
interface Slot extends Child {
  readonly name: string;
}

export class SupervisorPool {
  readonly #binding: Binding;
  readonly #image: number;
  readonly #stateRoot: number;
  readonly #size: number;
  /** Directories of v1 cgroups, the only ones that can be renamed, which processes may enter without limits. */
  readonly #cgroupParents: readonly string[];
  readonly #idle: Slot[] = [];
  /** Launches, and dismissals that they left, which need the directory. */
  readonly #jobs = new Set<Promise<unknown>>();
  #underWay = 0;
  #filling: Promise<void> | undefined;
  #later: NodeJS.Timeout | undefined;
  #closed = false;
  #serial = 0;

  constructor(binding: Binding, image: number, stateRoot: number, size: number, cgroupParents: readonly string[]) {
    this.#binding = binding;
    this.#image = image;
    this.#stateRoot = stateRoot;
    this.#size = size;
    this.#cgroupParents = cgroupParents;
  }

  /** Runs a start. The pool fills up when none came after it. */
  async during<T>(work: () => Promise<T>): Promise<T> {
    this.#underWay += 1;
    try {
      return await work();
    } finally {
      this.#underWay -= 1;
      this.#fillLater();
    }
  }

  #fillLater(): void {
    if (this.#closed || this.#size === 0 || this.#underWay > 0) return;
    /* One for all starts: it does nothing while one is under way, and to make and clear another takes as long as a launch. */
    this.#later = this.#later?.refresh() ?? setTimeout(() => this.fill(), REFILL_AFTER_MS).unref();
  }

  /**
   * A supervisor with this spec, of the pool if there is one. Then `id` is a directory that it has locked. One that is
   * given descriptors is always a new one; they may be closed as soon as this call returns.
   */
  async launch(
    id: string,
    spec: Uint8Array,
    note: string,
    joins: readonly number[],
    from: "pool" | "new",
  ): Promise<Born | RawFailure> {
    /* Its directory may be closed by now, or another's. */
    if (this.#closed) return CLOSED;
    return await underWay(this.#jobs, this.#launch(id, spec, note, joins, from));
  }

  async #launch(
    id: string,
    spec: Uint8Array,
    note: string,
    joins: readonly number[],
    from: "pool" | "new",
  ): Promise<Born | RawFailure> {
    const slot = joins.length > 0 || from === "new" ? undefined : this.#idle.shift();
    if (slot !== undefined) {
      const failed = await this.#binding.claim(this.#stateRoot, slot.name, id, slot.socket, spec, note);
      if (failed === undefined) return { ...slot, waited: true };
      /* It has read the spec already. If there was something of that name, an ordinary start finds out what. */
      void underWay(this.#jobs, this.#dismiss(slot));
    }
    const born = await this.#binding.start(this.#image, this.#stateRoot, id, spec, note, joins);
    return isFailure(born) ? born : { ...born, waited: false };
  }

  fill(): void {
    if (this.#filling !== undefined || this.#closed || this.#underWay > 0 || this.#idle.length >= this.#size) return;
    this.#filling = this.#fill().finally(() => (this.#filling = undefined));
  }

  /** Ends all that wait, when whoever starts now has a supervisor or none. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#later);
    await this.#filling;
    while (this.#jobs.size > 0) await Promise.allSettled(this.#jobs);
    await Promise.all(this.#idle.splice(0).map((slot) => this.#dismiss(slot)));
  }

  async #fill(): Promise<void> {
    while (!this.#closed && this.#underWay === 0 && this.#idle.length < this.#size) {
      const name = `${STANDBY}${process.pid}-${(this.#serial += 1)}`;
      const born = await this.#binding.standby(this.#image, this.#stateRoot, name, this.#cgroupParents);
      /* The next start will say why, if it fails for the same reason. */
      if (isFailure(born)) return;
      this.#idle.push({ ...born, name });
    }
  }

  async #dismiss(slot: Slot): Promise<void> {
    closeSync(slot.socket);
    for (let pauseMs = 1; !this.#binding.reap(slot.pid); pauseMs = Math.min(pauseMs * 2, 100)) await sleep(pauseMs);
    await this.#binding.removeTree(this.#stateRoot, slot.name);
    await this.clear(slot.pid);
  }

  /** Removes the cgroups of a supervisor that was killed while they were not yet a container's. */
  async clear(pid: number): Promise<void> {
    await Promise.all(
      this.#cgroupParents.map((parent) => rmdir(join(parent, `${STANDBY}${pid}`)).catch(() => undefined)),
    );
  }

  /** Those of an agent that is gone. What cannot be removed harms nobody. */
  async clearAll(): Promise<void> {
    for (const parent of this.#cgroupParents)
      for (const name of await readdir(parent).catch(() => []))
        if (name.startsWith(STANDBY)) await rmdir(join(parent, name)).catch(() => undefined);
  }
}
