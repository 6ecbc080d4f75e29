/**
 * `berth up`: a cluster on this machine, in the foreground. Clears away what a killed start has left, starts the processes,
 * keeps them running, and stops them in order on Ctrl-C. Containers are none of its children: they go on in every case.
 */
import { mkdirSync, realpathSync } from "node:fs";
import { Option } from "commander";
import { formatDuration, isTerminal } from "@berth/schema";
import { listAllocations } from "../client/queries.ts";
import { DEFAULT_DATA_DIR, dataDirOf } from "../client/connection.ts";
import { Exit, Failure } from "../failure.ts";
import { say, type Io } from "../io.ts";
import {
  hostDir,
  knownHosts,
  planMachine,
  startCluster,
  type Cluster,
  type ClusterEvents,
} from "../manager/cluster.ts";
import { DEFAULT_API_PORT, DEFAULT_LISTEN_PORT, DEFAULT_NATS_PORT, LOOPBACK, MAX_HOSTS } from "../manager/defaults.ts";
import { greet, tellFound, tellWayIn } from "../manager/first-run.ts";
import { acquireLock, isDownWaiting } from "../manager/lock.ts";
import { removeNetwork } from "../manager/network.ts";
import { preflight, requireRoot } from "../manager/preflight.ts";
import { openRecords } from "../manager/records.ts";
import type { HostPlan } from "../manager/shares.ts";
import { createLive, type Live } from "../output/live.ts";
import { collectHostPath, networkOption, unconfinedOption, wholeNumber, withExamples, type Register } from "./verb.ts";

interface UpOptions {
  readonly hosts?: number;
  readonly dataDir?: string;
  readonly apiHost: string;
  readonly apiPort: number;
  readonly natsPort: number;
  readonly listen?: string;
  readonly listenPort: number;
  readonly hostPath?: readonly string[];
  readonly unconfinedSeccomp?: boolean;
  readonly network?: Readonly<Record<string, number>>;
}

export const registerUp: Register = (program, { io, finish }) => {
  const command = program
    .command("up")
    .description("start a cluster on this machine and keep it running")
    .addOption(
      new Option("--hosts <n>", "this many hosts, each with a share of the machine and a network of its own").argParser(
        wholeNumber(1, MAX_HOSTS),
      ),
    )
    .option("--data-dir <dir>", `where everything is kept (or BERTH_DATA_DIR; default ${DEFAULT_DATA_DIR})`)
    .addOption(new Option("--api-host <address>", "where the API and the dashboard listen").default(LOOPBACK))
    .addOption(
      new Option("--api-port <port>", "and on which port").default(DEFAULT_API_PORT).argParser(wholeNumber(0, 65_535)),
    )
    .option("--listen <address>", "this machine's address for other machines, which may then join (berth token create)")
    .addOption(
      new Option("--listen-port <port>", "where they reach the API, by HTTPS")
        .default(DEFAULT_LISTEN_PORT)
        .argParser(wholeNumber(0, 65_535)),
    )
    .addOption(
      new Option(
        "--host-path <path>",
        "what of this machine jobs may mount, with all below it: /srv/media, /usr/share:ro, PROJECT=/srv/photos (repeatable)",
      ).argParser(collectHostPath as () => readonly string[]),
    )
    .addOption(unconfinedOption("this machine"))
    .addOption(networkOption("this machine"))
    .addOption(
      new Option("--nats-port <port>", "port of the bus").default(DEFAULT_NATS_PORT).argParser(wholeNumber(0, 65_535)),
    )
    .action(async (options: UpOptions) => {
      finish(await up(io, options));
    });
  withExamples(command, [
    ["berth up", "one host: this machine"],
    ["berth up --listen 192.0.2.10", "other machines may join at this address"],
    ["berth up --hosts 3", "three hosts on this machine, to try things out"],
  ]);
};

const up = async (io: Io, options: UpOptions): Promise<number> => {
  requireRoot(`${io.command} up`);
  const startedAtMs = io.nowMs();
  const dataDir = prepareDataDir(dataDirOf(options, io.env));
  const lock = acquireLock(dataDir);
  try {
    lock.note(options);
    const records = openRecords(dataDir);
    await clearAway(io, dataDir, records);
    const { apiHost, apiPort, natsPort, hosts } = options;
    const listen = options.listen === undefined ? undefined : { host: options.listen, port: options.listenPort };
    await preflight({
      env: io.env,
      dataDir,
      apiHost,
      apiPort,
      natsPort,
      listen,
      manyHosts: hosts !== undefined,
      nowMs: io.nowMs(),
    });
    const { measureAllocatable } = await import("@berth/agent");
    const plans = planMachine(hosts, await measureAllocatable(dataDir), options.network ?? {});
    await stopForeignHosts(io, dataDir, plans);
    await say(io, io.err.colors.dim(`Berth in ${dataDir}`));
    const live = createLive(io.err);
    const cluster = await startCluster(
      {
        ...{ dataDir, apiHost, apiPort, natsPort, listen, hosts, env: io.env, records },
        hostPaths: options.hostPath ?? [],
        unconfinedSeccomp: options.unconfinedSeccomp ?? false,
      },
      plans,
      tell(io, live),
    );
    await live.clear();
    return await stayUp(io, cluster, dataDir, startedAtMs);
  } finally {
    if (options.hosts !== undefined) await removeNetwork(dataDir).catch((error: unknown) => tellLeftNetwork(io, error));
    lock.release();
  }
};

