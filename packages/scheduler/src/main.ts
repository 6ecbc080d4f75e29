#!/usr/bin/env node
/**
 * The scheduler process. Standard output gets exactly one JSON line, when it is ready; the log goes to standard error.
 * SIGTERM, SIGINT, and with --exit-with-parent the end of standard input, stop it in order. Exit status: 0 stopped, 1 a
 * problem that an operator can mend (one line says which), 64 wrong flags, 70 a bug.
 */
import { destination, pino } from "pino";
import { parseFlags, USAGE } from "./flags.ts";
import { UndecodableRecord } from "./ports/log.ts";
import { StartupProblem } from "./ports/startup-problem.ts";
import { runScheduler } from "./run-scheduler.ts";

const EXIT_PROBLEM = 1;
const EXIT_USAGE = 64;
const EXIT_BUG = 70;

const say = (text: string): void => void process.stderr.write(`${text}\n`);

const isKnown = (error: unknown): error is Error =>
  error instanceof StartupProblem || error instanceof UndecodableRecord;

const main = async (): Promise<number> => {
  const flags = parseFlags(process.argv.slice(2));
  if (!flags.ok) {
    say(`berth-scheduler: ${flags.error}\n\n${USAGE}`);
    return EXIT_USAGE;
  }
  if (flags.value.help) {
    process.stdout.write(`${USAGE}\n`);
    return 0;
  }
  const logger = pino({ level: flags.value.logLevel, base: null }, destination({ dest: 2, sync: true }));
  const onBug = (error: unknown): void => {
    logger.fatal({ err: error }, "bug");
    process.exit(EXIT_BUG);
  };
  process.on("unhandledRejection", onBug).on("uncaughtException", onBug);

  const starting = new AbortController();
  let stop = (_why: string): void => {};
  const asked = new Promise<string>((resolve) => {
    stop = (why) => {
      starting.abort();
      resolve(why);
    };
  });
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => stop(signal));
  if (flags.value.exitWithParent) {
    process.stdin.on("end", () => stop("parent")).on("error", () => stop("parent"));
    process.stdin.resume();
  }

  try {
    const scheduler = await runScheduler({ ...flags.value.options, logger, signal: starting.signal });
    const { url, apiCa, natsUrls, natsCa, tokenFile } = scheduler;
    process.stdout.write(`${JSON.stringify({ ready: true, api: url, apiCa, natsUrls, natsCa, tokenFile })}\n`);
    const why = await Promise.race([asked, scheduler.ended.then(() => "ended")]);
    logger.info({ why }, "stopping");
    await scheduler.close();
    logger.info("stopped");
    return 0;
  } catch (error) {
    if (isKnown(error)) {
      say(`berth-scheduler: ${error.message}`);
      return EXIT_PROBLEM;
    }
    logger.fatal({ err: error }, "failed");
    return EXIT_BUG;
  }
};

process.exit(await main());
