/**
 * One container's cgroups from the agent's side: statistics, and what has to be done when a supervisor is no longer
 * there to do it.
 */
import { appendFile, readFile, rmdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { CgroupLayout, Controller } from "./cgroup-layout.ts";
import { fromSystemError, hasCode, NativeFailure } from "./errors.ts";
import type { FreezerPlace } from "./freezer.ts";
import type { ContainerStats } from "./types.ts";

export class ContainerCgroup {
  readonly #places: readonly {
    readonly path: string;
    readonly version: 1 | 2;
    readonly controllers: readonly Controller[];
  }[];
  #last: ContainerStats = { cpuUsageMicros: 0, memoryBytes: 0, pids: 0, oomKills: 0 };

  readonly #onDemand: readonly string[];
  /** Below the root of each hierarchy. */
  readonly parent: string;
  readonly #id: string;

  constructor(layout: CgroupLayout, parent: string, id: string) {
    this.parent = parent;
    this.#id = id;
    this.#places = layout.hierarchies.map((h) => ({ ...h, path: this.pathIn(h.path) }));
    this.#onDemand = layout.onDemand.filter((h) => h.version === 1).map((h) => this.pathIn(h.path));
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

  async pids(): Promise<readonly number[]> {
    return [...new Set((await Promise.all(this.#places.map((place) => pidsIn(place.path)))).flat())];
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
      const members = await this.pids();
      if (members.length === 0) return true;
      for (const pid of members) send(pid);
      for (const place of this.#places) {
        /* Atomic, and it wins against a fork bomb; the loop around it serves kernels that lack the file. */
        if (place.version === 2) await tryWrite(join(place.path, "cgroup.kill"), "1");
        if (place.controllers.includes("freezer")) await tryWrite(join(place.path, "freezer.state"), "THAWED");
        /* Dying takes processor time as well. */
        if (place.controllers.includes("cpu"))
          await tryWrite(
            join(place.path, place.version === 1 ? "cpu.cfs_quota_us" : "cpu.max"),
            place.version === 1 ? "-1" : "max",
          );
      }
      if (performance.now() >= deadline) return false;
      await sleep(pauseMs);
    }
  }

  /** Removes the directories; processes that are just dying get a moment. */
  async remove(): Promise<void> {
    for (const path of [...this.#places.map((place) => place.path), ...this.#onDemand]) {
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
