/**
 * What a start writes into its cgroups, and which it needs for that. Most containers of a host have the same limits as many
 * others, so the last plans are kept; and a start is short enough that it counts whether limits that are those of the one
 * before are checked and put into words once more.
 */
import { constants } from "node:os";
import type { CgroupLayout, Hierarchy } from "../cgroup-layout.ts";
import { nativeError } from "../errors.ts";
import { encodeCgroups, type EncodedCgroups } from "../spec/cgroups.ts";
import { limitsMistake } from "../spec/limits.ts";
import type { NativeError } from "../types.ts";
import { cpusetMistake } from "./cpu.ts";
import { encodeLimits, lackOf } from "./limits.ts";
import { planStart } from "./plan.ts";
import type { Resources, Unenforced } from "./resources.ts";
import type { ResourceHost, Setting } from "./setting.ts";
import { settingsOf } from "./settings.ts";

const MOST_KEPT = 64;

export interface StartPlan {
  readonly ok: true;
  /** The limits, as they are kept on disk. */
  readonly note: string;
  readonly cgroups: EncodedCgroups;
  /** Controllers of v2 that containers are to have first. */
  readonly toEnable: readonly Hierarchy[];
  readonly unenforced: readonly Unenforced[];
}
interface Refused {
  readonly ok: false;
  readonly error: NativeError;
}

export class StartPlans {
  readonly #layout: CgroupLayout;
  readonly #host: ResourceHost;
  readonly #parent: string;
  /** By their notes. */
  readonly #kept = new Map<string, StartPlan>();
  #last: { readonly limits: Resources; readonly plan: StartPlan } | undefined;

  /** `parent`: the cgroup below which all containers lie. */
  constructor(layout: CgroupLayout, host: ResourceHost, parent: string) {
    this.#layout = layout;
    this.#host = host;
    this.#parent = parent;
  }

  /** Refuses what no host or not this host can do. With `strict`, also what it cannot enforce. */
  of(limits: unknown, strict: boolean): StartPlan | Refused {
    const last = this.#last;
    const plan = last !== undefined && isSame(limits, last.limits) ? last.plan : this.#find(limits);
    const lack = plan.ok && strict ? lackOf(plan.unenforced) : undefined;
    return lack === undefined ? plan : { ok: false, error: lack };
  }

  #find(given: unknown): StartPlan | Refused {
    const wrong = limitsMistake(given);
    if (wrong !== undefined) return { ok: false, error: wrong };
    const limits = given as Resources;
    const mistake = cpusetMistake(limits, this.#host);
    if (mistake !== undefined) return { ok: false, error: nativeError("spec", constants.errno.EINVAL, mistake) };
    const plan = this.#of(limits, encodeLimits(limits));
    this.#last = isFlat(limits) ? { limits: { ...limits }, plan } : undefined;
    return plan;
  }

  /** Of limits that are without mistake, so that `note`, which is JSON, says all of them. */
  #of(limits: Resources, note: string): StartPlan {
    const kept = this.#kept.get(note);
    if (kept !== undefined) return kept;
    const plan = this.#make(limits, note);
    if (this.#kept.size >= MOST_KEPT) this.#kept.clear();
    this.#kept.set(note, plan);
    return plan;
  }

  #make(limits: Resources, note: string): StartPlan {
    const { settings, unenforced } = settingsOf(limits, this.#host);
    const writes = planStart(settings);
    const needed = this.#onDemand(writes);
    const own = needed.filter(({ version }) => version === 1);
    return {
      ok: true,
      note,
      cgroups: encodeCgroups({ parent: this.#parent, hierarchies: [...this.#layout.hierarchies, ...own], writes }),
      toEnable: needed.filter(({ version }) => version === 2),
      unenforced,
    };
  }

  /** Beside those of every container. On v2 it has the path of the one that all use: what tells them apart is the controller. */
  #onDemand(writes: readonly Setting[]): readonly Hierarchy[] {
    return this.#layout.onDemand.flatMap((hierarchy): readonly Hierarchy[] => {
      const controllers = hierarchy.controllers.filter((name) =>
        writes.some(({ path, controller }) => path === hierarchy.path && controller === name),
      );
      return controllers.length === 0 ? [] : [{ ...hierarchy, controllers }];
    });
  }
}

/** Numbers and texts alone, nothing that can change under our hands. */
const isFlat = (limits: Resources): boolean =>
  Object.values(limits).every((value) => typeof value !== "object" || value === null);

const isSame = (given: unknown, known: Resources): boolean => {
  if (typeof given !== "object" || given === null) return false;
  const keys = Object.keys(given) as (keyof Resources)[];
  if (keys.length !== Object.keys(known).length) return false;
  for (const key of keys) if ((given as Resources)[key] !== known[key]) return false;
  return true;
};
