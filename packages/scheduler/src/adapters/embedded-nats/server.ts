/**
 * The embedded nats-server: a child process with its own port and directory, credentials for everyone, restarted with
 * backoff when it dies, reloaded when hosts are admitted.
 */
import { mkdir } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import type { Logger } from "pino";
import type { BusRefusal } from "../../app/counters.ts";
import { createPace } from "../../app/pace.ts";
import type { Admission, AdmittedHost } from "../../ports/admission.ts";
import { StartupProblem } from "../../ports/startup-problem.ts";
import { readIfThere, writeFileAtomic } from "../files/atomic.ts";
import { addressesOf, bracket, isWildcard } from "../../network-names.ts";
import { findNatsServer, isAtLeast } from "./binary.ts";
import { startChild, type NatsChild, type Refused } from "./child.ts";
import { renderConfig, renderUsers, USERS_FILE } from "./config.ts";
import { stopLeftOvers } from "./left-over.ts";
import { prepareStore } from "./store.ts";

export interface EmbeddedNatsOptions {
  readonly directory: string;
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** Addresses to tell agents instead of the one listened on. */
  readonly advertise: readonly string[];
  readonly controlKey: string;
  readonly maxStoreBytes: number;
  readonly env: NodeJS.ProcessEnv;
  /** Certificate and key as files, and who has signed. Undefined: plain. */
  readonly tls?: { readonly certificate: string; readonly key: string; readonly ca: string };
  readonly log: Logger;
  /** The server refused a client something. */
  readonly refused: (kind: BusRefusal) => void;
}

export interface EmbeddedNats extends Admission {
  /** Where this process reaches the server. */
  readonly localUrl: string;
  readonly pid: () => number;
  /** Takes over a certificate that was renewed. */
  readonly reloadCertificate: () => Promise<void>;
  /** Ends the server in order; its successor comes by itself. */
  readonly restart: () => void;
  /** Ends one that does not answer any more. */
  readonly kill: () => void;
  readonly close: () => Promise<void>;
}

const FIRST_BACKOFF_MS = 200;
const LONGEST_BACKOFF_MS = 10_000;
/** A server that lived this long starts its next life without a wait. */
const LONG_LIFE_MS = 60_000;

/** Asks the kernel whether the port can be had; the clear message is worth the small race with nats-server's own bind. */
const claimPort = (host: string, port: number): Promise<number> =>
  new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once("error", (error: NodeJS.ErrnoException) => {
      const what =
        error.code === "EADDRINUSE"
          ? `port ${port} on ${host} is taken; choose another one with --nats-port, or use the server that runs there with --nats-url`
          : `cannot listen on ${host}:${port} for nats-server: ${error.message}; choose another address with --nats-host`;
      reject(new StartupProblem(what, { cause: error }));
    });
    probe.listen({ host, port, exclusive: true }, () => {
      const address = probe.address();
      const got = typeof address === "object" && address !== null ? address.port : port;
      probe.close(() => resolve(got));
    });
  });

const advertised = (options: EmbeddedNatsOptions, port: number): string[] => {
  if (options.advertise.length > 0) return [...options.advertise];
  return addressesOf(options.host).map((address) => `nats://${bracket(address)}:${port}`);
};

