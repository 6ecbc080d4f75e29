/**
 * How many running tasks of a job may be stopped of the cluster's own accord: by preemption, by a drain before its deadline,
 * by a rebalance. One place, so that all of them count the same tasks.
 */
import type { MutableJob } from "./state.ts";

/** Infinity when its owner has set no bound. `taken`: those that a plan has stopped already. */
export const mayStop = (job: MutableJob, taken = 0): number => {
  const { disruption, kind } = job.spec;
  if (disruption === undefined) return Number.POSITIVE_INFINITY;
  const { pending, starting, running, stopping } = job.counts;
  if (disruption.minAvailable !== undefined) return Math.max(0, running - disruption.minAvailable - taken);
  // Tasks of a batch job that wait for their first turn were not taken away by anybody.
  const away = kind !== "batch" ? pending + starting + stopping : stopping;
  return Math.max(0, (disruption.maxUnavailable ?? 0) - away - taken);
};
