/**
 * What one container may use: known from its start on and kept on disk, changed while it runs, one change at a time.
 *
 * `lock` holds what it was started with (written with the lock itself, before its supervisor exists), `limits` what it
 * was changed to. An update first notes there what it is about to do; when it is interrupted, the next adoption takes
 * it back. When that is refused, the note stays and the limits are in doubt until an update is carried out: until then each
 * note tells of all that were begun, since whoever comes next must know every file that one of them may have written.
 */
import { open, readdir, readFile, rename } from "node:fs/promises";
import { constants } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { ContainerCgroup } from "../cgroup.ts";
import { enableOnDemand, writeCgroupFile } from "../cgroup-parent.ts";
import { fromSystemError, hasCode, nativeError, NativeFailure } from "../errors.ts";
import type { ExecLimits, ExecResult, NativeError } from "../types.ts";
import { applySteps, joinHierarchy, readSettings } from "./apply.ts";
import { cpusetMistake } from "./cpu.ts";
import { planUpdate } from "./plan.ts";
import { firstMistakeOf, type Resources, type Unenforced } from "./resources.ts";
import {
  isBelowOthers,
  limitsWithin,
  lowerBelow,
  noteLowered,
  parseLowered,
  raiseBelow,
  type Lowered,
  type Within,
} from "./within.ts";
import { keyOf, type ResourceHost, type Setting } from "./setting.ts";
import { settingsOf } from "./settings.ts";

/** Started and updated containers keep what they had when an update is refused. */
export type UpdateResult =
  | { readonly ok: true; readonly unenforced: readonly Unenforced[] }
  | { readonly ok: false; readonly error: NativeError };

/** So often an update is tried that is in the way of programs which start or end meanwhile: for a second in all. */
const MOST_PASSES = 10;

interface LimitsRecord {
  readonly resources: Resources;
  /** Updates to these were begun. */
  readonly begun: readonly Resources[];
  readonly lowered: Lowered;
}

/** Refuses what no host or not this host can do. With `strict`, also what it cannot enforce. */
const checkResources = (wanted: Resources, host: ResourceHost, strict: boolean): NativeError | undefined => {
  const mistake = firstMistakeOf(wanted) ?? cpusetMistake(wanted, host);
  if (mistake !== undefined) return nativeError("spec", constants.errno.EINVAL, mistake);
  return strict ? lackOf(settingsOf(wanted, host).unenforced) : undefined;
};

/** What whoever wants all of its limits enforced is told. */
export const lackOf = ([first]: readonly Unenforced[]): NativeError | undefined =>
  first && nativeError("spec", constants.errno.EOPNOTSUPP, `${first.knob}: ${first.reason}`);

/** The last one stands alone: an agent of the version before knows no others. */
export const encodeLimits = (
  resources: Resources,
  begun: readonly Resources[] = [],
  lowered: Lowered = new Map(),
): string => {
  const noted = {
    version: 1,
    resources,
    next: begun.at(-1),
    earlier: begun.length > 1 ? begun.slice(0, -1) : undefined,
    lowered: lowered.size > 0 ? noteLowered(lowered) : undefined,
  };
  return `${JSON.stringify(noted)}\n`;
};

export const parseLimits = (text: string): LimitsRecord | undefined => {
  try {
    const value = JSON.parse(text) as {
      version?: unknown;
      resources?: Resources;
      next?: Resources;
      earlier?: readonly Resources[];
      lowered?: unknown;
    } | null;
    if (value?.version !== 1 || !isResources(value.resources)) return undefined;
    const begun = [...(value.earlier ?? []), value.next].filter(isResources);
    return { resources: value.resources, begun, lowered: parseLowered(value.lowered) ?? new Map() };
  } catch {
    return undefined;
  }
};

/** Throws on shapes that are far off; those are caught by the caller. */
const isResources = (value: Resources | undefined): value is Resources =>
  value !== undefined && firstMistakeOf(value) === undefined;

const failureOf = (cause: unknown): NativeError =>
  cause instanceof NativeFailure ? cause.error : fromSystemError("cgroup.limit", cause, "update");

