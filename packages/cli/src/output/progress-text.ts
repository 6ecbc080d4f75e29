/** A job's progress in one line, and the words at its end. Pure text. */
import { formatDuration, type JobView } from "@berth/schema";
import { countsText } from "./columns.ts";
import { cut } from "./width.ts";

export const isTerminalJob = (job: JobView): boolean =>
  job.state === "succeeded" || job.state === "failed" || job.state === "stopped";

const BAR = 24;

/** `checksums  ██████──────────────────  6 of 24 · 4 running, 14 pending, 6 succeeded` */
export const progressLine = (job: JobView, width: number | undefined): string => {
  const { tasks, spec } = job;
  const done = tasks.succeeded + tasks.failed + tasks.stopped;
  const reason = job.pendingReason === null || tasks.pending === 0 ? "" : ` · ${job.pendingReason}`;
  const text =
    spec.count === 1
      ? `${job.name}  ${countsText(job).replace(/^1 /, "")}${reason}`
      : `${job.name}  ${bar(done / spec.count)}  ${done} of ${spec.count} · ${countsText(job)}${reason}`;
  return width === undefined ? text : cut(text, width);
};

const bar = (ratio: number): string => {
  const full = Math.floor(Math.min(1, Math.max(0, ratio)) * BAR);
  return "█".repeat(full) + "─".repeat(BAR - full);
};

/** `checksums succeeded in 12.3s: 24 succeeded` */
export const endLine = (job: JobView): string => {
  const took =
    job.finishedAtMs === null ? "" : ` in ${formatDuration(Math.max(0, job.finishedAtMs - job.submittedAtMs))}`;
  const counts = job.spec.count === 1 ? "" : `: ${countsText(job)}`;
  const code = job.exitCode === null || job.exitCode === 0 ? "" : ` with exit code ${job.exitCode}`;
  return `${job.name} ${job.state}${took}${code}${counts}`;
};
