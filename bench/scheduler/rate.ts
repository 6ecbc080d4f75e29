/**
 * How fast the real core decides: 10,000 hosts about 95 % full, 64 request classes over three dimensions; every placement
 * is paired with an end elsewhere, so that the cell stays as full as it is. Fold is counted with it: a placement that is
 * not folded is none.
 */
import type { HostId, LogRecord, Resources } from "@berth/schema";
import { seededRandom } from "../../packages/scheduler/sim/random.ts";
import { createBerthCell, jobOf } from "./berth-cell.ts";

const GIB = 2 ** 30;
const HOST: Resources = { cpuMillis: 64_000, memoryBytes: 256 * GIB, pids: 65_536 };

export interface RateOptions {
  readonly hosts: number;
  readonly classes: number;
  readonly placements: number;
  readonly perPlan: number;
}

export interface RateResult {
  readonly placements: number;
  readonly perSecond: number;
  /** Without fold: what planEvaluations alone took. */
  readonly planPerSecond: number;
  readonly filledRatio: number;
  readonly planMsP50: number;
  readonly planMsP99: number;
  readonly heapBytes: number;
}

const percentile = (sorted: readonly number[], at: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * at))] ?? 0;

export const measureRate = (options: RateOptions): RateResult => {
  const random = seededRandom(42);
  const cell = createBerthCell(Array.from({ length: options.hosts }, () => HOST));
  const requests = Array.from({ length: options.classes }, (): Resources => ({
    cpuMillis: 250 * (1 + random.below(32)),
    memoryBytes: (GIB / 2) * (1 + random.below(64)),
    pids: 64 * (1 + random.below(8)),
  }));
  let jobs = 0;
  const submit = (count: number): void => {
    jobs += 1;
    cell.submit(jobOf(`j${jobs}`, requests[random.below(requests.length)] as Resources, count));
  };
  const live: { readonly id: string; readonly hostId: HostId }[] = [];
  const remember = (records: readonly LogRecord[]): void => {
    for (const record of records) {
      if (record.kind === "allocation_placed") live.push({ id: record.placement.id, hostId: record.placement.hostId });
    }
  };
  const booked = (): number => {
    let sum = 0;
    for (const host of cell.state.hosts.values()) sum += host.reserved.cpuMillis / host.allocatable.cpuMillis;
    return sum / cell.state.hosts.size;
  };

  for (let full = false; !full;) {
    for (let at = 0; at < 20; at += 1) submit(50);
    for (let planned = cell.plan(1000); planned.records.length > 0; planned = cell.plan(1000)) {
      cell.append(planned.records);
      remember(planned.records);
    }
    full =
      booked() > 0.95 ||
      live.length > options.hosts * 200 ||
      [...cell.state.jobs.values()].some((job) => job.counts.pending > 0);
  }

  const planMs: number[] = [];
  let [placed, planTotal, total] = [0, 0, 0];
  while (placed < options.placements) {
    // Ends first, outside the clock of planning but inside that of the whole.
    const ends: LogRecord[] = [];
    for (let at = 0; at < options.perPlan && live.length > 0; at += 1) {
      const which = random.below(live.length);
      const { id, hostId } = live[which] as (typeof live)[number];
      live[which] = live.at(-1) as (typeof live)[number];
      live.pop();
      const exit = {
        code: 0,
        signal: null,
        oom: false,
        cause: "exited",
        detail: null,
        startedAtMs: 0,
        finishedAtMs: 1,
      } as const;
      ends.push({
        kind: "allocation_reported",
        hostId,
        report: { id: id as never, state: "exited", reason: "end", startedAtMs: 0, exit },
      });
    }
    for (let at = 0; at < options.perPlan; at += 10) submit(10);
    const begin = performance.now();
    cell.append(ends);
    const planBegin = performance.now();
    const { records } = cell.plan(options.perPlan);
    const planEnd = performance.now();
    if (records.length > 0) cell.append(records);
    total += performance.now() - begin;
    planTotal += planEnd - planBegin;
    planMs.push(planEnd - planBegin);
    remember(records);
    placed += records.length;
    if (records.length === 0) break;
  }
  const sorted = planMs.sort((a, b) => a - b);
  return {
    placements: placed,
    perSecond: placed / (total / 1000),
    planPerSecond: placed / (planTotal / 1000),
    filledRatio: booked(),
    planMsP50: percentile(sorted, 0.5),
    planMsP99: percentile(sorted, 0.99),
    heapBytes: process.memoryUsage().heapUsed,
  };
};
