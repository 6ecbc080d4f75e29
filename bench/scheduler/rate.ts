/**
 * How fast the real core decides: 10,000 hosts about 95 % full, 64 request classes over three dimensions; every placement
 * is paired with an end elsewhere, so that the cell stays as full as it is. Fold is counted with it: a placement that is
 * not folded is none.
 */
import type { AllocationId, HostId, LogRecord, Resources } from "@berth/schema";
import { decideForget } from "../../packages/scheduler/src/core/index.ts";
import { seededRandom } from "../../packages/scheduler/sim/random.ts";
import { createBerthCell, jobOf } from "./berth-cell.ts";

const GIB = 2 ** 30;
const HOST: Resources = { cpuMillis: 64_000, memoryBytes: 256 * GIB, pids: 65_536 };

const EXIT = {
  code: 0,
  signal: null,
  oom: false,
  cause: "exited",
  detail: null,
  startedAtMs: 0,
  finishedAtMs: 1,
} as const;

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
  /** By processor time of this process, garbage collection included: what other work on the machine does not distort. */
  readonly perCpuSecond: number;
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
  // About 4 GiB to a CPU, as the hosts have it, give or take a quarter: both run out together.
  const requests = Array.from({ length: options.classes }, (): Resources => {
    const cpuMillis = 250 * (1 + random.below(32));
    const memoryBytes = Math.round(((cpuMillis / 1000) * 4 * GIB * (75 + random.below(51))) / 100);
    return { cpuMillis, memoryBytes, pids: 64 * (1 + random.below(8)) };
  });
  let jobs = 0;
  const submit = (which: number, count: number): void => {
    jobs += 1;
    cell.submit(jobOf(`j${jobs}`, requests[which] as Resources, count));
  };
  const classOf = new Map(requests.map((request, which) => [request, which]));
  const live: { readonly id: AllocationId; readonly hostId: HostId; readonly which: number }[] = [];
  const remember = (records: readonly LogRecord[]): void => {
    for (const record of records) {
      if (record.kind !== "allocation_placed") continue;
      const { id, hostId } = record.placement;
      const spec = cell.state.allocations.get(id)?.spec;
      if (spec !== undefined) live.push({ id, hostId, which: classOf.get(spec.requests) ?? 0 });
    }
  };
  const booked = (): number => {
    let sum = 0;
    for (const host of cell.state.hosts.values()) sum += host.reserved.cpuMillis / host.allocatable.cpuMillis;
    return sum / cell.state.hosts.size;
  };

  for (let planned = 1; planned > 0 && booked() < 0.95;) {
    for (let at = 0; at < 64; at += 1) submit(random.below(requests.length), 10);
    const { records } = cell.plan(1000);
    planned = records.length;
    if (planned > 0) cell.append(records);
    remember(records);
  }

  const planMs: number[] = [];
  let [placed, planTotal, total, cpuTotal] = [0, 0, 0, 0];
  while (placed < options.placements) {
    const ends: LogRecord[] = [];
    const again = new Map<number, number>();
    for (let at = 0; at < options.perPlan && live.length > 0; at += 1) {
      const victim = random.below(live.length);
      const { id, hostId, which } = live[victim] as (typeof live)[number];
      live[victim] = live.at(-1) as (typeof live)[number];
      live.pop();
      again.set(which, (again.get(which) ?? 0) + 1);
      const exit = { ...EXIT };
      ends.push({
        kind: "allocation_reported",
        hostId,
        report: { id, state: "exited", reason: "end", startedAtMs: 0, exit },
      });
    }
    // What ends is asked for again, so that the cell stays as full as it is.
    for (const [which, count] of again) submit(which, count);
    const cpuBegin = process.cpuUsage();
    const begin = performance.now();
    cell.append(ends);
    const planBegin = performance.now();
    const { records } = cell.plan(options.perPlan);
    const planEnd = performance.now();
    if (records.length > 0) cell.append(records);
    total += performance.now() - begin;
    const cpu = process.cpuUsage(cpuBegin);
    cpuTotal += cpu.user + cpu.system;
    planTotal += planEnd - planBegin;
    planMs.push(planEnd - planBegin);
    remember(records);
    placed += records.length;
    cell.append(decideForget(cell.state));
  }
  const sorted = planMs.sort((a, b) => a - b);
  return {
    placements: placed,
    perSecond: placed / (total / 1000),
    planPerSecond: placed / (planTotal / 1000),
    perCpuSecond: placed / (cpuTotal / 1e6),
    filledRatio: booked(),
    planMsP50: percentile(sorted, 0.5),
    planMsP99: percentile(sorted, 0.99),
    heapBytes: process.memoryUsage().heapUsed,
  };
};
