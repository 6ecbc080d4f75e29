/** Scheduler processes of one cluster on a bus of their own: to be killed, paused and cut off. */
import { spawn, type ChildProcess } from "node:child_process";
import { cpSync, mkdirSync, writeFileSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { programOf } from "../../../../tools/built.ts";
import { createUserSeed } from "../adapters/nats/connection.ts";
import { startNats, type TestNats } from "./nats.ts";
import { clientOf, type TestScheduler } from "./scheduler.ts";
import { afterTests, eventually, tempDir } from "./temp.ts";

const root = fileURLToPath(new URL("../../../..", import.meta.url));

/** Words for node(1) that run the scheduler. */
export const schedulerProgram = (): readonly string[] =>
  programOf("scheduler", "main", { schema: "src", scheduler: "src" });

export interface Instance {
  readonly name: string;
  readonly child: ChildProcess;
  readonly url: string;
  readonly call: TestScheduler["call"];
  readonly leads: () => Promise<boolean>;
  readonly log: () => string;
}

export interface Ensemble {
  readonly nats: TestNats;
  readonly token: string;
  /** Starts (again) the instance of this name; `through` is another address of the bus. */
  readonly start: (name: string, through?: string) => Promise<Instance>;
}

const TOKEN = "berth_token_of_the_tests_of_several_instances";

export const startEnsemble = async (): Promise<Ensemble> => {
  const seed = createUserSeed();
  const nats = await startNats({ seed });
  const base = tempDir();
  const seedFile = join(base, "seed");
  writeFileSync(seedFile, seed);
  const secrets = join(base, "secrets");
  let hasKey = false;

  const start = async (name: string, through = nats.server.localUrl): Promise<Instance> => {
    const dataDir = join(base, name);
    mkdirSync(join(dataDir, "scheduler"), { recursive: true });
    writeFileSync(join(dataDir, "scheduler/admin.token"), TOKEN, { mode: 0o600 });
    if (hasKey) cpSync(join(secrets, "cluster.key"), join(dataDir, "scheduler/cluster.key"));
    const flags = ["--data-dir", dataDir, "--api-port", "0", "--nats-url", through, "--nats-seed-file", seedFile];
    const child = spawn(process.execPath, [...schedulerProgram(), ...flags], {
      cwd: root,
      stdio: ["ignore", "pipe", "pipe"],
    });
    let out = "";
    let log = "";
    child.stdout?.on("data", (chunk: Buffer) => (out += chunk.toString()));
    child.stderr?.on("data", (chunk: Buffer) => (log += chunk.toString()));
    afterTests(async () => {
      const ended = new Promise((resolve) => child.once("close", resolve));
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill("SIGKILL");
      await ended;
    });
    const ready = await eventually(
      `${name} is ready`,
      () => {
        if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}: ${log.slice(-500)}`);
        return out.includes("\n") ? (JSON.parse(out) as { readonly api: string }) : undefined;
      },
      60_000,
    );
    if (!hasKey) {
      cpSync(join(dataDir, "scheduler/cluster.key"), join(secrets, "cluster.key"));
      hasKey = true;
    }
    const call = clientOf(ready.api, TOKEN);
    return {
      name,
      child,
      url: ready.api,
      call,
      leads: async () => ((await call("GET", "/readyz")).body.checks.leader.detail as string).startsWith("leading"),
      log: () => log,
    };
  };
  return { nats, token: TOKEN, start };
};

export interface Proxy {
  readonly url: string;
  /** From now on nothing passes in either direction, and nobody is told. */
  readonly cut: () => void;
  readonly heal: () => void;
}

/** A line to the bus that can fall silent, as a network does. */
export const startProxy = async (target: string): Promise<Proxy> => {
  const { hostname, port } = new URL(target);
  const pairs = new Set<readonly [Socket, Socket]>();
  let isCut = false;
  const server: Server = createServer((incoming) => {
    const outgoing = connect(Number(port), hostname);
    const pair = [incoming, outgoing] as const;
    pairs.add(pair);
    for (const [from, to] of [pair, [outgoing, incoming] as const]) {
      from.on("data", (bytes) => {
        if (!isCut) to.write(bytes);
      });
      from.on("error", () => {});
      from.on("close", () => {
        // While it is cut, not even the end of a connection gets through.
        if (!isCut) to.destroy();
        if (!isCut) pairs.delete(pair);
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address() as { readonly port: number };
  const end = (): void => {
    for (const pair of pairs) for (const socket of pair) socket.destroy();
    pairs.clear();
  };
  afterTests(() => {
    server.close();
    end();
  });
  return {
    url: `nats://127.0.0.1:${address.port}`,
    cut: () => {
      isCut = true;
    },
    heal: () => {
      // What was held up is gone for good: both ends find a broken line and make a new one.
      end();
      isCut = false;
    },
  };
};
