/** `pnpm chaos --seed N --minutes M`: faults by a seed on one machine, and what an independent checker says of it. */
import { parseArgs } from "node:util";
import { runChaos } from "./chaos/run.ts";

const USAGE = "usage: pnpm chaos [--seed N] [--minutes M]   (0.1 to 600 minutes; default: 2, with a seed of its own)\n";
const { values } = parseArgs({
  options: { seed: { type: "string" }, minutes: { type: "string", default: "2" }, help: { type: "boolean" } },
});
const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31));
const minutes = Number(values.minutes);
const isGood = Number.isSafeInteger(seed) && seed >= 0 && minutes >= 0.1 && minutes <= 600;
if (values.help === true || !isGood) {
  (isGood ? process.stdout : process.stderr).write(USAGE);
  process.exit(isGood ? 0 : 64);
}
process.stdout.write(`seed ${seed}, ${minutes} minutes\n`);
const outcome = await runChaos({
  seed,
  durationMs: minutes * 60_000,
  say: (line) => void process.stdout.write(`${line}\n`),
});
const { wrong, ...figures } = outcome;
process.stdout.write(`${JSON.stringify(figures)}\n`);
for (const one of wrong) process.stdout.write(`WRONG: ${one}\n`);
process.stdout.write(
  wrong.length === 0 ? "nothing is wrong\n" : `again: pnpm chaos --seed ${seed} --minutes ${minutes}\n`,
);
process.exitCode = wrong.length === 0 ? 0 : 1;
