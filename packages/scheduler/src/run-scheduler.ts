/**
 * One scheduler from its options: directory and secrets, the bus (embedded or given), the log, the control plane, the
 * HTTP server. What was started is stopped in the opposite order, also when a later step fails.
 */
import { hostname } from "node:os";
import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { pino, type Logger } from "pino";
import { guardStore } from "./adapters/embedded-nats/guard.ts";
import { startEmbeddedNats, type EmbeddedNats } from "./adapters/embedded-nats/server.ts";
import { isAtLeast, parseVersion } from "./adapters/embedded-nats/binary.ts";
import { openDataDir, type DataDir } from "./adapters/files/data-dir.ts";
import { openLogMemory } from "./adapters/files/log-state.ts";
import { readSnapshotFile, snapshotFiles } from "./adapters/files/snapshot-files.ts";
import { adminToken, clusterSigner, secretFile } from "./adapters/files/secrets.ts";
import { defaultDashboardDir } from "./adapters/http/dashboard.ts";
import { buildServer, closeServer, listen } from "./adapters/http/server.ts";
import { createMetrics } from "./adapters/metrics/prometheus.ts";
import { openAgentLine } from "./adapters/nats/agents.ts";
import { connectBus, createUserSeed, publicKeyOfSeed, type BusConnection } from "./adapters/nats/connection.ts";
import { openDesiredStore } from "./adapters/nats/desired.ts";
import { openLeaderLine } from "./adapters/nats/leader.ts";
import { openLog } from "./adapters/nats/log.ts";
import { openPeerLine } from "./adapters/nats/peers.ts";
import { openSnapshotStore } from "./adapters/nats/snapshots.ts";
import { systemClock } from "./app/clock.ts";
import { SNAPSHOT_LIMITS, type SnapshotLimits } from "./app/snapshots.ts";
import { createControl, type Control } from "./app/control.ts";
import type { Admission } from "./ports/admission.ts";
import { StartupProblem } from "./ports/startup-problem.ts";
import { makeWay, pendingRestore } from "./restore.ts";
import { packageVersion } from "./version.ts";

export interface EmbeddedBus {
  readonly kind: "embedded";
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** URLs for agents instead of the address listened on. */
  readonly advertise?: readonly string[];
  readonly maxStoreBytes?: number;
}

export interface ExternalBus {
  readonly kind: "external";
  readonly urls: readonly string[];
  /** File with the seed of the nkey user that may do everything in its account. */
  readonly seedFile: string;
  readonly replicas?: number;
}

export interface SchedulerOptions {
  readonly dataDir: string;
  readonly clusterName: string;
  readonly api: { readonly host: string; readonly port: number };
  readonly bus: EmbeddedBus | ExternalBus;
  /** How often agents are asked to send heartbeats. */
  readonly heartbeatMs?: number;
  /** When a snapshot is due. */
  readonly snapshotLimits?: SnapshotLimits;
  /** A host that was silent for longer is lost. */
  readonly lostAfterMs?: number;
  readonly logger?: Logger;
  readonly dashboardDir?: string;
  readonly env?: NodeJS.ProcessEnv;
  /** Gives up a start that has not come to its end. */
  readonly signal?: AbortSignal;
}

export interface RunningScheduler {
  readonly url: string;
  readonly natsUrls: readonly string[];
  readonly tokenFile: string;
  /** Resolves when it was closed; rejects when it had to end by itself. */
  readonly ended: Promise<void>;
  readonly close: () => Promise<void>;
}

export const DEFAULT_HEARTBEAT_MS = 2_000;
export const DEFAULT_LOST_AFTER_MS = 15_000;
/** Three heartbeats of the default two seconds. */
const DISCONNECTED_SHARE = 0.4;
const DEFAULT_STORE_BYTES = 4 * 2 ** 30;
const LEASE_MS = 3_000;
const APPEND_TIMEOUT_MS = 3_000;

interface OpenBus {
  readonly bus: BusConnection;
  readonly admission: Admission;
  readonly replicas: number;
  /** Nobody else can lead: the server and its directory are ours alone. */
  readonly isAlone: boolean;
  /** Undefined for a server that is not ours. Resolves when the bus is connected again. */
  readonly restart: (() => Promise<void>) | undefined;
  /** Why the store takes nothing new now. */
  readonly complaint: () => string | undefined;
}

