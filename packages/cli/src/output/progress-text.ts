/** A job's progress in one line, and the words at its end. Pure text. */
import { formatDuration, taskTotal, type JobView } from "@berth/schema";
import { countsText } from "./columns.ts";
import { plainLine } from "./style.ts";

export const isTerminalJob = (job: JobView): boolean =>
  job.state === "succeeded" || job.state === "failed" || job.state === "stopped";

const BAR = 24;

/** What it is for a job to be where it should be: of a daemon, what has no host now does not count. */
export const wantedOf = ({ spec, tasks }: JobView): number =>
  taskTotal(tasks) - (spec.kind === "daemon" ? tasks.stopped : 0);

const isOne = ({ spec }: JobView): boolean => spec.count === 1;

/** How much of a job is where it should be: ended for batch, running for a service. */
export const doneOf = ({ spec, tasks }: JobView): number =>
  spec.kind !== "batch" ? tasks.running : tasks.succeeded + tasks.failed + tasks.stopped;

/** Only a job of which nothing moves needs a reason; of a daemon, every host that it is not on does. */
const reasonOf = ({ spec, tasks, pendingReason }: JobView): string =>
  pendingReason === null || (spec.kind !== "daemon" && tasks.running + tasks.starting + tasks.stopping > 0)
    ? ""
    : ` · ${plainLine(pendingReason)}`;

/** For a terminal: `checksums  ██████──────────────────  6 of 24 · 4 running, 14 pending, 6 succeeded` */
export const progressLine = (job: JobView): string =>
  isOne(job)
    ? oneTask(job)
    : `${job.name}  ${bar(doneOf(job) / Math.max(1, wantedOf(job)))}  ${doneOf(job)} of ${wantedOf(job)} · ${countsText(job)}${reasonOf(job)}`;

/** For a file: the same without the picture. */
export const progressWords = (job: JobView): string =>
  isOne(job) ? oneTask(job) : `${job.name}: ${doneOf(job)} of ${wantedOf(job)} · ${countsText(job)}${reasonOf(job)}`;

const oneTask = (job: JobView): string => `${job.name}: ${countsText(job).replace(/^1 /, "")}${reasonOf(job)}`;

const bar = (ratio: number): string => {
  const full = Math.floor(Math.min(1, Math.max(0, ratio)) * BAR);
  return "█".repeat(full) + "─".repeat(BAR - full);
};

/** `checksums succeeded in 12.3s: 24 succeeded` */
export const endLine = (job: JobView): string => {
  const took =
    job.finishedAtMs === null ? "" : ` in ${formatDuration(Math.max(0, job.finishedAtMs - job.submittedAtMs))}`;
  const counts = isOne(job) ? "" : `: ${countsText(job)}`;
  const code = job.exitCode === null || job.exitCode === 0 ? "" : ` with exit code ${job.exitCode}`;
  return `${job.name} ${job.state}${took}${code}${counts}`;
};
