/**
 * What a start writes into its cgroups, and which it needs for that. Most containers of a host have the same limits as many
 * others, so the last plans are kept.
 */
import type { CgroupLayout, Hierarchy } from "../cgroup-layout.ts";
import { planStart } from "./plan.ts";
import type { Resources } from "./resources.ts";
import type { ResourceHost, Setting } from "./setting.ts";
import { settingsOf } from "./settings.ts";

const MOST_KEPT = 64;

export interface StartPlan {
  readonly writes: readonly Setting[];
  /** Beside those of every container. */
  readonly onDemand: readonly Hierarchy[];
}

export class StartPlans {
  readonly #layout: CgroupLayout;
  readonly #host: ResourceHost;
  readonly #kept = new Map<string, StartPlan>();

  constructor(layout: CgroupLayout, host: ResourceHost) {
    this.#layout = layout;
    this.#host = host;
  }

  /** Of limits that are without mistake, so that `encoded`, which is JSON, says all of them. */
  of(limits: Resources, encoded: string): StartPlan {
    const kept = this.#kept.get(encoded);
    if (kept !== undefined) return kept;
    const writes = planStart(settingsOf(limits, this.#host).settings);
    const plan = { writes, onDemand: this.#onDemand(writes) };
    if (this.#kept.size >= MOST_KEPT) this.#kept.clear();
    this.#kept.set(encoded, plan);
    return plan;
  }

  /** On v2 it has the path of the one that all use: what tells them apart is the controller. */
  #onDemand(writes: readonly Setting[]): readonly Hierarchy[] {
    return this.#layout.onDemand.flatMap((hierarchy): readonly Hierarchy[] => {
      const controllers = hierarchy.controllers.filter((name) =>
        writes.some(({ path, controller }) => path === hierarchy.path && controller === name),
      );
      return controllers.length === 0 ? [] : [{ ...hierarchy, controllers }];
    });
  }
}