const RECONNECT_MS = 30_000;

const restartServer = async (server: EmbeddedNats, bus: BusConnection): Promise<void> => {
  const again = new Promise<void>((resolve, reject) => {
    const late = setTimeout(
      () => reject(new StartupProblem(`nats-server did not come back within ${RECONNECT_MS / 1_000} s`)),
      RECONNECT_MS,
    );
    const stop = bus.onChange((up) => {
      if (!up) return;
      clearTimeout(late);
      stop();
      resolve();
    });
  });
  server.restart();
  await again;
};

type Closers = (() => Promise<void> | void)[];

const openEmbedded = async (
  options: SchedulerOptions,
  given: EmbeddedBus,
  dir: DataDir,
  logger: Logger,
  closers: Closers,
): Promise<OpenBus> => {
  const seed = await secretFile(dir.controlSeed, createUserSeed);
  const server = await startEmbeddedNats({
    directory: dir.nats,
    host: given.host,
    port: given.port,
    advertise: given.advertise ?? [],
    controlKey: publicKeyOfSeed(seed, dir.controlSeed),
    maxStoreBytes: given.maxStoreBytes ?? DEFAULT_STORE_BYTES,
    env: options.env ?? process.env,
    log: logger.child({ component: "nats-server" }),
  });
  closers.push(server.close);
  const bus = await connectBus([server.localUrl], seed, logger.child({ component: "bus" }));
  closers.push(bus.close);
  const log = logger.child({ component: "nats-server" });
  const guard = guardStore({ directory: dir.nats, bus, kill: server.kill, log });
  closers.push(guard.close);
  return {
    bus,
    admission: server,
    replicas: 1,
    isAlone: true,
    restart: () => restartServer(server, bus),
    complaint: guard.complaint,
  };
};

/** Raft streams of servers before 2.9.21 check an expected revision before it is applied: two writers may both win. */
const OLDEST_REPLICATED = [2, 9, 21] as const;

const openExternal = async (given: ExternalBus, logger: Logger, closers: Closers): Promise<OpenBus> => {
  const seed = await readFile(given.seedFile, "utf8").catch((error: Error) => {
    throw new StartupProblem(`cannot read the seed of the bus user: ${error.message}`, { cause: error });
  });
  publicKeyOfSeed(seed.trim(), given.seedFile);
  const bus = await connectBus(given.urls, seed.trim(), logger.child({ component: "bus" }));
  closers.push(bus.close);
  const replicas = given.replicas ?? 1;
  const version = parseVersion(bus.serverVersion());
  if (version === undefined || !isAtLeast(version, [2, 9, 0])) {
    throw new StartupProblem(
      `the server at ${given.urls.join(", ")} is ${bus.serverVersion()}; Berth needs 2.9.0 or newer`,
    );
  }
  if (replicas > 1 && !isAtLeast(version, OLDEST_REPLICATED)) {
    throw new StartupProblem(
      `nats-server ${bus.serverVersion()} is not safe with ${replicas} replicas; use ${OLDEST_REPLICATED.join(".")} or newer, or one replica`,
    );
  }
  const admission: Admission = {
    urls: given.urls,
    admit: async () => {
      logger.info("hosts of an external bus are admitted in its own configuration");
    },
  };
  return { bus, admission, replicas, isAlone: false, restart: undefined, complaint: () => undefined };
};

