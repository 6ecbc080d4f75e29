/**
 * A scheduler process for `pnpm chaos`: the program's own flags and everything behind them, with two differences that no
 * flag makes. It takes copies of streams also on servers that Berth refuses for that (Debian's, where no other is at
 * hand), and it takes snapshots often, so that the log is cut while faults go on. It runs what was built: a start is quick.
 */
import { destination, pino } from "pino";
import { parseFlags } from "../../dist/flags.js";
import { UndecodableRecord } from "../../dist/ports/log.js";
import { StartupProblem } from "../../dist/ports/startup-problem.js";
import { runScheduler } from "../../dist/run-scheduler.js";

const EXIT_PROBLEM = 1;
const EXIT_BUG = 70;
/** It was ready and found a reason to end, or it cannot read what the log holds: nothing that faults may lead to. */
const EXIT_WRONG = 71;
const SNAPSHOTS = { transactions: 60, everyMs: 30_000, logBytes: 2 ** 30 };

const logger = pino({ level: "info", base: null }, destination({ dest: 2, sync: true }));
const onBug = (error) => {
  logger.fatal({ err: error }, "bug");
  process.exit(EXIT_BUG);
};
process.on("unhandledRejection", onBug).on("uncaughtException", onBug);

const flags = parseFlags(process.argv.slice(2));
if (!flags.ok) throw new Error(flags.error);
const { options } = flags.value;
const bus = options.bus.kind === "external" ? { ...options.bus, unsafeReplicas: true } : options.bus;
let isReady = false;
try {
  const scheduler = await runScheduler({ ...options, bus, snapshotLimits: SNAPSHOTS, logger });
  process.stdout.write(`${JSON.stringify({ ready: true, api: scheduler.url, apiCa: scheduler.apiCa })}\n`);
  isReady = true;
  process.on("SIGTERM", () => void scheduler.close());
  await scheduler.ended;
  process.exit(0);
} catch (error) {
  if (!(error instanceof StartupProblem || error instanceof UndecodableRecord)) onBug(error);
  process.stderr.write(`berth-scheduler: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(isReady || error instanceof UndecodableRecord ? EXIT_WRONG : EXIT_PROBLEM);
}