const sumProtection = async (parent: string): Promise<void> => {
  let sum = 0;
  for (const entry of await readdir(parent, { withFileTypes: true })) {
    if (!entry.isDirectory()) continue;
    const low = await readFile(join(parent, entry.name, "memory.low"), "utf8").catch(() => "0");
    sum += Number(low) || 0;
  }
  await writeCgroupFile(join(parent, "memory.low"), `${sum}`);
};

export class ContainerLimits {
  readonly #host: ResourceHost;
  readonly #cgroup: ContainerCgroup;
  readonly #directory: string;
  #resources: Resources | undefined;
  /** Of updates that were interrupted and could not be taken back: the kernel may hold some of these. */
  #begun: readonly Resources[] = [];
  /** Of programs that are executed in it. */
  readonly #lowered: Lowered = new Map();
  #queue: Promise<unknown> = Promise.resolve();
  #changed = false;

  constructor(host: ResourceHost, cgroup: ContainerCgroup, directory: string, resources?: Resources) {
    this.#host = host;
    this.#cgroup = cgroup;
    this.#directory = directory;
    this.#resources = resources;
  }

  /** Undefined only for a container whose records were lost. */
  get resources(): Resources | undefined {
    return this.#resources;
  }
  /** Whether the kernel may hold it to something else than `resources`. */
  get inDoubt(): boolean {
    return this.#begun.length > 0;
  }
  /** Whether an update may have made cgroups that its supervisor knows nothing of. */
  get changed(): boolean {
    return this.#changed;
  }
  get unenforced(): readonly Unenforced[] {
    return this.#resources === undefined ? [] : settingsOf(this.#resources, this.#host).unenforced;
  }

