/** The bus of one scheduler: a nats-server of its own, or one or several that run already. */
import { readFile } from "node:fs/promises";
import type { Logger } from "pino";
import { isAtLeast, parseVersion, type NatsBinary } from "./adapters/embedded-nats/binary.ts";
import { guardStore } from "./adapters/embedded-nats/guard.ts";
import { startEmbeddedNats, type EmbeddedNats } from "./adapters/embedded-nats/server.ts";
import { usersFileAdmission } from "./adapters/embedded-nats/users-file.ts";
import type { DataDir } from "./adapters/files/data-dir.ts";
import { secretFile } from "./adapters/files/secrets.ts";
import { connectBus, createUserSeed, publicKeyOfSeed, type BusConnection } from "./adapters/nats/connection.ts";
import { probeServers } from "./adapters/nats/probe.ts";
import type { BusRefusal } from "./app/counters.ts";
import type { Closers } from "./close-all.ts";
import type { Admission } from "./ports/admission.ts";
import { StartupProblem } from "./ports/startup-problem.ts";

export interface EmbeddedBus {
  readonly kind: "embedded";
  /** Off loopback it speaks TLS only. */
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
  /** Who signs the servers' certificates (PEM). Without it the connection is plain. */
  readonly caFile?: string;
  /** Where the users of the account are written for the server to include; without it, hosts are admitted by hand. */
  readonly usersFile?: string;
  /** Of the server that reads that file: told to reload after each change. */
  readonly serverPidFile?: string;
  /** For agents instead of `urls`. */
  readonly advertise?: readonly string[];
  /** Tests only, where no newer server is at hand: replicas on servers that may lose writes. No flag sets it. */
  readonly unsafeReplicas?: boolean;
}

export interface OpenBus {
  readonly bus: BusConnection;
  /** One more connection: a server writes what comes over one to its disk before it reads on, so the log has one to itself. */
  readonly another: () => Promise<BusConnection>;
  readonly admission: Admission;
  readonly replicas: number;
  /** Nobody else can lead: the server and its directory are ours alone. */
  readonly isAlone: boolean;
  /** Undefined for a server that is not ours. Resolves when the bus is connected again. */
  readonly restart: (() => Promise<void>) | undefined;
  /** Why the store takes nothing new now. */
  readonly complaint: () => string | undefined;
  /** The certificate's files have changed. */
  readonly certificateRenewed: () => Promise<void>;
}

const DEFAULT_STORE_BYTES = 4 * 2 ** 30;
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

export interface EmbeddedSurroundings {
  readonly dir: DataDir;
  readonly env: NodeJS.ProcessEnv;
  /** The authority's certificate (PEM); its files are in `dir`. Undefined: plain. */
  readonly ca: string | undefined;
  readonly logger: Logger;
  readonly closers: Closers;
  /** The server refused a client something. */
  readonly refused: (kind: BusRefusal) => void;
}

export const openEmbedded = async (
  given: EmbeddedBus,
  { dir, env, ca, logger, closers, refused }: EmbeddedSurroundings,
): Promise<OpenBus> => {
  const seed = await secretFile(dir.controlSeed, createUserSeed);
  const log = logger.child({ component: "nats-server" });
  const server = await startEmbeddedNats({
    directory: dir.nats,
    host: given.host,
    port: given.port,
    advertise: given.advertise ?? [],
    controlKey: publicKeyOfSeed(seed, dir.controlSeed),
    maxStoreBytes: given.maxStoreBytes ?? DEFAULT_STORE_BYTES,
    env,
    log,
    refused,
    ...(ca === undefined ? {} : { tls: { certificate: dir.tls.serverCertificate, key: dir.tls.serverKey, ca } }),
  });
  closers.push(server.close);
  const another = async (): Promise<BusConnection> => {
    const made = await connectBus([server.localUrl], seed, logger.child({ component: "bus" }), server.ca);
    closers.push(made.close);
    return made;
  };
  const bus = await another();
  const guard = guardStore({ directory: dir.nats, bus, kill: server.kill, log });
  closers.push(guard.close);
  return {
    bus,
    another,
    admission: server,
    replicas: 1,
    isAlone: true,
    restart: () => restartServer(server, bus),
    complaint: guard.complaint,
    certificateRenewed: ca === undefined ? async () => {} : server.reloadCertificate,
  };
};

const OLDEST: NatsBinary["version"] = [2, 9, 0];
/** Raft streams of servers before it check an expected revision before it is applied: two writers may both win. */
const OLDEST_REPLICATED: NatsBinary["version"] = [2, 9, 21];

/** Why a server of this version cannot carry so many copies of a stream; undefined: it can. */
export const versionProblem = (version: string, replicas: number): string | undefined => {
  const parsed = parseVersion(version);
  if (parsed === undefined || !isAtLeast(parsed, OLDEST)) {
    return `is ${version}; Berth needs ${OLDEST.join(".")} or newer`;
  }
  if (replicas > 1 && !isAtLeast(parsed, OLDEST_REPLICATED)) {
    return `is ${version}, which is not safe with ${replicas} copies of a stream: before ${OLDEST_REPLICATED.join(".")} an expected revision is compared before the copies agree, so that of two writers both may win, and a stream may come back empty after two restarts; use a newer server, or --nats-replicas 1`;
  }
  return undefined;
};

const textFile = async (path: string, what: string): Promise<string> => {
  try {
    return (await readFile(path, "utf8")).trim();
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new StartupProblem(`cannot read ${what}: ${why}`, { cause: error });
  }
};

export const openExternal = async (given: ExternalBus, logger: Logger, closers: Closers): Promise<OpenBus> => {
  const seed = await textFile(given.seedFile, "the seed of the bus user");
  const controlKey = publicKeyOfSeed(seed, given.seedFile);
  const ca = given.caFile === undefined ? null : await textFile(given.caFile, "the authority of the bus");
  const replicas = given.replicas ?? 1;
  const log = logger.child({ component: "bus" });
  const another = async (): Promise<BusConnection> => {
    const made = await connectBus(given.urls, seed, log, ca);
    closers.push(made.close);
    return made;
  };
  const bus = await another();
  for (const { url, version } of await probeServers(bus, given.urls, { seed, ca, log })) {
    const problem = versionProblem(version, given.unsafeReplicas === true ? 1 : replicas);
    if (problem !== undefined) throw new StartupProblem(`the nats-server at ${url} ${problem}`);
  }
  const urls = given.advertise ?? given.urls;
  const { usersFile } = given;
  const admission: Admission =
    usersFile === undefined
      ? {
          urls,
          ca,
          admit: async () => {
            logger.info("hosts of an external bus are admitted in its own configuration");
          },
        }
      : usersFileAdmission({ urls, ca, controlKey, usersFile, serverPidFile: given.serverPidFile, log });
  return {
    bus,
    another,
    admission,
    replicas,
    isAlone: false,
    restart: undefined,
    complaint: () => undefined,
    certificateRenewed: async () => {},
  };
};