export const startEmbeddedNats = async (options: EmbeddedNatsOptions): Promise<EmbeddedNats> => {
  const { directory, host, log } = options;
  const binary = await findNatsServer(options.env);
  const configPath = join(directory, "nats.conf");
  const usersPath = join(directory, USERS_FILE);
  const pidFile = join(directory, "server.pid");
  const storeDir = join(directory, "store");
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const stopped = await stopLeftOvers(configPath, pidFile);
  if (stopped.length > 0) log.warn({ pids: stopped }, "nats_server_left_over_stopped");
  const serverSyncs = isAtLeast(binary.version, [2, 10, 0]);
  const warning = await prepareStore(storeDir, serverSyncs);
  if (warning !== undefined) log.warn({ directory: storeDir }, warning);
  const port = await claimPort(host, options.port);
  await writeFileAtomic(
    configPath,
    renderConfig({
      host,
      port,
      storeDir,
      pidFile,
      maxStoreBytes: options.maxStoreBytes,
      version: binary.version,
      ...(options.tls === undefined ? {} : { tls: options.tls }),
    }),
    0o600,
  );
  // Agents that come back while the log is still being read must find themselves admitted: the file is kept as it was.
  // Unless it does not admit ourselves: then the control user's key was made anew.
  if ((await readIfThere(usersPath))?.includes(options.controlKey) !== true) {
    await writeFileAtomic(usersPath, renderUsers(options.controlKey, []), 0o600);
  }

  /** The users that the running server is known to have. A new life reads the file, so a restart settles a failed reload. */
  let loaded = (await readIfThere(usersPath)) ?? "";
  const mayWrite = createPace({ burst: 100, perSecond: 5 }, performance.now());
  const refused: Refused = (kind, line) => {
    options.refused(kind);
    if (mayWrite(performance.now())) log.warn({ kind, line }, "bus_refused");
  };
  let child: NatsChild = startChild(binary.path, configPath, log, refused);
  let closing = false;
  let cancelBackoff = (): void => {};

  const launch = async (): Promise<void> => {
    await writeFileAtomic(pidFile, String(child.pid), 0o600);
    await child.ready;
    log.info({ pid: child.pid, port, version: binary.version.join(".") }, "nats_server_ready");
  };

  /** Keeps a server running until `close`. Every death waits longer, unless the life before was a long one. */
  const supervise = async (): Promise<void> => {
    let backoffMs = FIRST_BACKOFF_MS;
    let bornMs = performance.now();
    for (;;) {
      const sentence = await child.ended;
      if (closing) return;
      if (performance.now() - bornMs > LONG_LIFE_MS) backoffMs = FIRST_BACKOFF_MS;
      log.error({ sentence, backoffMs }, "nats_server_ended");
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, backoffMs);
        cancelBackoff = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      if (closing) return;
      backoffMs = Math.min(LONGEST_BACKOFF_MS, backoffMs * 2);
      bornMs = performance.now();
      loaded = (await readIfThere(usersPath)) ?? "";
      child = startChild(binary.path, configPath, log, refused);
      await launch().catch((error: unknown) => log.error({ err: error }, "nats_server_not_ready"));
    }
  };

  try {
    await launch();
  } catch (error) {
    await child.stop();
    throw new StartupProblem(error instanceof Error ? error.message : String(error), { cause: error });
  }
  const supervision = supervise();

  // Admissions are taken over one after the other; while one runs, only the newest of those that wait matters.
  let turn: Promise<void> = Promise.resolve();
  let newest = "";
  const takeOver = async (): Promise<void> => {
    const wanted = newest;
    if (loaded === wanted) return;
    await writeFileAtomic(usersPath, wanted, 0o600);
    await child.ready;
    await child.reload();
    loaded = wanted;
  };

  return {
    urls: advertised(options, port),
    ca: options.tls?.ca ?? null,
    localUrl: `nats://${bracket(isWildcard(host) ? "127.0.0.1" : host)}:${port}`,
    pid: () => child.pid,
    reloadCertificate: () => {
      const mine = turn.then(async () => {
        await child.ready;
        await child.reload();
      });
      turn = mine.catch(() => {});
      return mine;
    },
    restart: () => void child.stop(),
    kill: () => child.kill(),
    admit: (hosts: readonly AdmittedHost[]) => {
      newest = renderUsers(options.controlKey, hosts);
      const mine = turn.then(takeOver);
      turn = mine.catch(() => {});
      return mine;
    },
    close: async () => {
      closing = true;
      cancelBackoff();
      await child.stop();
      await supervision;
    },
  };
};
