/** One cgroup file and what belongs into it: the common tongue of settings.ts, plan.ts and apply.ts. */
import type { Controller, Hierarchy } from "../cgroup-layout.ts";

/** What settings.ts has to know of a host. Read once, by probe.ts. */
export interface ResourceHost {
  readonly hierarchies: readonly HostHierarchy[];
  /** Why a controller cannot be used here, where there is more to say than that it is missing. */
  readonly reasons: Readonly<Partial<Record<Controller, string>>>;
  /** Lists of what the parent may use, e.g. `0-7`. */
  readonly cpus: string;
  readonly memoryNodes: string;
  /** What makes weights of disks effective: undefined when no disk of this host heeds them. */
  readonly ioWeights: "bfq" | "iocost" | undefined;
  /** Numbers of the disks that heed weights, `8:0`. */
  readonly weighedDisks: ReadonlySet<string>;
}

export interface HostHierarchy extends Hierarchy {
  /** Names of the control files of a cgroup below the root. */
  readonly files: ReadonlySet<string>;
  /** Containers have a cgroup here, or this controller, only when a setting needs it. */
  readonly onDemand: boolean;
}

export interface Setting {
  /** The mount point of the hierarchy, and the name of the file in the container's cgroup. */
  readonly path: string;
  readonly controller: Controller;
  readonly file: string;
  /** Tells settings of one file apart: a device number. */
  readonly key?: string;
  readonly value: string;
  /** What a cgroup has that was just made, and what takes the setting back. */
  readonly initial: string;
  /** `value` as a number where the order of writes depends on it; infinite for none. */
  readonly amount?: number;
  /** Is written at the start even if it is the initial value. */
  readonly always?: boolean;
}

export const keyOf = (setting: Setting): string => `${setting.path}/${setting.file} ${setting.key ?? ""}`;
