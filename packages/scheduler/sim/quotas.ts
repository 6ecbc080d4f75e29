/** What projects may hold, as the checker counts it, by itself; and what an admin does to it. */
import type { LogRecord, ProjectName, Quota, Resources } from "@berth/schema";
import { decideProject, decideProjectChange, decideRemoveProject, type ClusterState } from "../src/core/index.ts";
import type { Random } from "./random.ts";

export interface Held {
  readonly requests: Resources;
}

const DIMENSIONS = ["tasks", "cpuMillis", "memoryBytes", "pids"] as const;

const amountOf = (held: readonly Held[], dimension: (typeof DIMENSIONS)[number]): number =>
  dimension === "tasks" ? held.length : held.reduce((sum, { requests }) => sum + requests[dimension], 0);

/** Nobody takes his project beyond its quota; what is beyond already, since the quota was lowered, does not grow. */
export const overQuota = (
  quota: Quota | undefined,
  before: readonly Held[],
  after: readonly Held[],
  name: string,
): string[] =>
  DIMENSIONS.flatMap((dimension) => {
    const limit = quota?.[dimension];
    const sum = amountOf(after, dimension);
    if (limit === undefined || sum <= limit || sum <= amountOf(before, dimension)) return [];
    return [`${name} takes its project to ${sum} ${dimension}, its quota is ${limit}`];
  });

const MiB = 2 ** 20;

/** An admin declares a project, gives it another quota or weight, or none any more. */
export const quotaStep = (state: ClusterState, { below, chance, pick }: Random): readonly LogRecord[] => {
  const name = (pick(["sim", "lab"] as const) ?? "sim") as ProjectName;
  const quota = {
    ...(chance(0.6) && { tasks: below(8) }),
    ...(chance(0.5) && { cpu: `${500 * below(16)}m` }),
    ...(chance(0.5) && { memory: 256 * MiB * below(24) }),
    ...(chance(0.2) && { pids: 20 * below(20) }),
  };
  const weight = pick([50, 100, 300]) ?? 100;
  const known = state.projects.has(name);
  const none = { tasks: null, cpu: null, memory: null, pids: null };
  const decided = !known
    ? decideProject(state, { name, quota, weight }, "ann")
    : chance(0.15)
      ? decideRemoveProject(state, name, "ann")
      : decideProjectChange(state, name, { quota: chance(0.3) ? { ...none, ...quota } : quota, weight }, "ann");
  return decided.ok ? decided.value : [];
};

/** So that everything can come to an end. */
export const liftQuotas = (state: ClusterState): readonly LogRecord[] =>
  [...state.projects.keys()].flatMap((name) => {
    const quota = { tasks: null, cpu: null, memory: null, pids: null };
    const decided = decideProjectChange(state, name, { quota }, "drain");
    return decided.ok ? decided.value : [];
  });
