/** Retention: which finished jobs the cluster lets go of, those that finished first first. Changes nothing. */
import type { LogRecord } from "@berth/schema";
import { MAX_FINISHED_JOBS, MAX_FINISHED_TASKS, type ClusterState } from "./state.ts";

/** One transaction's worth; the next call continues. */
const MAX_RECORDS = 256;

/**
 * Ended allocations of a task need no record: `fold` keeps the newest FINISHED_PER_TASK of each. The newest finished job
 * is kept however large it is, so that whoever waits for it can read its end.
 */
export const decideForget = (state: ClusterState): LogRecord[] => {
  const records: LogRecord[] = [];
  let jobs = state.finished.size;
  let tasks = state.finishedTaskCount;
  for (const key of state.finished) {
    if (jobs <= 1 || (jobs <= MAX_FINISHED_JOBS && tasks <= MAX_FINISHED_TASKS) || records.length >= MAX_RECORDS) break;
    const job = state.jobs.get(key);
    if (job === undefined || job.activeTasks > 0) continue;
    records.push({ kind: "job_forgotten", project: job.project, job: job.name });
    jobs -= 1;
    tasks -= job.tasks.length;
  }
  return records;
};
