/**
 * `pnpm bench:scheduler [rate|rules|idle|huawei|openb|roadef]…`: how fast the core decides, and how well it packs, beside the rules that
 * others pack by. A readable table on stdout; `--json` prints the numbers instead.
 */
import { huaweiCompaction, type PackingRow } from "./scheduler/huawei.ts";
import { measureIdle } from "./scheduler/idle.ts";
import { openbInflation } from "./scheduler/openb.ts";
import { measureRate } from "./scheduler/rate.ts";
import { roadefRows } from "./scheduler/roadef.ts";
import { hasTraces, tracesDirectory } from "./scheduler/traces.ts";

const arguments_ = process.argv.slice(2);
const asJson = arguments_.includes("--json");
const chosen = arguments_.filter((word) => /^[a-z]/.test(word));
const wants = (name: string): boolean => chosen.length === 0 || chosen.includes(name);
const results: Record<string, unknown> = {};

/** `--seconds N`: for each instance of ROADEF. */
const secondsOf = (words: readonly string[]): number => {
  const at = words.indexOf("--seconds");
  const seconds = at < 0 ? 300 : Number(words[at + 1]);
  if (!(seconds > 0)) throw new Error("--seconds: write a number above 0");
  return seconds;
};

const say = (line: string): void => {
  if (!asJson) console.log(line);
};

const table = (title: string, rows: readonly PackingRow[]): void => {
  const columns = Object.keys(rows[0]?.values ?? {});
  const width = Math.max(...rows.map((row) => row.policy.length));
  say(`\n${title}`);
  say(`  ${"".padEnd(width)} ${columns.map((name) => name.padStart(10)).join(" ")}`);
  for (const { policy, values } of rows) {
    say(
      `  ${policy.padEnd(width)} ${columns.map((name) => (values[name] ?? Number.NaN).toFixed(2).padStart(10)).join(" ")}`,
    );
  }
};

const rate = (name: string, perPlan: number, rules: boolean, placements: number): void => {
  const options = { hosts: 10_000, classes: 64, placements, perPlan, rules };
  const result = measureRate(options);
  results[name] = { ...options, ...result };
  say(
    `rate, ${options.hosts} hosts ${(result.filledRatio * 100).toFixed(1)} % full, ${options.classes} classes, 5 dimensions, ` +
      `${rules ? "a constraint, spread over 100 racks and a bound per host" : "a constraint"} on every task, plans of ${perPlan}: ` +
      `${Math.round(result.perSecond)}/s with fold, ${Math.round(result.planPerSecond)}/s planning alone, ${Math.round(result.perCpuSecond)} per CPU second; ` +
      `plan p50 ${result.planMsP50.toFixed(2)} ms, p99 ${result.planMsP99.toFixed(2)} ms; ` +
      `${Math.round(result.bytesPerHost)} bytes per host, ${Math.round(result.bytesPerTask)} per task`,
  );
};

if (wants("rate")) {
  rate("rate_1", 1, false, 5_000);
  rate("rate_256", 256, false, 50_000);
}
if (wants("rules")) rate("rules_256", 256, true, 50_000);

if (wants("idle")) {
  const options = { hosts: 10_000, placements: 2_000, parkedJobs: 100, tasksPerParkedJob: 1_000 };
  const result = measureIdle(options);
  results["idle"] = { ...options, ...result };
  say(
    `one placement on an idle cell of ${options.hosts} hosts, fold included: p50 ${result.msP50.toFixed(3)} ms, p99 ${result.msP99.toFixed(3)} ms; ` +
      `beside ${result.parked} tasks that fit nowhere: p50 ${result.besideParkedMsP50.toFixed(3)} ms, p99 ${result.besideParkedMsP99.toFixed(3)} ms, ` +
      `${result.slowDown.toFixed(2)} times the processor time`,
  );
}

const packing = ["huawei", "openb", "roadef"].filter(wants);
if (packing.length > 0 && !hasTraces()) {
  console.error(`SKIPPED: ${packing.join(", ")}: there are no traces in ${tracesDirectory()}; set BERTH_TRACES`);
} else {
  if (wants("huawei")) {
    const rows = huaweiCompaction();
    results["huawei"] = rows;
    table("Huawei, hosts needed: % over the lower bound, in order of arrival (less is better)", rows);
  }
  if (wants("roadef")) {
    const seconds = secondsOf(arguments_);
    say(`\nROADEF 2012, objective after ${seconds} s beside what S41 published after 300 s (less is better)`);
    const rows = [];
    for (const row of roadefRows(seconds)) {
      rows.push(row);
      const { instance, objective, published, overPercent, targetPercent } = row;
      say(
        `  ${instance.padEnd(5)} ${String(objective).padStart(14)} of ${String(published).padStart(14)}: ` +
          `${overPercent.toFixed(2).padStart(9)} % (target ${targetPercent} %), ${Math.round(row.triesPerSecond / 1000)}k moves tried a second`,
      );
    }
    results["roadef"] = rows;
  }
  if (wants("openb")) {
    const rows = openbInflation();
    results["openb"] = rows;
    table("openb, GPU allocation % at 100 % arrived (more is better)", rows);
  }
}

if (asJson) console.log(JSON.stringify(results, null, 2));