const openControl = async (options: SchedulerOptions, dir: DataDir, open: OpenBus, logger: Logger) => {
  const instance = `${hostname().slice(0, 64)}-${randomBytes(6).toString("hex")}`;
  const clock = systemClock();
  const metrics = createMetrics(packageVersion());
  const memory = await openLogMemory(dir.logState);
  const snapshots = await openSnapshotStore(open.bus, open.replicas);
  const files = snapshotFiles(dir.snapshots);
  const backup = await pendingRestore(dir, clock.nowMs());
  const log = await openLog(open.bus, {
    instance,
    replicas: open.replicas,
    mustExist:
      backup === undefined && (memory.known || (await snapshots.list()).length + (await files.list()).length > 0),
    appendTimeoutMs: APPEND_TIMEOUT_MS,
    ...(backup === undefined ? {} : { begin: { after: backup.beginAfter, restart: open.restart } }),
  });
  await backup?.finish(log, snapshots, memory, options.clusterName);
  const control: Control = createControl({
    instance,
    cluster: options.clusterName,
    log,
    line: open.bus,
    leaders: openLeaderLine(open.bus),
    peers: openPeerLine(open.bus, logger.child({ component: "peers" })),
    agents: openAgentLine(open.bus, { refused: metrics.counters.agentRefused }, logger.child({ component: "agents" })),
    desired: await openDesiredStore(open.bus, open.replicas),
    admission: open.admission,
    signer: await clusterSigner(dir),
    clock,
    logger: logger.child({ component: "control" }),
    counters: metrics.counters,
    leaseMs: open.isAlone ? 0 : LEASE_MS,
    heartbeatMs: options.heartbeatMs ?? DEFAULT_HEARTBEAT_MS,
    disconnectedAfterMs: DISCONNECTED_SHARE * (options.lostAfterMs ?? DEFAULT_LOST_AFTER_MS),
    lostAfterMs: options.lostAfterMs ?? DEFAULT_LOST_AFTER_MS,
    snapshots,
    complaint: open.complaint,
    secrets: async () => ({
      clusterKey: await readFile(dir.clusterKey, "utf8"),
      adminToken: await readFile(dir.adminToken, "utf8"),
    }),
    snapshotFiles: { ...files, read: readSnapshotFile },
    snapshotLimits: options.snapshotLimits ?? SNAPSHOT_LIMITS,
    checkEnd: memory.check,
    remember: memory.remember,
  });
  metrics.observe(control);
  return { control, clock, metrics };
};

/** Runs all, the last first; a failure does not keep the others from running. */
const closeAll = async (closers: Closers, logger: Logger): Promise<void> => {
  for (const close of closers.splice(0).reverse()) {
    try {
      await close();
    } catch (error) {
      logger.error({ err: error }, "close_failed");
    }
  }
};

/** Resolves once this instance has read the log and the API answers; rejects with `StartupProblem` for what an operator can mend. */
export const runScheduler = async (options: SchedulerOptions): Promise<RunningScheduler> => {
  const logger = options.logger ?? pino({ level: "silent" });
  const closers: Closers = [];
  try {
    const dir = await openDataDir(options.dataDir);
    closers.push(dir.release);
    await makeWay(dir, logger);
    const token = await adminToken(dir);
    const open =
      options.bus.kind === "embedded"
        ? await openEmbedded(options, options.bus, dir, logger, closers)
        : await openExternal(options.bus, logger, closers);
    const { control, clock, metrics } = await openControl(options, dir, open, logger);

    const ending = new AbortController();
    const running = control.run(ending.signal);
    running.catch(() => {});
    closers.push(async () => {
      ending.abort();
      await running.catch(() => {});
    });

    const server = await buildServer({
      control,
      adminToken: token,
      version: packageVersion(),
      cluster: options.clusterName,
      clock,
      logger: logger.child({ component: "http" }),
      dashboardDir: options.dashboardDir ?? defaultDashboardDir(),
      metrics,
    });
    closers.push(
      () => closeServer(server),
      () => control.letGo(),
    );
    const url = await listen(server, options.api.host, options.api.port);
    const giveUp = (): void => ending.abort();
    options.signal?.addEventListener("abort", giveUp, { once: true });
    if (options.signal?.aborted === true) giveUp();
    await Promise.race([
      control.serving,
      running.then(() => Promise.reject(new StartupProblem("stopped before it was ready"))),
    ]);
    // From here on `close` stops things in order, the API first.
    options.signal?.removeEventListener("abort", giveUp);

    let closing: Promise<void> | undefined;
    const close = (): Promise<void> => (closing ??= closeAll(closers, logger));
    const ended = running.finally(close);
    ended.catch(() => {});
    return { url, natsUrls: open.admission.urls, tokenFile: dir.adminToken, ended, close };
  } catch (error) {
    await closeAll(closers, logger);
    throw error;
  }
};