const tellLeftNetwork = (io: Io, error: unknown): Promise<void> =>
  say(
    io,
    `The hosts' network is not removed (the next start does it): ${error instanceof Failure ? (error.detail ?? "") : String(error)}`,
  );

/** Names of networks follow from the path: it must be the same whichever way it is written. */
const prepareDataDir = (path: string): string => {
  try {
    mkdirSync(path, { recursive: true, mode: 0o711 });
    return realpathSync(path);
  } catch (error) {
    throw new Failure(`Cannot use the data directory ${path}`, {
      exit: Exit.unavailable,
      detail: error instanceof Error ? error.message : String(error),
      next: ["berth up --data-dir DIR"],
      cause: error,
    });
  }
};

/** After a kill: processes that still end, and a network that nobody uses. */
const clearAway = async (io: Io, dataDir: string, records: ReturnType<typeof openRecords>): Promise<void> => {
  const ended = await records.endLeftOvers();
  if (ended.length > 0) await say(io, `Ended what an earlier start had left: ${ended.join(", ")}`);
  // Without iproute2 there cannot be a network of ours.
  const removed = await removeNetwork(dataDir).catch(() => 0);
  if (removed > 0) await say(io, "Removed the network that an earlier start had left");
};

/**
 * A host that is not part of this start would never come back: the scheduler places its tasks elsewhere, so its containers
 * must not go on beside them.
 */
const stopForeignHosts = async (io: Io, dataDir: string, plans: readonly HostPlan[]): Promise<void> => {
  const foreign = knownHosts(dataDir).filter((id) => !plans.some((plan) => plan.id === id));
  for (const id of foreign) {
    const { stopAllContainers } = await import("@berth/agent");
    const stopped = await stopAllContainers(hostDir(dataDir, id));
    if (stopped > 0) await say(io, `Host ${id} is not part of this start: stopped its ${plural(stopped, "container")}`);
  }
};

export const plural = (count: number, word: string): string => `${count} ${word}${count === 1 ? "" : "s"}`;

const tell = (io: Io, live: Live): ClusterEvents => {
  const { colors } = io.err;
  // Everything in its turn: a line that is cleared late would clear its successor.
  let turn: Promise<void> = Promise.resolve();
  const inTurn = (work: () => Promise<void>): void => {
    turn = turn.then(work);
  };
  const line = (text: string): void => inTurn(() => live.clear().then(() => say(io, text)));
  // A process that cannot stay up is told about now and then, not at every turn.
  const deaths = new Map<string, number>();
  return {
    onStep: (text) => {
      if (io.err.isTty) inTurn(() => live.show(`  ${text} …`));
    },
    onDone: (name, text) => line(`  ${colors.green("✓")} ${name} ${colors.dim(text)}`),
    onDeath: (name, why, waitMs) => {
      const count = (deaths.get(name) ?? 0) + 1;
      deaths.set(name, count);
      if (count <= 3 || count % 10 === 0)
        line(`  ${colors.red("✗")} ${name} ${why}; starting it again in ${formatDuration(waitMs)}`);
    },
    onReadyAgain: (name) => {
      deaths.delete(name);
      line(`  ${colors.green("✓")} ${name} ${colors.dim("ready again")}`);
    },
  };
};

/** Until Ctrl-C. What cannot be shown is no reason to stop what runs. */
const stayUp = async (io: Io, cluster: Cluster, dataDir: string, startedAtMs: number): Promise<number> => {
  const { client } = cluster;
  try {
    await tellFound(io, client, startedAtMs);
    await greet(io, client, dataDir);
    if (!io.stop.aborted) await tellWayIn(io, client);
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    if (!io.stop.aborted) await say(io, `${error.message}: ${error.detail ?? ""}`);
  }
  if (!io.stop.aborted)
    await new Promise<void>((resolve) => io.stop.addEventListener("abort", () => resolve(), { once: true }));
  await say(io, "\nStopping (once more Ctrl-C: at once)");
  const running = await countRunning(cluster);
  await cluster.stop();
  if ((running === undefined || running > 0) && !isDownWaiting(dataDir)) {
    const what =
      running === undefined
        ? "Containers go on"
        : `${plural(running, "container")} ${running === 1 ? "goes" : "go"} on`;
    await say(io, `${what}; \`${io.command} up\` finds them again, \`${io.command} down\` stops them too.`);
  }
  return Exit.ok;
};

const countRunning = async ({ client }: Cluster): Promise<number | undefined> => {
  try {
    const { items } = await listAllocations(client, {}, { patienceMs: 0, signal: AbortSignal.timeout(3_000) });
    return items.filter((one) => !isTerminal(one.state)).length;
  } catch {
    return undefined;
  }
};