  /** After a restart of the agent. `running`: an update that was interrupted is taken back. */
  async adopt(running: boolean): Promise<void> {
    const record = (await this.#read("limits")) ?? (await this.#read("lock"));
    this.#resources = record?.resources;
    if (!running || record === undefined) return;
    for (const [leaf, quota] of record.lowered) this.#lowered.set(leaf, quota);
    if (record.begun.length === 0) return;
    this.#begun = record.begun;
    try {
      /* Killed in the middle of this, the next agent must find the same: it is the update that is in doubt. */
      const note = () => this.#note(record.resources, record.begun);
      if ((await this.#change(record.begun, record.resources, note)) !== undefined) return;
      this.#begun = [];
      await this.#note(record.resources);
    } catch {
      /* The note is still there, and they stay in doubt: no reason to lose sight of a container. */
    }
  }

  /** Whether memory of it is protected. */
  get protects(): boolean {
    return (this.#resources?.memoryLowBytes ?? 0) > 0;
  }

  /** After the start and before the end of a container. */
  async protect(): Promise<void> {
    if (this.protects) await this.#shareProtection();
  }

  /**
   * v2 protects a container's memory only as far as its parent's is protected (cgroup-v2.rst, memory.low), so the parent
   * is given the sum of what lies in it.
   */
  async #shareProtection(): Promise<void> {
    const memory = this.#host.hierarchies.find(({ controllers }) => controllers.includes("memory"));
    if (memory?.version === 2) await sumProtection(join(memory.path, this.#cgroup.parent));
  }

  /**
   * Starts a program that is executed in it with these limits, never more than the container's own. v1 refuses more; so where
   * an update has changed those meanwhile, it starts once more.
   */
  async within(limits: ExecLimits | undefined, start: (within: Within) => Promise<ExecResult>): Promise<ExecResult> {
    for (;;) {
      if (limits !== undefined) await this.#queue;
      const known = this.#resources;
      const result = await start(limitsWithin(limits, known, this.#host));
      if (limits === undefined || result.ok || result.error.stage !== "cgroup.limit") return result;
      await this.#queue;
      if (this.#resources === known) return result;
    }
  }

  update(wanted: Resources, strict: boolean): Promise<UpdateResult> {
    const result = this.#queue.then(() => this.#update(wanted, strict));
    this.#queue = result.catch(() => undefined);
    return result;
  }

  async #update(wanted: Resources, strict: boolean): Promise<UpdateResult> {
    const wrong = checkResources(wanted, this.#host, strict);
    if (wrong !== undefined) return { ok: false, error: wrong };
    const before = this.#resources ?? wanted;
    const begun = this.#with(wanted);
    const note = () => this.#note(before, begun);
    try {
      await note();
    } catch (cause) {
      /* Nothing was begun. */
      return { ok: false, error: failureOf(cause) };
    }
    this.#changed = true;
    try {
      const error = await this.#change([before, ...begun], wanted, note);
      await (error === undefined ? this.#note(wanted) : this.#note(before, this.#begun));
      if (error !== undefined) return { ok: false, error };
    } catch (cause) {
      this.#begun = begun;
      return { ok: false, error: failureOf(cause) };
    }
    this.#resources = wanted;
    this.#begun = [];
    if ((before.memoryLowBytes ?? 0) > 0 || (wanted.memoryLowBytes ?? 0) > 0) await this.#shareProtection();
    return { ok: true, unenforced: settingsOf(wanted, this.#host).unenforced };
  }

  /** Those that are in doubt and one more: only if it writes what none of them does, so there is an end to them. */
  #with(wanted: Resources): readonly Resources[] {
    const known = new Set(this.#settings(this.#begun).map(keyOf));
    const isNew = this.#begun.length === 0 || this.#settings([wanted]).some((each) => !known.has(keyOf(each)));
    return isNew ? [...this.#begun, wanted] : this.#begun;
  }

  #settings(of: readonly Resources[]): readonly Setting[] {
    return of.flatMap((each) => settingsOf(each, this.#host).settings);
  }

  /**
   * From whatever the kernel holds of `former`. `note` writes what is being done once more, together with what was lowered for it.
   */
  async #change(
    former: readonly Resources[],
    wanted: Resources,
    note: () => Promise<void>,
  ): Promise<NativeError | undefined> {
    const place = (path: string) => this.#cgroup.pathIn(path);
    const settings = this.#settings([wanted]);
    const known = new Map([...this.#settings(former), ...settings].map((each) => [keyOf(each), each]));
    await this.#makeRoom(settings);
    try {
      for (let passes = 1; ; passes += 1) {
        await lowerBelow(settings, place, this.#lowered, note);
        const error = await applySteps(planUpdate(await readSettings([...known.values()], place), settings), place);
        if (error === undefined || !isBelowOthers(error) || passes === MOST_PASSES) return error;
        await sleep(2 ** passes);
      }
    } finally {
      await raiseBelow(this.#lowered);
    }
  }

  /** Controllers that the container did without until now. */
  async #makeRoom(settings: readonly Setting[]): Promise<void> {
    for (const hierarchy of this.#host.hierarchies.filter(({ onDemand }) => onDemand)) {
      const here = settings.filter(({ controller }) => hierarchy.controllers.includes(controller));
      if (here.length === 0) continue;
      if (hierarchy.version === 2) {
        const needed = hierarchy.controllers.filter((name) => here.some(({ controller }) => controller === name));
        await enableOnDemand({ ...hierarchy, controllers: needed }, this.#cgroup.parent);
        continue;
      }
      const first = here.filter(({ always }) => always === true);
      const target = this.#cgroup.pathIn(hierarchy.path);
      if (!(await joinHierarchy(target, first, () => this.#cgroup.pids()))) {
        const detail = `its processes multiply faster than they can be moved to ${target}`;
        throw new NativeFailure(nativeError("cgroup.join", constants.errno.EBUSY, detail));
      }
    }
  }

  async #read(name: "limits" | "lock"): Promise<LimitsRecord | undefined> {
    try {
      return parseLimits(await readFile(join(this.#directory, name), "utf8"));
    } catch (cause) {
      if (hasCode(cause, "ENOENT")) return undefined;
      throw cause;
    }
  }

  async #note(resources: Resources, begun: readonly Resources[] = []): Promise<void> {
    await this.#write(encodeLimits(resources, begun, this.#lowered));
  }

  /** Not flushed: what a host's crash takes, it takes together with the container. */
  async #write(text: string): Promise<void> {
    const temporary = join(this.#directory, "limits.tmp");
    const file = await open(temporary, "w", 0o600);
    try {
      await file.writeFile(text);
    } finally {
      await file.close();
    }
    await rename(temporary, join(this.#directory, "limits"));
  }
}
