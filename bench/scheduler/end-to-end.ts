/**
 * From the submission of a job to its tasks being placed in the log: the real scheduler with its real nats-server, its HTTP
 * API, its log on this disk, and simulated agents that take their documents and report everything as running. They share the
 * machine's processors with what is measured.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { nkeys } from "nats";
import { runScheduler } from "@berth/scheduler";
import type { HostId, Resources } from "@berth/schema";
import type { Orders } from "./simulated-agents.ts";

const GIB = 2 ** 30;
const CAPACITY: Resources = { cpuMillis: 64_000, memoryBytes: 256 * GIB, pids: 65_536 };
const HEARTBEAT_MS = 2_000;
/** Requests to the API that are on their way at the same time. */
const AT_ONCE = 16;

export interface EndToEndOptions {
  readonly hosts: number;
  readonly jobs: number;
  readonly tasks: number;
}

export interface EndToEndResult {
  readonly placed: number;
  readonly perSecond: number;
  /** Until every task was reported as running, too. */
  readonly runningPerSecond: number;
  readonly schedulerCpuSeconds: number;
  readonly residentBytes: number;
}

type Call = (method: string, path: string, body?: unknown) => Promise<unknown>;

const clientOf =
  (url: string, token: string): Call =>
  async (method, path, body) => {
    const response = await fetch(url + path, {
      method,
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
    return response.json();
  };

const inTurns = async <T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> => {
  for (let at = 0; at < items.length; at += AT_ONCE) await Promise.all(items.slice(at, at + AT_ONCE).map(work));
};

const startAgents = async (orders: Orders): Promise<ChildProcess> => {
  const program = fileURLToPath(new URL("simulated-agents.ts", import.meta.url));
  const child = spawn(process.execPath, ["--import", "tsx", program], { stdio: ["pipe", "pipe", "inherit"] });
  child.stdin?.write(`${JSON.stringify(orders)}\n`);
  await new Promise<void>((resolve, reject) => {
    child.stdout?.once("data", () => resolve());
    child.once("exit", (code) => reject(new Error(`the agents ended with ${code}`)));
  });
  return child;
};

const jobOf = (at: number, tasks: number) => ({
  name: `array-${at}`,
  kind: "batch",
  image: "builtin://busybox",
  command: ["true"],
  array: { size: tasks },
  // Different enough to be eight classes of requests.
  resources: { cpu: { request: 0.25 + (at % 8) / 100 }, memory: { request: "256Mi" }, pids: 16 },
});

export const measureEndToEnd = async ({ hosts, jobs, tasks }: EndToEndOptions): Promise<EndToEndResult> => {
  const dataDir = mkdtempSync(join(tmpdir(), "berth-bench-"));
  const scheduler = await runScheduler({
    dataDir,
    clusterName: "bench",
    api: { host: "127.0.0.1", port: 0 },
    bus: { kind: "embedded", host: "127.0.0.1", port: 0 },
    heartbeatMs: HEARTBEAT_MS,
    dashboardDir: join(dataDir, "none"),
  });
  let agents: ChildProcess | undefined;
  try {
    const call = clientOf(scheduler.url, readFileSync(scheduler.tokenFile, "utf8").trim());
    const made = Array.from({ length: hosts }, (_, at) => ({ id: `h${at}` as HostId, key: nkeys.createUser() }));
    let natsUrls: readonly string[] = [];
    await inTurns(made, async ({ id, key }) => {
      const enrolled = await call("POST", "/v1/hosts", { id, publicKey: key.getPublicKey() });
      ({ natsUrls } = enrolled as { readonly natsUrls: readonly string[] });
    });
    agents = await startAgents({
      natsUrls,
      heartbeatMs: HEARTBEAT_MS,
      capacity: CAPACITY,
      hosts: made.map(({ id, key }) => ({ id, seed: Buffer.from(key.getSeed()).toString() })),
    });
    const cpu = process.cpuUsage();
    const begin = performance.now();
    const names = Array.from({ length: jobs }, (_, at) => at);
    const submitted = inTurns(names, async (at) => void (await call("POST", "/v1/jobs", jobOf(at, tasks))));
    const counted = async (): Promise<{ readonly pending: number; readonly running: number }> => {
      // In one request: this process is also the one that is measured.
      const { items } = (await call("GET", "/v1/jobs?limit=1000")) as {
        readonly items: readonly { readonly tasks: Readonly<Record<string, number>> }[];
      };
      const sum = (state: string): number => items.reduce((all, { tasks: counts }) => all + (counts[state] ?? 0), 0);
      return { pending: sum("pending"), running: sum("running") };
    };
    await submitted;
    let placedMs = 0;
    for (;;) {
      const { pending, running } = await counted();
      const now = performance.now() - begin;
      if (placedMs === 0 && pending === 0) placedMs = now;
      if (running === jobs * tasks) {
        const { system, user } = process.cpuUsage(cpu);
        return {
          placed: jobs * tasks,
          perSecond: (jobs * tasks) / (placedMs / 1000),
          runningPerSecond: (jobs * tasks) / (now / 1000),
          schedulerCpuSeconds: (system + user) / 1e6,
          residentBytes: process.memoryUsage().rss,
        };
      }
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  } finally {
    agents?.stdin?.end();
    await scheduler.close();
    rmSync(dataDir, { recursive: true, force: true });
  }
};
