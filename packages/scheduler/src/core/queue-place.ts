/** Where a job stands among all that wait, by the same order in which lines.ts serves them. */
import { DEFAULT_WEIGHT, formatPriority, type QueuePlace } from "@berth/schema";
import { risen, standing, waitedMs } from "./queue-order.ts";
import type { MutableJob, MutableState } from "./state.ts";

/** Above 0: the other is served before this job, as things are now. */
export const servedBefore = (state: MutableState, job: MutableJob, nowMs: number): ((other: MutableJob) => number) => {
  const shares = new Map<string, number>();
  const shareOf = ({ project }: MutableJob): number => {
    const known = shares.get(project);
    if (known !== undefined) return known;
    const share = state.usage.shareOf(project, nowMs);
    shares.set(project, share);
    return share;
  };
  const mine = standing(job, nowMs);
  return (other) => standing(other, nowMs) - mine || shareOf(job) - shareOf(other) || job.order - other.order;
};

/** Undefined for a job that does not wait for a host: it waits for something else. */
export const queuePlace = (state: MutableState, job: MutableJob, nowMs: number): QueuePlace | undefined => {
  if (state.queues.get(job.queueKey)?.jobs.has(job) !== true) return undefined;
  const goesFirst = servedBefore(state, job, nowMs);
  let [before, of] = [0, 0];
  for (const { jobs } of state.queues.all().values()) {
    for (let at = 0; at < jobs.length; at += 1) {
      const other = jobs.at(at) as MutableJob;
      of += 1;
      if (other === job) continue;
      if (goesFirst(other) > 0) before += 1;
    }
  }
  const weight = state.usage.weightOf(job.project);
  const { now, recent } = state.usage.sharesOf(job.project, nowMs);
  return {
    position: before + 1,
    of,
    priority: formatPriority(job.spec),
    risen: risen(job, nowMs),
    waitedMs: waitedMs(job, nowMs),
    share: now,
    recentShare: recent,
    ...(weight !== DEFAULT_WEIGHT && { weight }),
  };
};
