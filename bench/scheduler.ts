/**
 * `pnpm bench:scheduler [rate|rules|idle|million|end-to-end|huawei|preemption|openb|compaction|azure|roadef]… [--seconds N]
 * [--cpu] [--json]`: how fast the core decides, and how well it packs, beside the rules that others pack by. Compiled code is measured, as it runs. Figures on stdout, one a line;
 * with --json each is an object. BERTH_PERTURB=N packs copies of the traces instead, another one for every N (scheduler/perturb.ts).
 */
import { figure, showFigure, type Figure } from "./runtime/figures.ts";
import { measureEndToEnd } from "./scheduler/end-to-end.ts";
import { huaweiCompaction, type PackingRow } from "./scheduler/huawei.ts";
import { measureIdle } from "./scheduler/idle.ts";
import { measureMillion } from "./scheduler/million.ts";
import { azureRows } from "./scheduler/azure.ts";
import { measurePreempt } from "./scheduler/preempt.ts";
import { openbCompaction } from "./scheduler/openb-compaction.ts";
import { openbInflation, publishedFgd } from "./scheduler/openb.ts";
import { measureRate } from "./scheduler/rate.ts";
import { roadefRows } from "./scheduler/roadef.ts";
import type { Clock } from "./scheduler/roadef/solve.ts";
import { hasTraces, tracesDirectory } from "./scheduler/traces.ts";

const HOSTS = 10_000;

/** Placements a second that a row is held against. */
interface RateRow {
  readonly name: string;
  readonly perPlan: number;
  readonly rules: boolean;
  readonly placements: number;
  readonly atLeast?: number;
}

const rate = ({ name, perPlan, rules, placements, atLeast }: RateRow): Figure[] => {
  const result = measureRate({ hosts: HOSTS, classes: 64, placements, perPlan, rules });
  const versus = `${HOSTS} hosts ${(result.filledRatio * 100).toFixed(1)} % full, 64 classes, 5 dimensions, ${
    rules ? "a constraint, spread over 100 racks and a bound per host" : "a constraint"
  } on every task, plans of ${perPlan}`;
  const wanted = { versus, ...(atLeast !== undefined && { atLeast }) };
  return [
    // A departure and a placement folded for every decision: what a leader's one thread can keep up.
    figure(`${name}: placements, end and fold of each included`, result.perSecond, "1/s", wanted),
    figure(`${name}: placements decided, planning alone`, result.planPerSecond, "1/s", { versus }),
    figure(`${name}: placements per second of processor time, fold included`, result.perCpuSecond, "1/s", { versus }),
    figure(`${name}: one plan, median`, result.planMsP50, "ms", { versus }),
    figure(`${name}: one plan, p99`, result.planMsP99, "ms", { versus }),
    figure(`${name}: memory of a host`, result.bytesPerHost, "bytes", { versus }),
    figure(`${name}: memory of a task`, result.bytesPerTask, "bytes", { versus }),
  ];
};

const idle = (): Figure[] => {
  const result = measureIdle({ hosts: HOSTS, placements: 10_000, parkedJobs: 100, tasksPerParkedJob: 1_000 });
  const versus = `${HOSTS} empty hosts, fold included`;
  const beside = `beside ${result.parked} tasks that fit nowhere`;
  return [
    figure("idle: one placement, median", result.msP50, "ms", { versus }),
    figure("idle: one placement, p99", result.msP99, "ms", { versus, atMost: 2 }),
    figure(`idle: one placement ${beside}, median`, result.besideParkedMsP50, "ms", { versus }),
    figure(`idle: one placement ${beside}, p99`, result.besideParkedMsP99, "ms", { versus }),
    figure(`idle: slow-down ${beside}`, result.slowDown, "ratio", { versus: "without", atMost: 1.1 }),
  ];
};

const million = (): Figure[] => {
  const { bytes, foldSeconds, hostsUsed, placed, planSeconds } = measureMillion({
    hosts: 5_000,
    jobs: 10,
    tasks: 100_000,
  });
  const versus = `${placed} tasks in ten arrays on 5,000 empty hosts, of which ${hostsUsed} are used`;
  return [
    figure("million: scheduling, plans and fold", planSeconds + foldSeconds, "s", { versus, atMost: 30 }),
    figure("million: plans alone", planSeconds, "s", { versus }),
    figure("million: memory of all of it", bytes / 2 ** 20, "MiB", { versus }),
    figure("million: memory of a task", bytes / placed, "bytes", { versus }),
  ];
};

async function* endToEnd(): AsyncGenerator<Figure[]> {
  const options = { hosts: 1_000, jobs: 40, tasks: 2_500 };
  const result = await measureEndToEnd(options);
  const versus = `${result.placed} tasks of ${options.jobs} jobs on ${options.hosts} simulated agents, real nats-server, same machine`;
  yield [
    figure("end to end: submitted to durably placed", result.perSecond, "1/s", { versus, atLeast: 25_000 }),
    figure("end to end: submitted to reported as running", result.runningPerSecond, "1/s", { versus }),
    figure("end to end: processor time of the scheduler", result.schedulerCpuSeconds, "s", { versus }),
    figure("end to end: memory of the scheduler, resident", result.residentBytes / 2 ** 20, "MiB", { versus }),
  ];
}

const packing = (title: string, rows: readonly PackingRow[], versus: string, targets = {}): Figure[] =>
  rows.flatMap(({ policy, values }) =>
    Object.entries(values).map(([name, value]) =>
      figure(`${title}, ${policy}: ${name}`, value, "%", {
        versus,
        ...(policy === "berth" ? targetOf(targets, name) : {}),
      }),
    ),
  );

const targetOf = (targets: Readonly<Record<string, number>>, name: string): { readonly atMost?: number } => {
  const atMost = targets[name] ?? targets["each"];
  return atMost === undefined ? {} : { atMost };
};

