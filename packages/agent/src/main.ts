#!/usr/bin/env node
/**
 * The agent as a program. One JSON line on stdout when it is ready, JSON log lines on stderr. SIGTERM and SIGINT make it
 * leave in order; containers run on, whatever becomes of it.
 */
import { parseCommandLine, USAGE, type CommandLine } from "./command-line.ts";
import { layoutOf } from "./adapters/files/layout.ts";
import { readJoined } from "./adapters/files/joined.ts";
import { runAgent, StartupProblem, type AgentOptions, type RunningAgent } from "./run-agent.ts";

const EXIT_USAGE = 64;
const EXIT_FAILED = 1;
/** Leaving takes a few seconds at most; whoever waits longer is stuck. */
const LEAVE_MS = 12_000;

/** Adds what the machine was told when it joined. */
const complete = async ({ agent, joined: dataDir }: CommandLine): Promise<AgentOptions> => {
  if (dataDir === undefined) return agent;
  const joined = await readJoined(dataDir).catch((cause: unknown) => {
    throw new StartupProblem(cause instanceof Error ? cause.message : String(cause), { cause });
  });
  if (joined === undefined) {
    throw new StartupProblem(
      `${dataDir} has not joined a cluster; give it a line of \`berth token create\`: berth join LINE`,
    );
  }
  const { host, natsUrls, natsCa, clusterKey } = joined;
  const { clusterKeyFile: _none, ...rest } = agent;
  const seedFile = layoutOf(dataDir).seed;
  return { ...rest, dataDir, seedFile, host, natsUrls, clusterKey, ...(natsCa === null ? {} : { natsCa }) };
};

const main = async (): Promise<void> => {
  const args = process.argv.slice(2);
  if (args.includes("--help")) {
    process.stdout.write(USAGE);
    return;
  }
  const parsed = parseCommandLine(args);
  if (!parsed.ok) {
    process.stderr.write(`berth-agent: ${parsed.error}\n${USAGE}`);
    process.exitCode = EXIT_USAGE;
    return;
  }
  const life: { agent: RunningAgent | undefined } = { agent: undefined };
  let leaving = false;
  const leave = (): void => {
    if (leaving) return;
    leaving = true;
    setTimeout(() => process.exit(EXIT_FAILED), LEAVE_MS).unref();
    // Still starting: nothing was begun that would have to be finished.
    if (life.agent === undefined) process.exit(0);
    life.agent.close().then(
      () => process.exit(0),
      (error: unknown) => {
        process.stderr.write(`berth-agent: ${error instanceof Error ? error.message : String(error)}\n`);
        process.exit(EXIT_FAILED);
      },
    );
  };
  process.on("SIGTERM", leave);
  process.on("SIGINT", leave);
  // Whoever reads our output may be gone before us.
  process.stdout.on("error", () => undefined);
  process.stderr.on("error", () => undefined);
  if (parsed.value.exitWithParent) {
    process.stdin.on("end", leave).on("close", leave).on("error", leave);
    process.stdin.resume();
  }
  life.agent = await runAgent(await complete(parsed.value));
  process.stdout.write(`${JSON.stringify({ ready: true, host: life.agent.host })}\n`);
};

main().catch((error: unknown) => {
  const message =
    error instanceof StartupProblem
      ? error.message
      : error instanceof Error
        ? (error.stack ?? error.message)
        : String(error);
  process.stderr.write(`berth-agent: ${message}\n`);
  process.exit(EXIT_FAILED);
});
