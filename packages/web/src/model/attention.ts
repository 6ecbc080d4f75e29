/** What needs somebody: one sentence each, the worst first. An empty list is the good case. */
import { taskTotal, type HostView, type JobView } from "@berth/schema";
import type { Cluster } from "../live/replica.ts";
import type { Route } from "../route/route.ts";
import { formatRatio, plural } from "./format.ts";
import { pressureWarning, URGENT_LINES } from "./pressure.ts";
import type { Glyph, Tone } from "./status.ts";

export interface Attention {
  readonly key: string;
  readonly tone: Tone;
  readonly glyph: Glyph;
  readonly subject: string;
  readonly sentence: string;
  readonly to: Route;
}

/** A failure is news for a day; after that it is history and the list of jobs has it. */
const NEWS_MS = 86_400_000;

const forHost = (host: HostView): Attention | undefined => {
  const about = { subject: host.id, to: { screen: "host", host: host.id } } as const;
  if (host.state === "lost") {
    const sentence = "is lost: it does not answer, and its tasks are placed elsewhere";
    return { ...about, key: `host:${host.id}`, tone: "bad", glyph: "question", sentence };
  }
  const warning = pressureWarning(host.pressure, URGENT_LINES);
  if (warning === undefined) return undefined;
  const sentence = `is under pressure: ${warning.line.sentence} ${formatRatio(warning.ratio)} of the last 10 s`;
  return { ...about, key: `host:${host.id}`, tone: "warn", glyph: "triangle", sentence };
};

const forJob = (job: JobView, nowMs: number): Attention | undefined => {
  const about = {
    key: `job:${job.project}/${job.name}`,
    subject: `${job.project}/${job.name}`,
    to: { screen: "job", project: job.project, job: job.name },
  } as const;
  if (job.state === "failed") {
    if (job.finishedAtMs !== null && nowMs - job.finishedAtMs > NEWS_MS) return undefined;
    const code = job.exitCode === null ? "" : ` with exit code ${job.exitCode}`;
    const sentence = `failed${code}: ${job.tasks.failed} of ${plural(taskTotal(job.tasks), "task")}`;
    return { ...about, tone: "bad", glyph: "cross", sentence };
  }
  if (job.pendingReason !== null && (job.state === "pending" || job.state === "running")) {
    return { ...about, tone: "warn", glyph: "triangle", sentence: `waits: ${job.pendingReason}` };
  }
  if (job.tasks.failed > 0 && (job.state === "pending" || job.state === "running")) {
    const sentence = `goes on, but ${plural(job.tasks.failed, "task has", "tasks have")} failed for good`;
    return { ...about, tone: "warn", glyph: "triangle", sentence };
  }
  return undefined;
};

export const attentionList = (cluster: Cluster, nowMs: number): Attention[] => {
  const hosts = [...cluster.hosts.values()].map(forHost);
  const jobs = [...cluster.jobs.values()].map((job) => forJob(job, nowMs));
  const items = [...hosts, ...jobs].filter((item) => item !== undefined);
  const order = (item: Attention): number => (item.tone === "bad" ? 0 : 1);
  return items.sort((a, b) => order(a) - order(b));
};