const preempt = (): Figure[] => {
  const { kept, stopped, perSecond, perCpuSecond, planPerSecond } = measurePreempt(5_000, 8_000, 256);
  const versus = `5000 hosts full of less important work, ${kept} tasks take the room of ${stopped}, plans of 256, after a warm-up`;
  return [
    figure("preemption: rooms taken, fold included", perSecond, "1/s", { versus, atLeast: 5_000 }),
    figure("preemption: rooms taken, planning alone", planPerSecond, "1/s", { versus }),
    figure("preemption: rooms taken per second of processor time, fold included", perCpuSecond, "1/s", { versus }),
  ];
};

const azure = (ends: "known" | "unknown", atMost: number): Figure[] => {
  const versus = `busy host-time over its bound, ends ${ends}; less is better`;
  const rows = Object.entries(azureRows(ends));
  const mean = rows.reduce((sum, [, over]) => sum + over, 0) / Math.max(1, rows.length);
  return [...rows, ["mean", mean] as const].map(([instance, over]) =>
    figure(`azure ${instance}, ends ${ends}`, over, "%", { versus, atMost }),
  );
};

/** Held against FGD's published figures, list by list. */
const openb = (): Figure[] => {
  const published = publishedFgd();
  return openbInflation().flatMap(({ policy, values }) =>
    Object.entries(values).map(([list, value]) => {
      const fgd = published[list];
      const versus = `GPUs allocated at 100 % arrived, mean of 3 seeds; FGD's published ${fgd?.toFixed(2) ?? "figure is not known"}`;
      const isHeld = policy === "berth" && fgd !== undefined;
      return figure(`openb ${list}, ${policy}`, value, "%", { versus, ...(isHeld && { atLeast: fgd }) });
    }),
  );
};

/** Hosts of the mean size that would hold as much in all, whatever the shapes. */
const OPENB_BOUND = 871;

const compaction = (): Figure[] =>
  openbCompaction(OPENB_BOUND).map(({ policy, hosts }) => {
    const versus = `fewest hosts for openb's first 6,000 tasks, mean of 3 orders of hosts; bound ${OPENB_BOUND}; less is better`;
    const isHeld = policy === "berth" && { atMost: 915 };
    return figure(`openb compaction, ${policy}`, hosts ?? Number.POSITIVE_INFINITY, "hosts", { versus, ...isHeld });
  });

function* roadef(seconds: number, clock: Clock, only: readonly string[]): Generator<Figure[]> {
  const rows = roadefRows(seconds, clock, only);
  for (const { instance, objective, published, overPercent, targetPercent, triesPerSecond } of rows) {
    const spent = `${seconds} s of ${clock === "cpu" ? "processor time" : "the wall clock"}`;
    const versus = `S41's published objective ${published} after 300 s; here ${spent}, ${triesPerSecond} moves tried a second`;
    yield [
      figure(`roadef ${instance}: objective`, objective, "cost", { versus }),
      figure(`roadef ${instance}: over the published objective`, overPercent, "%", { versus, atMost: targetPercent }),
    ];
  }
}

function* measured(these: readonly RateRow[]): Generator<Figure[]> {
  for (const row of these) yield rate(row);
}

/** `--seconds N`: for each instance of ROADEF. */
const secondsOf = (words: readonly string[]): number => {
  const at = words.indexOf("--seconds");
  const seconds = at < 0 ? 300 : Number(words[at + 1]);
  if (!(seconds > 0)) throw new Error("--seconds: write a number above 0");
  return seconds;
};

const RATES: readonly RateRow[] = [
  { name: "rate, one at a time", perPlan: 1, rules: false, placements: 20_000 },
  { name: "rate", perPlan: 256, rules: false, placements: 50_000, atLeast: 100_000 },
];
const RULES: RateRow = { name: "rate with rules", perPlan: 256, rules: true, placements: 50_000, atLeast: 50_000 };

const words = process.argv.slice(2);
/** Each is measured when its figures are asked for. */
const rows: Readonly<Record<string, () => Iterable<Figure[]> | AsyncIterable<Figure[]>>> = {
  rate: () => measured(RATES),
  rules: () => measured([RULES]),
  idle: () => [idle()],
  million: () => [million()],
  "end-to-end": endToEnd,
  huawei: () => [packing("huawei", huaweiCompaction(), "lower bound of hosts; less is better", { mean: 2, each: 4 })],
  preemption: () => [preempt()],
  openb: () => [openb()],
  compaction: () => [compaction()],
  azure: () => [azure("known", 10), azure("unknown", 14)],
  roadef: () => roadef(secondsOf(words), words.includes("--cpu") ? "cpu" : "wall", instances),
};
const NEED_TRACES = ["huawei", "openb", "compaction", "azure", "roadef"];

const asJson = words.includes("--json");
/** Of ROADEF, such as b_3. */
const instances = words.filter((word) => /^[abx]\d?_\d+$/.test(word));
const named = words.filter((word) => /^[a-z]/.test(word) && !instances.includes(word));
const unknown = named.find((word) => rows[word] === undefined);
if (unknown !== undefined)
  throw new Error(`${unknown}: there is no such row; there are ${Object.keys(rows).join(", ")}`);
for (const [name, measure] of Object.entries(rows)) {
  if (named.length > 0 && !named.includes(name)) continue;
  if (NEED_TRACES.includes(name) && !hasTraces()) {
    console.error(`SKIPPED: ${name}: there are no traces in ${tracesDirectory()}; set BERTH_TRACES`);
    continue;
  }
  for await (const figures of measure()) {
    for (const one of figures) console.log(asJson ? JSON.stringify(one) : showFigure(one));
  }
}
