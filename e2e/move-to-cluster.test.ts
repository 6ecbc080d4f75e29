/**
 * docs/how-to/nats-cluster.md, "From the embedded server to a cluster", walked as it stands there: what `berth up` ran alone goes
 * on with two schedulers on three nats-servers of deploy/nats, and its container never ends. Needs a nats-server of 2.10 or
 * newer: NATS_SERVER_BIN names it (`pnpm test:move`).
 */
import { spawn, type ChildProcess } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import type { AllocationView } from "@berth/schema";
import { startNatsCluster, type NatsCluster } from "../packages/scheduler/src/testing/nats-cluster.ts";
import { environment, ROOT, spawnBerth } from "./support/cli.ts";
import { Cluster, eventually, inside } from "./support/index.ts";

const cluster = new Cluster();
const directory = mkdtempSync("/tmp/berth-e2e-move-");
const children: ChildProcess[] = [];
const ended = (child: ChildProcess): Promise<unknown> =>
  child.exitCode === null && child.signalCode === null
    ? new Promise((resolve) => child.once("close", resolve))
    : Promise.resolve();

afterAll(async () => {
  for (const child of children.toReversed()) {
    child.kill("SIGTERM");
    await ended(child);
  }
  expect(await cluster.close()).toEqual([]);
  rmSync(directory, { recursive: true, force: true });
});

interface Scheduler {
  readonly api: string;
  readonly tokenFile: string;
  readonly child: ChildProcess;
}

const startScheduler = async (nats: NatsCluster, at: number): Promise<Scheduler> => {
  const dataDir = join(directory, `machine-${at}`);
  const server = nats.servers[at];
  const flags = [
    ...["--data-dir", dataDir, "--api-port", "0", "--listen", "127.0.0.1", "--listen-port", "0"],
    ...nats.urls.flatMap((url) => ["--nats-url", url]),
    ...["--nats-seed-file", nats.seedFile, "--nats-ca-file", nats.caFile, "--nats-replicas", "3"],
    ...["--nats-users-file", server?.usersFile ?? "", "--nats-pid-file", server?.pidFile ?? ""],
  ];
  const child = spawn(process.execPath, [join(ROOT, "packages/scheduler/dist/main.js"), ...flags], {
    env: environment(),
    stdio: ["ignore", "pipe", "pipe"],
  });
  children.push(child);
  let [out, log] = ["", ""];
  child.stdout?.on("data", (chunk: Buffer) => (out += chunk.toString()));
  child.stderr?.on("data", (chunk: Buffer) => (log += chunk.toString()));
  const ready = await eventually(
    `scheduler ${at} is ready`,
    () => {
      if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}: ${log.slice(-1000)}`);
      return out.includes("\n") ? (JSON.parse(out) as { readonly api: string }) : undefined;
    },
    90_000,
  );
  return { api: ready.api, tokenFile: join(dataDir, "scheduler/admin.token"), child };
};

const at = ({ api, tokenFile }: Scheduler) => ["--api", api, "--token-file", tokenFile];
const allocationsOf = async (scheduler: Scheduler): Promise<AllocationView[]> => {
  const { items } = JSON.parse(await cluster.must(["ps", "-o", "json", ...at(scheduler)])) as {
    items: AllocationView[];
  };
  return items;
};

test.runIf(process.env["NATS_SERVER_BIN"] !== undefined)(
  "what ran alone goes on with several schedulers on three servers",
  { timeout: 300_000 },
  async () => {
    const up = await cluster.up();
    await up.ready();
    const host = (await cluster.hosts())[0]?.id ?? "";
    await cluster.must(["secret", "set", "word"], { stdin: "kept" });
    await cluster.submit({
      ...{ name: "web", kind: "service", image: "builtin://busybox", secrets: [{ secret: "word" }] },
      command: ["sh", "-c", "while :; do cat /run/secrets/word; sleep 1; done"],
      resources: { cpu: { request: "20m" }, memory: { request: "16Mi" } },
    });
    const running = await eventually("it runs", async () =>
      (await cluster.allocations()).find(({ state }) => state === "running"),
    );

    // 1. A backup, then Ctrl-C: the container goes on.
    const backup = join(directory, "berth.backup");
    await cluster.must(["backup", backup]);
    await cluster.allocations().then((all) => all.forEach(({ id }) => cluster.noteCgroups(id)));
    up.child.kill("SIGINT");
    await up.end();
    const programs = (): number[] =>
      inside(running.id)
        .filter(({ command }) => command[0] === "sh")
        .map(({ pid }) => pid);
    const before = programs();
    expect(before).toHaveLength(1);

    // 2. Three servers, empty.
    const nats = await startNatsCluster();

    // 3. The backup becomes the cluster of the first scheduler.
    const first = join(directory, "machine-0");
    await cluster.must(["restore", backup, "--data-dir", first]);
    const one = await startScheduler(nats, 0);

    // 4. The other schedulers, with the keys of the first; the host joins anew under its name.
    const second = join(directory, "machine-1/scheduler");
    mkdirSync(second, { recursive: true, mode: 0o700 });
    for (const name of ["cluster.key", "admin.token", "tls"])
      cpSync(join(first, "scheduler", name), join(second, name), { recursive: true });
    const two = await startScheduler(nats, 1);
    const text = await cluster.must(["token", "create", ...at(one)]);
    const line = /(berth1\.\S+)/.exec(text)?.[1] ?? "";
    const joined = spawnBerth(["join", line, "--host", host, "--foreground", "--data-dir", cluster.dataDir]);
    children.push(joined);
    let said = "";
    joined.stderr?.on("data", (chunk: Buffer) => (said += chunk.toString()));

    for (const scheduler of [one, two])
      await eventually(
        "the container is known there, and still the same",
        async () => {
          if (joined.exitCode !== null) throw new Error(said);
          const found = await allocationsOf(scheduler);
          const views = JSON.parse(await cluster.must(["hosts", "-o", "json", ...at(scheduler)])) as {
            items: { id: string; state: string; lastHeartbeatAgoMs: number | null }[];
          };
          const here = views.items.find(({ id }) => id === host);
          if (here?.state !== "ready" || here.lastHeartbeatAgoMs === null) throw new Error(JSON.stringify(here));
          return found.length === 1 && found[0]?.id === running.id && found[0].state === "running";
        },
        60_000,
      );
    expect(programs()).toEqual(before);

    // New work, with the secret that the backup brought, by the other scheduler; and the first may die.
    one.child.kill("SIGKILL");
    await ended(one.child);
    const job = join(directory, "job.json");
    writeFileSync(
      job,
      JSON.stringify({
        ...{ name: "after", kind: "batch", image: "builtin://busybox", secrets: [{ secret: "word" }] },
        command: ["cat", "/run/secrets/word"],
        resources: { cpu: { request: "20m" }, memory: { request: "16Mi" } },
      }),
    );
    expect(await cluster.must(["run", "--wait", job, ...at(two)])).toBe("kept");
    expect(programs()).toEqual(before);
    expect(readFileSync(join(first, "scheduler/cluster.key"))).toEqual(readFileSync(join(second, "cluster.key")));
    await cluster.must(["stop", "web", ...at(two)]);
  },
);
