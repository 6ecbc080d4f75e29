/**
 * How fast the real core decides: 10,000 hosts about 95 % full, 64 services over five dimensions, each with a required label;
 * with rules also spread over racks within a skew and with few tasks per host. Every placement follows an end elsewhere, so
 * that the cell stays as full as it is. Fold is counted with it: a placement that is not folded is none.
 */
import type { AllocationId, HostId, LogRecord, PlacementRules, Resources } from "@berth/schema";
import { reservedOn } from "@berth/scheduler/core";
import { seededRandom } from "../../packages/scheduler/sim/random.ts";
import { createBerthCell, EXITED, jobOf } from "./berth-cell.ts";
import { usedBytes } from "./used-bytes.ts";

const GIB = 2 ** 30;
const MBIT = 1_000_000;
const HOST: Resources = {
  cpuMillis: 64_000,
  memoryBytes: 256 * GIB,
  pids: 65_536,
  more: { diskBytes: 4_096 * GIB, netEgressBits: 25_000 * MBIT },
};
const RACKS = 100;

export interface RateOptions {
  readonly hosts: number;
  readonly classes: number;
  readonly placements: number;
  readonly perPlan: number;
  /** Spread and a bound per host on every task. */
  readonly rules: boolean;
}

export interface RateResult {
  readonly placements: number;
  readonly perSecond: number;
  /** Without fold: what planEvaluations alone took. */
  readonly planPerSecond: number;
  /** By processor time of this process, garbage collection included: what other work on the machine distorts less. */
  readonly perCpuSecond: number;
  readonly filledRatio: number;
  readonly planMsP50: number;
  readonly planMsP99: number;
  readonly bytesPerHost: number;
  readonly bytesPerTask: number;
}

const percentile = (sorted: readonly number[], at: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * at))] ?? 0;

const requestsOf = (classes: number): Resources[] => {
  const random = seededRandom(42);
  // About 4 GiB to a CPU, as the hosts have it, give or take a quarter: both run out together.
  return Array.from({ length: classes }, (): Resources => {
    const cpuMillis = 250 * (1 + random.below(32));
    const memoryBytes = Math.round(((cpuMillis / 1000) * 4 * GIB * (75 + random.below(51))) / 100);
    const more = { diskBytes: GIB * (1 + random.below(64)), netEgressBits: MBIT * (1 + random.below(300)) };
    return { cpuMillis, memoryBytes, pids: 64 * (1 + random.below(8)), more };
  });
};

export const measureRate = (options: RateOptions): RateResult => {
  const random = seededRandom(7);
  const before = usedBytes();
  const hosts = Array.from({ length: options.hosts }, () => HOST);
  const cell = createBerthCell(hosts, (at) => ({ rack: `r${at % RACKS}`, gen: String(at % 8) }));
  const withHosts = usedBytes();
  const requests = requestsOf(options.classes);
  const room = (HOST.cpuMillis * options.hosts * 0.95) / options.classes;
  let asked = 0;
  // Jobs are served in their order: many small ones mix the classes as real arrivals do. Rules count within a job.
  const slices = options.rules ? 1 : 16;
  const submit = (request: Resources, which: number, slice: number): void => {
    const count = Math.max(1, Math.floor(room / request.cpuMillis / slices));
    asked += count;
    const placement: PlacementRules = { require: [`host.labels.gen != ${which % 8}`] };
    const job = jobOf(`j${which}-${slice}`, request, count, {
      ...placement,
      ...(options.rules && {
        spread: [{ by: "host.labels.rack", maxSkew: 8 }],
        maxPerHost: Math.max(2, Math.ceil((4 * count) / options.hosts)),
      }),
    });
    const restart = { ...job.restart, on: "always", backoffFirstMs: 1, backoffLongestMs: 1 } as const;
    cell.submit({ ...job, kind: "service", restart });
  };
  for (let slice = 0; slice < slices; slice += 1) {
    requests.forEach((request, which) => submit(request, which, slice));
  }
  const live: { readonly id: AllocationId; readonly hostId: HostId }[] = [];
  const remember = (records: readonly LogRecord[]): void => {
    for (const record of records) {
      if (record.kind !== "allocation_placed") continue;
      const { hostId, id } = record.placement;
      live.push({ id, hostId });
    }
  };
  for (;;) {
    const { records } = cell.plan(1000);
    if (records.length === 0) break;
    cell.append(records);
    remember(records);
  }
  const withTasks = usedBytes();
  const booked = (): number => {
    let sum = 0;
    for (const { id } of cell.state.hosts.values()) sum += reservedOn(cell.state, id).cpuMillis / HOST.cpuMillis;
    return sum / cell.state.hosts.size;
  };

  const planMs: number[] = [];
  let [placed, planTotal, total, cpuTotal] = [0, 0, 0, 0];
  while (placed < options.placements) {
    const ends: LogRecord[] = [];
    for (let at = 0; at < options.perPlan && live.length > 0; at += 1) {
      const victim = random.below(live.length);
      const { id, hostId } = live[victim] as (typeof live)[number];
      live[victim] = live.at(-1) as (typeof live)[number];
      live.pop();
      const report = { id, state: "exited", reason: "end", startedAtMs: 0, exit: { ...EXITED } } as const;
      ends.push({ kind: "allocation_reported", hostId, report });
    }
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
    bytesPerHost: (withHosts - before) / options.hosts,
    bytesPerTask: (withTasks - withHosts) / asked,
  };
};
