/**
 * `pnpm simulate`: runs the simulated cluster from many seeds and says which of them find something. One seed and one commit
 * give one run, so what is found can be run again: `--trace` prints all of its events.
 */
import { parseArgs } from "node:util";
import { MODES, simulate, type Mode } from "./modes.ts";

const USAGE = `pnpm simulate [--mode M] [--from A] [--to B] [--hosts N] [--steps N] [--trace]
  --mode    ${Object.keys(MODES).join(", ")}; all of them unless it is given
  --from    the first seed (0), --to: the one behind the last (--from and 100 more)
  --hosts   only with so many; 1 to 5 unless it is given
  --steps   so many random things happen before everything comes to its end (150)
  --trace   what happened, in full, where something was found
`;

const { values } = parseArgs({
  options: {
    mode: { type: "string" },
    from: { type: "string", default: "0" },
    to: { type: "string" },
    hosts: { type: "string" },
    steps: { type: "string", default: "150" },
    trace: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});

const isMode = (mode: string): mode is Mode => Object.hasOwn(MODES, mode);

const whole = (name: string, text: string, least: number): number => {
  const number = Number(text);
  if (Number.isSafeInteger(number) && number >= least) return number;
  throw new Error(`--${name} ${text} is no whole number from ${least} on\n${USAGE}`);
};

/** What was found, or undefined. */
const errorOf = (mode: Mode, seed: number, hosts: number, steps: number): string | undefined => {
  try {
    simulate(mode, seed, hosts, steps);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
};

const print = (line: string): void => {
  process.stdout.write(`${line}\n`);
};

const sweep = (modes: readonly Mode[], seeds: readonly [number, number], hosts: readonly number[], steps: number) => {
  let found = 0;
  for (const mode of modes) {
    let runs = 0;
    for (let seed = seeds[0]; seed < seeds[1]; seed += 1) {
      for (const many of hosts) {
        const error = errorOf(mode, seed, many, steps);
        runs += 1;
        if (error === undefined) continue;
        found += 1;
        const [what] = error.split("\n--- ");
        print(`${mode}: seed ${seed}, hosts ${many}, steps ${steps}: ${values.trace ? error : what?.slice(0, 1_000)}`);
      }
    }
    print(`${mode}: ${runs} runs, ${found === 0 ? "nothing found" : `${found} found so far`}`);
  }
  return found;
};

const main = (): void => {
  if (values.help) return print(USAGE);
  const { mode } = values;
  if (mode !== undefined && !isMode(mode)) throw new Error(`there is no mode ${mode}\n${USAGE}`);
  const modes = mode === undefined ? Object.keys(MODES).filter(isMode) : [mode];
  const from = whole("from", values.from, 0);
  const to = values.to === undefined ? from + 100 : whole("to", values.to, from + 1);
  const hosts = values.hosts === undefined ? [1, 2, 3, 4, 5] : [whole("hosts", values.hosts, 1)];
  if (sweep(modes, [from, to], hosts, whole("steps", values.steps, 1)) > 0) process.exitCode = 1;
};

main();
