/**
 * Cgroups from the agent's side: the parent directories before the first start, statistics, and what has to be done
 * when a supervisor is no longer there to do it. Berth keeps to its own subtree.
 */
import { appendFile, mkdir, readFile, rmdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { CgroupLayout, Controller, Hierarchy } from "./cgroup-layout.ts";
import { fromSystemError, hasCode, NativeFailure } from "./errors.ts";
import type { ContainerStats } from "./types.ts";

/** Makes `parent` in every hierarchy; on v2 also hands the controllers down to it. */
export const prepareParent = async (layout: CgroupLayout, parent: string): Promise<void> => {
  for (const hierarchy of layout.hierarchies) {
    const path = join(hierarchy.path, parent);
    try {
      await mkdir(path, { recursive: true });
      if (hierarchy.version === 2) await delegate(hierarchy, parent);
    } catch (cause) {
      throw cause instanceof NativeFailure ? cause : new NativeFailure(fromSystemError("cgroup.prepare", cause, path));
    }
  }
};

/** Takes away what `prepareParent` made and nobody uses; directories that still hold something stay. */
export const removeParent = async (layout: CgroupLayout, parent: string): Promise<void> => {
  for (const hierarchy of layout.hierarchies) {
    for (let at = parent; at !== "."; at = dirname(at)) {
      try {
        await rmdir(join(hierarchy.path, at));
      } catch (cause) {
        if (hasCode(cause, "ENOENT")) continue;
        if (hasCode(cause, "EBUSY", "ENOTEMPTY")) break;
        throw new NativeFailure(fromSystemError("cgroup.remove", cause, join(hierarchy.path, at)));
      }
    }
  }
};

/** cgroup-v2.rst, "Top-down Constraint": every ancestor must enable a controller for its children. */
const delegate = async (hierarchy: Hierarchy, parent: string): Promise<void> => {
  let path = hierarchy.path;
  for (const part of ["", ...parent.split("/")]) {
    path = join(path, part);
    for (const controller of hierarchy.controllers) {
      const file = join(path, "cgroup.subtree_control");
      try {
        await writeFile(file, `+${controller}`);
      } catch (cause) {
        throw new NativeFailure(fromSystemError("cgroup.delegate", cause, `+${controller} in ${file}`));
      }
    }
  }
};

export class ContainerCgroup {
  readonly #places: readonly {
    readonly path: string;
    readonly version: 1 | 2;
    readonly controllers: readonly Controller[];
  }[];
  #last: ContainerStats = { cpuUsageMicros: 0, memoryBytes: 0, pids: 0, oomKills: 0 };

  constructor(layout: CgroupLayout, parent: string, id: string) {
    this.#places = layout.hierarchies.map((h) => ({ ...h, path: join(h.path, parent, id) }));
  }

  async stats(): Promise<ContainerStats> {
    const [cpuUsageMicros, memoryBytes, pids, oomKills] = await Promise.all([
      this.#cpuUsage(),
      this.#memory(),
      this.#number("pids", "pids.current", "pids.current"),
      this.#field("memory", "memory.oom_control", "memory.events", "oom_kill"),
    ]);
    if (cpuUsageMicros === undefined && memoryBytes === undefined && pids === undefined) return this.#last;
    this.#last = {
      cpuUsageMicros: cpuUsageMicros ?? 0,
      memoryBytes: memoryBytes ?? 0,
      pids: pids ?? 0,
      oomKills: oomKills ?? 0,
    };
    return this.#last;
  }

  /** SIGKILL until nothing is left, for at most `withinMs`. True when it is empty. */
  async kill(withinMs: number): Promise<boolean> {
    const deadline = performance.now() + withinMs;
    for (let pauseMs = 2; ; pauseMs = Math.min(pauseMs * 2, 100)) {
      const members = new Set((await Promise.all(this.#places.map((place) => pidsIn(place.path)))).flat());
      if (members.size === 0) return true;
      for (const pid of members) send(pid);
      for (const place of this.#places) {
        /* Atomic, and it wins against a fork bomb; the loop around it serves kernels that lack the file. */
        if (place.version === 2) await tryWrite(join(place.path, "cgroup.kill"), "1");
        if (place.controllers.includes("freezer")) await tryWrite(join(place.path, "freezer.state"), "THAWED");
      }
      if (performance.now() >= deadline) return false;
      await sleep(pauseMs);
    }
  }

  /** Removes the directories; processes that are just dying get a moment. */
  async remove(): Promise<void> {
    for (const { path } of this.#places) {
      for (let attempt = 0; ; attempt++) {
        try {
          await rmdir(path);
          break;
        } catch (cause) {
          if (hasCode(cause, "ENOENT")) break;
          if (!hasCode(cause, "EBUSY") || attempt === 100)
            throw new NativeFailure(fromSystemError("cgroup.remove", cause, path));
          await sleep(10);
        }
      }
    }
  }

  #path(controller: Controller, v1: string, v2: string): string | undefined {
    const place = this.#places.find((p) => p.controllers.includes(controller));
    return place && join(place.path, place.version === 1 ? v1 : v2);
  }

  async #number(controller: Controller, v1: string, v2: string): Promise<number | undefined> {
    const text = await tryRead(this.#path(controller, v1, v2));
    return text === undefined ? undefined : Number.parseInt(text, 10);
  }

  async #field(controller: Controller, v1: string, v2: string, key: string): Promise<number | undefined> {
    return fieldOf(await tryRead(this.#path(controller, v1, v2)), key);
  }

  async #memory(): Promise<number | undefined> {
    const [usage, inactive] = await Promise.all([
      this.#number("memory", "memory.usage_in_bytes", "memory.current"),
      this.#field("memory", "memory.stat", "memory.stat", "inactive_file"),
    ]);
    return usage === undefined ? undefined : Math.max(0, usage - (inactive ?? 0));
  }

  /* Every v2 cgroup counts CPU time, even without the controller. */
  async #cpuUsage(): Promise<number | undefined> {
    const unified = this.#places.find((place) => place.version === 2);
    if (unified !== undefined) return fieldOf(await tryRead(join(unified.path, "cpu.stat")), "usage_usec");
    const nanos = await this.#number("cpuacct", "cpuacct.usage", "");
    return nanos === undefined ? undefined : Math.floor(nanos / 1000);
  }
}

const fieldOf = (text: string | undefined, key: string): number | undefined => {
  const line = text?.split("\n").find((candidate) => candidate.startsWith(`${key} `));
  return line === undefined ? undefined : Number.parseInt(line.slice(key.length + 1), 10);
};

const tryRead = async (path: string | undefined): Promise<string | undefined> => {
  if (path === undefined) return undefined;
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    if (hasCode(cause, "ENOENT", "ENODEV")) return undefined;
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

const pidsIn = async (path: string): Promise<number[]> =>
  ((await tryRead(join(path, "cgroup.procs"))) ?? "")
    .split("\n")
    .flatMap((line) => (line === "" ? [] : [Number(line)]));

const send = (pid: number): void => {
  try {
    process.kill(pid, "SIGKILL");
  } catch (cause) {
    if (!hasCode(cause, "ESRCH")) throw cause;
  }
};
