/** `pnpm chaos --seed N --minutes M`: faults by a seed on one machine, and what an independent checker says of it. */
import { parseArgs } from "node:util";
import { runChaos } from "./chaos/run.ts";

const USAGE = `usage: pnpm chaos [--seed N] [--minutes M | --each] [--single] [--replicas 1|3]

  --seed N       0 or more; the same seed means the same faults (default: one of its own, which is printed)
  --minutes M    0.1 to 600 (default: 2)
  --each         every kind of fault once instead, one after the other: about two minutes
  --single       one scheduler with its own nats-server, as berth up starts them, instead of three of each
  --replicas N   copies of every stream on the three nats-servers (default: 3)

NATS_SERVER_BIN names the nats-server to use.
`;
const { values } = parseArgs({
  options: {
    seed: { type: "string" },
    minutes: { type: "string", default: "2" },
    each: { type: "boolean", default: false },
    single: { type: "boolean", default: false },
    replicas: { type: "string", default: "3" },
    help: { type: "boolean" },
  },
});
const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31));
const minutes = Number(values.minutes);
const replicas = Number(values.replicas);
const isGood = Number.isSafeInteger(seed) && seed >= 0 && minutes >= 0.1 && minutes <= 600 && [1, 3].includes(replicas);
if (values.help === true || !isGood) {
  (isGood ? process.stdout : process.stderr).write(USAGE);
  process.exit(isGood ? 0 : 64);
}
process.stdout.write(`seed ${seed}, ${values.each ? "each fault once" : `${minutes} minutes`}\n`);
const outcome = await runChaos({
  seed,
  durationMs: values.each ? "each" : minutes * 60_000,
  isSingle: values.single,
  replicas,
  say: (line) => void process.stdout.write(`${line}\n`),
});
const { wrong, ...figures } = outcome;
process.stdout.write(`${JSON.stringify(figures)}\n`);
for (const one of wrong) process.stdout.write(`WRONG: ${one}\n`);
const more = `${values.single ? " --single" : ""}${replicas === 3 ? "" : ` --replicas ${replicas}`}`;
process.stdout.write(
  wrong.length === 0
    ? "nothing is wrong\n"
    : `again: pnpm chaos --seed ${seed} ${values.each ? "--each" : `--minutes ${minutes}`}${more}\n`,
);
process.exit(wrong.length === 0 ? 0 : 1);
