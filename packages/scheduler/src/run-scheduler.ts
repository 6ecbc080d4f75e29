/**
 * One scheduler from its options: directory and secrets, the bus (embedded or given), the log, the control plane, the
 * HTTP server. What was started is stopped in the opposite order, also when a later step fails.
 */
import { hostname } from "node:os";
import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { pino, type Logger } from "pino";
import { readIfThere } from "./adapters/files/atomic.ts";
import { openDataDir, type DataDir } from "./adapters/files/data-dir.ts";
import { lastUsesFile } from "./adapters/files/last-uses.ts";
import { openLogMemory } from "./adapters/files/log-state.ts";
import { readSnapshotFile, snapshotFiles } from "./adapters/files/snapshot-files.ts";
import { adminToken, clusterKeys } from "./adapters/files/secrets.ts";
import { defaultDashboardDir } from "./adapters/http/dashboard.ts";
import { buildServer, closeServer } from "./adapters/http/server.ts";
import type { JoinAddress } from "./adapters/http/routes/joining.ts";
import { createMetrics, type Metrics } from "./adapters/metrics/prometheus.ts";
import { openAgentLine } from "./adapters/nats/agents.ts";
import { openDesiredStore } from "./adapters/nats/desired.ts";
import { openLeaderLine } from "./adapters/nats/leader.ts";
import { openLog } from "./adapters/nats/log.ts";
import { openPeerLine } from "./adapters/nats/peers.ts";
import { openSnapshotStore } from "./adapters/nats/snapshots.ts";
import { systemClock } from "./app/clock.ts";
import { SNAPSHOT_LIMITS, type SnapshotLimits } from "./app/snapshots.ts";
import { createControl, type Control } from "./app/control.ts";
import { closeAll, type Closers } from "./close-all.ts";
import { openListeners, openTls, type Address } from "./listeners.ts";
import { isLoopback } from "./network-names.ts";
import { openEmbedded, openExternal, type EmbeddedBus, type ExternalBus, type OpenBus } from "./open-bus.ts";
import { StartupProblem } from "./ports/startup-problem.ts";
import { makeWay, pendingRestore } from "./restore.ts";
import { packageVersion } from "./version.ts";

export interface SchedulerOptions {
  readonly dataDir: string;
  readonly clusterName: string;
  /** Plain on loopback, HTTPS elsewhere. */
  readonly api: Address;
  /** Where other machines reach the API, by HTTPS; what join lines name. */
  readonly listen?: Address;
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
  /** Who signs the API's certificate (PEM); undefined: it is plain. */
  readonly apiCa: string | undefined;
  /** Who signs the bus's certificate (PEM); null: it is plain. */
  readonly natsCa: string | null;
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
const LEASE_MS = 3_000;
const APPEND_TIMEOUT_MS = 3_000;

const openControl = async (
  options: SchedulerOptions,
  parts: { readonly dir: DataDir; readonly open: OpenBus; readonly logger: Logger; readonly metrics: Metrics },
) => {
  const { dir, open, logger, metrics } = parts;
  const instance = `${hostname().slice(0, 64)}-${randomBytes(6).toString("hex")}`;
  const clock = systemClock();
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
    desired: await openDesiredStore(await open.another(), open.replicas),
    admission: open.admission,
    ...(await clusterKeys(dir)),
    clock,
    logger: logger.child({ component: "control" }),
    counters: metrics.counters,
    leaseMs: open.isAlone ? 0 : LEASE_MS,
    heartbeatMs: options.heartbeatMs ?? DEFAULT_HEARTBEAT_MS,
    disconnectedAfterMs: DISCONNECTED_SHARE * (options.lostAfterMs ?? DEFAULT_LOST_AFTER_MS),
    lostAfterMs: options.lostAfterMs ?? DEFAULT_LOST_AFTER_MS,
    snapshots,
    complaint: open.complaint,
    secrets: async () => {
      const [tlsKey, tlsCertificate] = [await readIfThere(dir.tls.caKey), await readIfThere(dir.tls.caCertificate)];
      return {
        clusterKey: await readFile(dir.clusterKey, "utf8"),
        adminToken: await readFile(dir.adminToken, "utf8"),
        ...(tlsKey === undefined || tlsCertificate === undefined ? {} : { tlsKey, tlsCertificate }),
      };
    },
    snapshotFiles: { ...files, read: readSnapshotFile },
    snapshotLimits: options.snapshotLimits ?? SNAPSHOT_LIMITS,
    lastUses: await lastUsesFile(dir.lastUses),
    checkEnd: memory.check,
    remember: memory.remember,
  });
  metrics.observe(control);
  return { control, clock };
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
    const { api, bus: wanted, listen } = options;
    const listening = [api.host, ...(listen === undefined ? [] : [listen.host])];
    if (wanted.kind === "embedded") listening.push(wanted.host);
    const urls = wanted.kind === "embedded" ? (wanted.advertise ?? []) : [];
    const tls =
      listen === undefined && listening.every(isLoopback)
        ? undefined
        : await openTls(dir, { listening, urls }, logger.child({ component: "tls" }), closers);
    const metrics = createMetrics(packageVersion());
    const open =
      wanted.kind === "embedded"
        ? await openEmbedded(wanted, {
            dir,
            env: options.env ?? process.env,
            // A bus that others are told of is one that other machines reach.
            ca: isLoopback(wanted.host) ? undefined : tls?.authority.certificate,
            logger,
            closers,
            refused: metrics.counters.busRefused,
          })
        : await openExternal(wanted, logger, closers);
    tls?.onRenewed(open.certificateRenewed);
    const { control, clock } = await openControl(options, { dir, open, logger, metrics });

    const ending = new AbortController();
    const running = control.run(ending.signal);
    running.catch(() => {});
    closers.push(async () => {
      ending.abort();
      await running.catch(() => {});
    });

    const addresses: { join?: JoinAddress | undefined } = {};
    const server = await buildServer({
      control,
      adminToken: token,
      version: packageVersion(),
      cluster: options.clusterName,
      clock,
      logger: logger.child({ component: "http" }),
      dashboardDir: options.dashboardDir ?? defaultDashboardDir(),
      metrics,
      joinAddress: () => addresses.join,
    });
    closers.push(
      () => closeServer(server),
      () => control.letGo(),
    );
    const found = await openListeners(server, { api, listen, tls }, closers);
    addresses.join = found.join;
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
    const { urls: natsUrls, ca: natsCa } = open.admission;
    return { url: found.url, apiCa: found.ca, natsCa, natsUrls, tokenFile: dir.adminToken, ended, close };
  } catch (error) {
    await closeAll(closers, logger);
    throw error;
  }
};
