/**
 * Three nats-servers as deploy/nats sets them up, three schedulers and three hosts, each on a machine of its own (see
 * ground.ts). Programs that end are started again, as a service manager does it.
 */
import { execFileSync } from "node:child_process";
import { closeSync, cpSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ensureIdentity } from "../../packages/agent/src/adapters/nats/identity.ts";
import { findNatsServer, isAtLeast } from "../../packages/scheduler/src/adapters/embedded-nats/binary.ts";
import { renderUsers } from "../../packages/scheduler/src/adapters/embedded-nats/config.ts";
import { createUserSeed, publicKeyOfSeed } from "../../packages/scheduler/src/adapters/nats/connection.ts";
import { environment } from "../support/cli.ts";
import { eventually, kill, naming, ROOT, runBerth } from "../support/index.ts";
import { apiOf } from "./api.ts";
import { keep, makeGround, type Ground, type Kept } from "./ground.ts";
import { tailLog, type Tail } from "./tail.ts";
import type { Instance } from "./world.ts";

export const NATS = ["n1", "n2", "n3"] as const;
export const SCHEDULERS = ["s1", "s2", "s3"] as const;
export const HOSTS = ["host-1", "host-2", "host-3"] as const;
const [NATS_PORT, API_PORT] = [4640, 8640];
export const ROUTE_PORT = 6640;
const DEPLOY = join(ROOT, "deploy/nats");
/** Small on purpose: what users submit does not always fit. */
const SHARE = ["--cpu", "600m", "--memory", "1Gi", "--pids", "2000"];
const IDS_PER_HOST = 65_536 * 256;
const FIRST_ID = 0x2000_0000;

export interface Fleet {
  readonly dataDir: string;
  readonly ground: Ground;
  readonly instances: readonly Instance[];
  readonly tail: Tail;
  readonly kept: (name: string) => Kept;
  readonly all: readonly Kept[];
  readonly natsVersion: string;
  /** The instance that says of itself that it leads. */
  readonly leader: (mostMs?: number) => Promise<Instance>;
  /** With `keepFiles` only the programs are ended: somebody wants to look. */
  readonly close: (keepFiles?: boolean) => Promise<string[]>;
}

export interface FleetOptions {
  readonly say: (line: string) => void;
  /** Copies of every stream, 1 or 3. */
  readonly replicas?: number;
  readonly onOwnEnd?: (name: string, code: number | string, lastWords: string) => void;
}

const lastLines = (path: string): string => readFileSync(path, "utf8").trimEnd().split("\n").slice(-2).join(" | ");

