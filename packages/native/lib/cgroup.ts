/**
 * One container's cgroups from the agent's side: where they are, and what has to be done when a supervisor is no longer
 * there to do it.
 */
import { readFileSync } from "node:fs";
import { appendFile, readdir, readFile, rmdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Binding } from "./binding.ts";
import type { CgroupLayout, Controller } from "./cgroup-layout.ts";
import { fromSystemError, hasCode, NativeFailure } from "./errors.ts";
import { killIf } from "./kill.ts";
import { STANDBY } from "./pool.ts";
import { readStats } from "./stats.ts";
import type { ContainerStats } from "./types.ts";
import type { WatchPlaces } from "./watch.ts";
import type { FreezerPlace } from "./freezer.ts";

interface Place {
  readonly path: string;
  readonly version: 1 | 2;
  readonly controllers: readonly Controller[];
}

export class ContainerCgroup {
  /** Made when they are asked for, which most of what runs a moment never does. */
  #known: readonly Place[] | undefined;
  /** Below the root of each hierarchy. */
  readonly parent: string;
  readonly #id: string;
  readonly #layout: CgroupLayout;

  constructor(layout: CgroupLayout, parent: string, id: string) {
    this.parent = parent;
    this.#id = id;
    this.#layout = layout;
  }

  get #places(): readonly Place[] {
    return (this.#known ??= this.#layout.hierarchies.map((h) => ({ ...h, path: this.pathIn(h.path) })));
  }

  /** Its directory in the hierarchy that is mounted there. */
  pathIn(mountPoint: string): string {
    return join(mountPoint, this.parent, this.#id);
  }

  /** Where it is frozen: v2 needs no controller for that. Undefined when this host can do it nowhere. */
  get freezer(): FreezerPlace | undefined {
    return (
      this.#places.find((place) => place.version === 2) ??
      this.#places.find((place) => place.controllers.includes("freezer"))
    );
  }

  /** Where its events are told. */
  get watchPlaces(): WatchPlaces {
    const memory = this.#places.find((place) => place.controllers.includes("memory"));
    return { unified: this.#places.find((place) => place.version === 2)?.path, memory };
  }

  /** Undefined when it is gone. */
  async stats(binding: Binding): Promise<ContainerStats | undefined> {
    return (await readStats(binding, this.#layout, this.parent, [this.#id])).get(this.#id);
  }

  async pids(): Promise<readonly number[]> {
    return [...new Set((await Promise.all(this.#places.map(pidsOf))).flat())];
  }

  /** SIGKILL until nothing is left, for at most `withinMs`. True when it is empty. */
  async kill(withinMs: number): Promise<boolean> {
    const deadline = performance.now() + withinMs;
    for (let pauseMs = 2; ; pauseMs = Math.min(pauseMs * 2, 100)) {
      const members = await this.pids();
      if (members.length === 0) return true;
      for (const pid of members) killIf(pid, () => this.#has(pid));
      for (const place of this.#places) {
        /* Atomic, and it wins against a fork bomb; the loop around it serves kernels that lack the file. */
        if (place.version === 2) await tryWrite(join(place.path, "cgroup.kill"), "1");
        if (place.controllers.includes("freezer")) await tryWrite(join(place.path, "freezer.state"), "THAWED");
        /* Dying takes processor time as well. */
        if (place.controllers.includes("cpu"))
          for (const path of [place.path, ...(await treeBelow(place.path))])
            await tryWrite(
              join(path, place.version === 1 ? "cpu.cfs_quota_us" : "cpu.max"),
              place.version === 1 ? "-1" : "max",
            );
      }
      if (performance.now() >= deadline) return false;
      await sleep(pauseMs);
    }
  }

  #has(pid: number): boolean {
    try {
      const places = readFileSync(`/proc/${pid}/cgroup`, "utf8").split("\n");
      return places.some((place) => `${place}/`.includes(`/${this.parent}/${this.#id}/`));
    } catch (cause) {
      if (hasCode(cause, "ENOENT", "ESRCH")) return false;
      throw cause;
    }
  }

  /** Its directories. Usually the supervisor has removed them itself. */
  get paths(): readonly string[] {
    const onDemand = this.#layout.onDemand.filter(({ version }) => version === 1);
    return [...this.#places.map(({ path }) => path), ...onDemand.map(({ path }) => this.pathIn(path))];
  }

  /** Where that supervisor made them before it was given this container: they got their name while it started. */
  #pathsAhead(supervisor: number): string[] {
    const v1 = this.#layout.hierarchies.filter(({ version }) => version === 1);
    return v1.map(({ path }) => join(path, this.parent, `${STANDBY}${supervisor}`));
  }

  /** Removes the directories, and what a supervisor that was killed had not renamed; the dying get a moment. */
  async remove(supervisor?: number): Promise<void> {
    for (const path of [...this.paths, ...(supervisor === undefined ? [] : this.#pathsAhead(supervisor))]) {
      for (let attempt = 0; ; attempt++) {
        try {
          await rmdir(path);
          break;
        } catch (cause) {
          if (hasCode(cause, "ENOENT")) break;
          /* A machine has made some of its own below. */
          for (const below of await treeBelow(path)) await rmdir(below).catch(() => undefined);
          if (!hasCode(cause, "EBUSY") || attempt === 100)
            throw new NativeFailure(fromSystemError("cgroup.remove", cause, path));
          await sleep(10);
        }
      }
    }
  }
}

const tryRead = async (path: string | undefined): Promise<string | undefined> => {
  if (path === undefined) return undefined;
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    /* A threaded cgroup, which a machine can make of one below its own, tells no processes: the one above lists them. */
    if (hasCode(cause, "ENOENT", "ENODEV", "ENOTSUP", "EOPNOTSUPP")) return undefined;
    throw cause;
  }
};

/* appendFile opens without O_CREAT surprises: cgroupfs refuses to create files. */
const tryWrite = async (path: string, text: string): Promise<void> => {
  try {
    await appendFile(path, text);
  } catch (cause) {
    if (!hasCode(cause, "ENOENT", "ENODEV", "EACCES", "EPERM", "EBUSY")) throw cause;
  }
};

/** v2 lists one that is released meanwhile as 0, which is how a process calls itself, and its whole group. */
const pidsIn = async (path: string): Promise<number[]> =>
  ((await tryRead(join(path, "cgroup.procs"))) ?? "")
    .split("\n")
    .map(Number)
    .filter((pid) => pid > 0);

/** Deepest first; none where there is nothing. */
const treeBelow = async (path: string): Promise<string[]> => {
  const entries = await readdir(path, { withFileTypes: true }).catch(() => []);
  const below = entries.filter((entry) => entry.isDirectory()).map((entry) => join(path, entry.name));
  return (await Promise.all(below.map(async (one) => [...(await treeBelow(one)), one]))).flat();
};

/** Of v2 with those in cgroups that a machine made below its own; what a v1 hierarchy has, v2's has as well. */
const pidsOf = async ({ path, version }: { readonly path: string; readonly version: 1 | 2 }): Promise<number[]> => {
  const paths = version === 1 ? [path] : [path, ...(await treeBelow(path))];
  return (await Promise.all(paths.map(pidsIn))).flat();
};
