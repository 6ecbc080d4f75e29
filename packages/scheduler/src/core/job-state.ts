/** The state of a job in one word, from the counts of its tasks. */
import type { JobView } from "@berth/schema";
import type { JobRecord } from "./state.ts";

/**
 * `pending` until a task of this version has an allocation or an end, and again whenever all that is left waits: a service
 * whose every task waits out a backoff does not claim to run. Nor does a daemon without a host that it runs on: what has
 * ended for want of one is no end of the job.
 */
export const jobState = (job: JobRecord): JobView["state"] => {
  if (job.finishedAtMs !== null) {
    if (job.desired === "stop") return "stopped";
    return job.counts.failed > 0 ? "failed" : "succeeded";
  }
  if (job.desired === "stop") return "stopping";
  const { starting, running, succeeded, failed, stopped } = job.counts;
  const ended = job.spec.kind === "daemon" ? 0 : succeeded + failed + stopped;
  return starting + running + ended > 0 ? "running" : "pending";
};
