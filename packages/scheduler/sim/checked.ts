/** What the checker knows of jobs, tasks and allocations. */
import type { JobSpec, Placement, Resources } from "@berth/schema";

export interface CheckedTask {
  active: string | null;
  attempts: number;
  succeeded: boolean;
}

export interface CheckedJob {
  version: number;
  spec: JobSpec;
  stopped: boolean;
  tasks: Map<number, CheckedTask>;
  /** Allocations that have not ended, of any version. */
  holding: Set<string>;
}

export interface CheckedAllocation {
  readonly placement: Placement;
  readonly requests: Resources;
  /** Of its own version. */
  readonly spec: JobSpec;
  /** True when an exit with code 0 ends the task for good. */
  readonly settles: boolean;
  readonly priority: number;
  rank: number;
  stopped: boolean;
}

/** A task for which room is kept. */
export interface Kept {
  readonly hostId: string;
  readonly requests: Resources;
}

/** More is more important. */
export const rankOf = ({ priority }: JobSpec): number =>
  ["besteffort", "batch", "production", "system"].indexOf(priority?.band ?? "production") * 1_000 +
  (priority?.level ?? 50);