export const startFleet = async ({ say, replicas = 3, onOwnEnd }: FleetOptions): Promise<Fleet> => {
  const dataDir = mkdtempSync("/tmp/berth-e2e-chaos-");
  const logs = join(dataDir, "logs");
  const certificates = join(dataDir, "certificates");
  mkdirSync(logs);
  const names = [...NATS, ...SCHEDULERS, ...HOSTS];
  const at = new Map<string, string>(
    names.map((name) => [name, join(dataDir, ...(name.startsWith("host") ? ["hosts"] : []), name)]),
  );
  const processes = new Map<string, Kept>();
  let ground: Ground | undefined;
  let tail: Tail | undefined;

  const close = async (keepFiles = false): Promise<string[]> => {
    await tail?.close();
    for (const one of processes.values()) {
      one.resume();
      await one.end();
    }
    if (keepFiles) return [];
    const down = await runBerth(["down", "--data-dir", dataDir]);
    const left = down.code === 0 ? [] : [`berth down: ${down.stderr}`];
    ground?.close();
    const remaining = (): string[] => naming(dataDir).map((one) => `process ${one.pid}: ${one.command.join(" ")}`);
    await eventually("nothing is left", () => remaining().length === 0, 15_000).catch(() => left.push(...remaining()));
    for (const one of naming(dataDir)) kill(one.pid, "SIGKILL");
    if (left.length === 0) rmSync(dataDir, { recursive: true, force: true });
    return left;
  };

  try {
    const made = await makeGround(dataDir, at);
    ground = made;
    const start = (name: string, command: readonly string[], againAfterMs: number): Kept => {
      const machine = made.machine(name);
      const path = join(logs, `${name}.log`);
      const logFd = openSync(path, "a");
      const one = keep({
        name,
        command: [...machine.words, ...command],
        env: environment(machine.env),
        cwd: ROOT,
        logFd,
        againAfterMs,
        onOwnEnd: (_name, code) => onOwnEnd?.(name, code, lastLines(path)),
      });
      processes.set(name, { ...one, end: () => one.end().then(() => closeSync(logFd)) });
      one.start();
      return one;
    };

    const binary = await findNatsServer(process.env);
    const seed = createUserSeed();
    const seedFile = join(dataDir, "control.nk");
    writeFileSync(seedFile, seed, { mode: 0o600 });
    const addressOf = (name: string): string => made.machine(name).address;
    const routes = NATS.map((name) => `nats-route://${addressOf(name)}:${ROUTE_PORT}`);
    const natsUrls = NATS.map((name) => `nats://${addressOf(name)}:${NATS_PORT}`);
    const caFile = join(certificates, "ca.crt");
    for (const name of NATS) {
      const { directory, address } = made.machine(name);
      execFileSync("sh", [join(DEPLOY, "make-certificates.sh"), certificates, name, address], { stdio: "pipe" });
      const configuration = readFileSync(join(DEPLOY, "nats-server.conf"), "utf8");
      const syncs = isAtLeast(binary.version, [2, 10, 0]);
      writeFileSync(
        join(directory, "nats-server.conf"),
        // As the how-to says: from 2.10 on, without the comment.
        syncs ? configuration.replace("# sync_interval: always", "sync_interval: always") : configuration,
      );
      writeFileSync(join(directory, "users.conf"), renderUsers(publicKeyOfSeed(seed, seedFile), []));
      const env = {
        BERTH_NATS_NAME: name,
        BERTH_NATS_LISTEN: `${address}:${NATS_PORT}`,
        BERTH_NATS_ROUTE_LISTEN: `${address}:${ROUTE_PORT}`,
        BERTH_NATS_ROUTES: JSON.stringify(routes),
        BERTH_NATS_STORE: join(directory, "store"),
        BERTH_NATS_PID_FILE: join(directory, "server.pid"),
        BERTH_NATS_CERT: join(certificates, `${name}.crt`),
        BERTH_NATS_KEY: join(certificates, `${name}.key`),
        BERTH_NATS_CA: caFile,
      };
      const settings = Object.entries(env).map(([key, value]) => `${key}=${value}`);
      start(
        name,
        ["env", "-u", "LD_PRELOAD", ...settings, binary.path, "-c", join(directory, "nats-server.conf")],
        500,
      );
    }

    tail = await tailLog({ servers: natsUrls, seed, ca: readFileSync(caFile, "utf8") });
    const shared = join(dataDir, "shared");
    const startScheduler = async (name: string): Promise<string> => {
      const { directory, address } = made.machine(name);
      const beside = made.machine(name.replace("s", "n")).directory;
      const one = start(
        name,
        [
          process.execPath,
          join(ROOT, "packages/scheduler/src/testing/chaos-scheduler.mjs"),
          ...["--data-dir", directory, "--api-host", address, "--api-port", String(API_PORT)],
          ...natsUrls.flatMap((url) => ["--nats-url", url]),
          ...["--nats-seed-file", seedFile, "--nats-ca-file", caFile, "--nats-replicas", String(replicas)],
          ...["--nats-users-file", join(beside, "users.conf"), "--nats-pid-file", join(beside, "server.pid")],
        ],
        700,
      );
      const ready = await eventually(`${name} is ready`, () => one.output().includes("\n") && one.output(), 90_000);
      return (JSON.parse(ready) as { readonly apiCa: string }).apiCa;
    };
    const ca = await startScheduler("s1");
    // What the how-to says: one key, one token and one authority for all of them.
    for (const part of ["cluster.key", "admin.token", "tls"])
      cpSync(join(made.machine("s1").directory, "scheduler", part), join(shared, part), { recursive: true });
    await Promise.all(
      SCHEDULERS.slice(1).map((name) => {
        cpSync(shared, join(made.machine(name).directory, "scheduler"), { recursive: true });
        return startScheduler(name);
      }),
    );
    const token = readFileSync(join(shared, "admin.token"), "utf8").trim();
    const instances = SCHEDULERS.map((name) => apiOf({ name, host: addressOf(name), port: API_PORT, ca, token }));

    for (const [index, name] of HOSTS.entries()) {
      const { directory } = made.machine(name);
      const { publicKey, seedFile: hostSeed } = await ensureIdentity(directory);
      const clusterKey = await eventually(`${name} is enrolled`, async () => {
        const answer = await instances[0]?.call("POST", "/v1/hosts", { id: name, publicKey });
        return answer !== undefined && answer.status < 300
          ? (answer.body as { readonly clusterKey: string }).clusterKey
          : undefined;
      });
      const keyFile = join(directory, "cluster.pub");
      writeFileSync(keyFile, clusterKey);
      const ids = ["--id-base", String(FIRST_ID + index * IDS_PER_HOST), "--id-count", String(IDS_PER_HOST)];
      start(
        name,
        [
          process.execPath,
          join(ROOT, "packages/agent/dist/main.js"),
          ...["--host", name, "--data-dir", directory, ...natsUrls.flatMap((url) => ["--nats-url", url])],
          ...["--seed-file", hostSeed, "--cluster-key-file", keyFile, "--nats-ca-file", caFile],
          ...[...ids, ...SHARE],
        ],
        700,
      );
    }
    say(
      `nats-server ${binary.version.join(".")}, ${replicas} copies; ${made.hasClocks ? "" : "no libfaketime: clocks stay right; "}${dataDir}`,
    );
    return {
      dataDir,
      ground: made,
      instances,
      tail,
      kept: (name) => {
        const found = processes.get(name);
        if (found === undefined) throw new Error(`nothing runs on ${name}`);
        return found;
      },
      all: [...processes.values()],
      natsVersion: binary.version.join("."),
      leader: (mostMs) =>
        eventually(
          "somebody leads",
          async () => {
            for (const one of instances) {
              const answer = await one.call("GET", "/readyz");
              const detail = (answer?.body as { checks?: { leader?: { detail?: string } } } | undefined)?.checks
                ?.leader;
              if (detail?.detail?.startsWith("leading") === true) return one;
            }
            return undefined;
          },
          mostMs,
        ),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
};
