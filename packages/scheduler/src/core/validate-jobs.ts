/** What a plan does to jobs as wholes, wherever their tasks go: budgets, gangs and quotas, counted anew. */
import { jobKey, type JobKey, type LogRecord } from "@berth/schema";
import { plannedOf } from "./planned-task.ts";
import { claimOf, QuotaBook, wholeOf } from "./quota.ts";
import { inside, type ClusterState } from "./state.ts";

interface Judged {
  readonly state: ClusterState;
  readonly wrong: string[];
  readonly jobs: Set<JobKey>;
  /** What is stopped for others, by job. */
  readonly victims: ReadonlyMap<JobKey, { readonly stopped: number; readonly by: ReadonlySet<JobKey> }>;
}

/** Counted from the tasks themselves, as budgets are meant: what runs afterwards, and what is away. */
export const checkBudgets = ({ state, jobs, victims, wrong }: Judged): void => {
  for (const [key, { by, stopped }] of victims) {
    const before = wrong.length;
    const job = state.jobs.get(key);
    const { minAvailable, maxUnavailable } = job?.spec.disruption ?? {};
    if (job === undefined) continue;
    const { pending, starting, running, stopping } = job.counts;
    const away = (job.spec.kind !== "batch" ? pending + starting + stopping : stopping) + stopped;
    if (minAvailable !== undefined && running - stopped < minAvailable)
      wrong.push(`${key}: ${running - stopped} tasks would go on running, its budget asks for ${minAvailable}`);
    if (maxUnavailable !== undefined && away > maxUnavailable)
      wrong.push(`${key}: ${away} tasks would be away, its budget allows ${maxUnavailable}`);
    if (wrong.length > before) for (const taker of by) jobs.add(taker);
  }
};

/** In the order of the plan: nothing in it takes a project beyond its quota. The sums are the state's own. */
export const checkQuotas = ({ state, jobs, wrong }: Judged, records: readonly LogRecord[]): void => {
  const inner = inside(state);
  if (inner.projects.size === 0) return;
  const quotas = new QuotaBook(inner);
  for (const record of records) {
    const one = plannedOf(record);
    const job = one === null ? undefined : inner.jobs.get(jobKey(one.project, one.job));
    const task = one === null ? undefined : job?.tasks[one.index];
    // What was kept for it is counted already.
    if (job === undefined || task === undefined || job.reserved.has(task.index)) continue;
    const claim = record.kind === "room_reserved" ? wholeOf(claimOf(inner, job, task)) : claimOf(inner, job, task);
    const short = quotas.shortOf(claim);
    if (short !== undefined) {
      wrong.push(`${job.key}[${task.index}]: ${short.dimension} of its project would be ${short.short} over its quota`);
      jobs.add(job.key);
    }
    quotas.draw(claim);
  }
};

/** A gang runs as a whole or not at all. */
export const checkGangs = ({ state, jobs, wrong }: Judged, records: readonly LogRecord[]): void => {
  const placed = new Map<JobKey, number>();
  for (const record of records) {
    const one = plannedOf(record);
    if (one === null) continue;
    const key = jobKey(one.project, one.job);
    placed.set(key, (placed.get(key) ?? 0) + 1);
  }
  for (const [key, count] of placed) {
    const job = state.jobs.get(key);
    if (job?.spec.gangMin === undefined) continue;
    const over = job.tasks.filter(({ status }) => status !== "open").length;
    const needs = job.spec.gangMin - over;
    let holds = count;
    for (const { active } of job.tasks) {
      const allocation = active === null ? undefined : state.allocations.get(active);
      if (allocation?.jobVersion === job.version && allocation.desired === "run") holds += 1;
    }
    if (holds >= needs) continue;
    wrong.push(`${key}: ${holds} tasks of a gang that needs ${needs}`);
    jobs.add(key);
  }
};
