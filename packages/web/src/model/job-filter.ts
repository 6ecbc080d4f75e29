/** Which jobs a filter leaves, and in which order they are listed. */
import type { JobView } from "@berth/schema";

export const JOB_FILTERS = ["active", "waiting", "failed", "finished"] as const;
export type JobFilter = (typeof JOB_FILTERS)[number];

export const isJobFilter = (text: string): text is JobFilter => (JOB_FILTERS as readonly string[]).includes(text);

export const inFilter = (job: JobView, filter: JobFilter | undefined): boolean => {
  switch (filter) {
    case undefined:
      return true;
    case "active":
      return job.state === "running" || job.state === "pending" || job.state === "stopping";
    case "waiting":
      return job.tasks.pending > 0 && (job.state === "running" || job.state === "pending");
    case "failed":
      return job.state === "failed" || job.tasks.failed > 0;
    case "finished":
      return job.state === "succeeded" || job.state === "stopped" || job.state === "failed";
  }
};

/** Every word of the text must occur in name, project, kind, state or image. */
export const matchesText = (job: JobView, text: string): boolean => {
  const hay = `${job.project}/${job.name} ${job.spec.kind} ${job.state} ${job.spec.image}`.toLowerCase();
  return text
    .toLowerCase()
    .split(/\s+/)
    .every((word) => hay.includes(word));
};

/** What still moves comes first, then the newest. */
export const inJobOrder = (a: JobView, b: JobView): number => {
  const done = (job: JobView): number => (inFilter(job, "active") ? 0 : 1);
  return done(a) - done(b) || b.submittedAtMs - a.submittedAtMs || a.name.localeCompare(b.name);
};
