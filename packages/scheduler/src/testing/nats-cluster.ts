/** Three real nats-servers as deploy/nats sets them up: its configuration, its certificates, one directory each, on loopback. */
import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { findNatsServer } from "../adapters/embedded-nats/binary.ts";
import { renderUsers } from "../adapters/embedded-nats/config.ts";
import { connectBus, createUserSeed, publicKeyOfSeed, type BusConnection } from "../adapters/nats/connection.ts";
import { versionProblem } from "../open-bus.ts";
import { silent } from "./nats.ts";
import { afterTests, eventually, tempDir } from "./temp.ts";

const DEPLOY = fileURLToPath(new URL("../../../../deploy/nats/", import.meta.url));

export interface ClusterServer {
  readonly name: string;
  readonly url: string;
  readonly usersFile: string;
  readonly pidFile: string;
  readonly start: () => void;
  readonly signal: (name: NodeJS.Signals) => void;
}

export interface NatsCluster {
  readonly servers: readonly ClusterServer[];
  readonly urls: readonly string[];
  readonly caFile: string;
  readonly seedFile: string;
  readonly seed: string;
  readonly ca: string;
  readonly connect: () => Promise<BusConnection>;
  /** Resolves when every copy of a stream is there and up to date. */
  readonly healthy: (stream: string) => Promise<void>;
  /** The server that leads a stream now. */
  readonly leaderOf: (stream: string) => Promise<ClusterServer>;
}

/** Whether the nats-server of this machine is one that Berth takes copies of streams on: Debian 12's is not. */
export const takesCopies = async (): Promise<boolean> =>
  versionProblem((await findNatsServer(process.env)).version.join("."), 3) === undefined;

const freePorts = async (count: number): Promise<number[]> => {
  const held = await Promise.all(
    Array.from(
      { length: count },
      () =>
        new Promise<{ readonly port: number; readonly close: () => Promise<void> }>((resolve, reject) => {
          const server = createServer();
          server.once("error", reject);
          server.listen(0, "127.0.0.1", () => {
            const address = server.address();
            const port = typeof address === "object" && address !== null ? address.port : 0;
            resolve({ port, close: () => new Promise<void>((done) => server.close(() => done())) });
          });
        }),
    ),
  );
  await Promise.all(held.map((one) => one.close()));
  return held.map((one) => one.port);
};

const startServer = (binary: string, directory: string, env: Readonly<Record<string, string>>): ChildProcess => {
  const child = spawn(binary, ["-c", join(directory, "nats-server.conf"), "-l", join(directory, "log")], {
    env: { ...process.env, ...env },
    stdio: "ignore",
  });
  afterTests(() => {
    child.kill("SIGCONT");
    child.kill("SIGKILL");
  });
  return child;
};

export const startNatsCluster = async (): Promise<NatsCluster> => {
  const root = tempDir();
  const certificates = join(root, "certificates");
  const names = ["n1", "n2", "n3"];
  const ports = await freePorts(2 * names.length);
  const { path: binary } = await findNatsServer(process.env);
  const seed = createUserSeed();
  const seedFile = join(root, "control.nk");
  writeFileSync(seedFile, seed, { mode: 0o600 });
  const routes = names.map((_, at) => `nats-route://127.0.0.1:${ports[names.length + at]}`);
  const servers = names.map((name, at): ClusterServer => {
    execFileSync("sh", [join(DEPLOY, "make-certificates.sh"), certificates, name, "127.0.0.1"], { stdio: "pipe" });
    const directory = join(root, name);
    mkdirSync(directory);
    copyFileSync(join(DEPLOY, "nats-server.conf"), join(directory, "nats-server.conf"));
    const usersFile = join(directory, "users.conf");
    writeFileSync(usersFile, renderUsers(publicKeyOfSeed(seed, seedFile), []));
    const pidFile = join(directory, "server.pid");
    const env = {
      BERTH_NATS_NAME: name,
      BERTH_NATS_LISTEN: `127.0.0.1:${ports[at]}`,
      BERTH_NATS_ROUTE_LISTEN: `127.0.0.1:${ports[names.length + at]}`,
      BERTH_NATS_ROUTES: JSON.stringify(routes),
      BERTH_NATS_STORE: join(directory, "store"),
      BERTH_NATS_PID_FILE: pidFile,
      BERTH_NATS_CERT: join(certificates, `${name}.crt`),
      BERTH_NATS_KEY: join(certificates, `${name}.key`),
      BERTH_NATS_CA: join(certificates, "ca.crt"),
    };
    let child = startServer(binary, directory, env);
    return {
      name,
      url: `nats://127.0.0.1:${ports[at]}`,
      usersFile,
      pidFile,
      start: () => {
        child = startServer(binary, directory, env);
      },
      signal: (which) => void child.kill(which),
    };
  });
  const urls = servers.map((server) => server.url);
  const caFile = join(certificates, "ca.crt");
  const ca = readFileSync(caFile, "utf8");
  const connect = async (): Promise<BusConnection> => {
    const bus = await connectBus(urls, seed, silent, ca);
    afterTests(bus.close);
    return bus;
  };
  const witness = await eventually("the servers answer", () => connect().catch(() => undefined));
  await eventually("JetStream has a leader", async () => {
    const manager = await witness.nats.jetstreamManager({ timeout: 1_000 });
    return (await manager.getAccountInfo()).limits !== undefined;
  });
  return {
    servers,
    urls,
    caFile,
    seedFile,
    seed,
    ca,
    connect,
    healthy: async (stream) => {
      await eventually(
        `every copy of ${stream} is up to date`,
        async () => {
          const manager = await witness.nats.jetstreamManager({ timeout: 2_000 });
          const { cluster } = await manager.streams.info(stream);
          const copies = cluster?.replicas ?? [];
          return copies.length === names.length - 1 && copies.every((one) => one.current && one.offline !== true);
        },
        40_000,
      );
    },
    leaderOf: (stream) =>
      eventually(`${stream} has a leader`, async () => {
        const manager = await witness.nats.jetstreamManager({ timeout: 2_000 });
        const { cluster } = await manager.streams.info(stream);
        return servers.find((server) => server.name === cluster?.leader);
      }),
  };
};
