/** One scheduler with its own nats-server and three hosts, as `berth up --hosts 3` puts them on one machine. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Cluster, kill, naming, type Up } from "../support/index.ts";
import type { Fault, Possible } from "./schedule.ts";
import { tailLog } from "./tail.ts";
import type { Answer, Instance, LetGo, World } from "./world.ts";

const HOSTS = 3;
const NAMES = ["host-1", "host-2", "host-3"];

const POSSIBLE: readonly Possible[] = [
  { kind: "kill", on: NAMES, weight: 2 },
  { kind: "kill", on: ["scheduler", "nats-server"], weight: 2 },
  { kind: "pause", on: NAMES, weight: 2 },
  { kind: "pause", on: ["scheduler", "nats-server"], weight: 2, longestMs: 8_000 },
  { kind: "partition", on: NAMES, weight: 2 },
  { kind: "restart", on: ["everything"], weight: 1 },
];

const gatewayOf = (tag: string): string => {
  const line = execFileSync("ip", ["-4", "-o", "address", "show", "dev", `berth-${tag}`], { encoding: "utf8" });
  return /inet (\S+?)\//.exec(line)?.[1] ?? "127.0.0.1";
};

const instanceOf = (cluster: Cluster): Instance => ({
  name: "scheduler",
  call: async (method, path, body, key): Promise<Answer | undefined> => {
    try {
      const answer = await cluster.fetch(path, {
        method,
        headers: {
          ...(body === undefined ? {} : { "content-type": "application/json" }),
          ...(key === undefined ? {} : { "idempotency-key": key }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal: AbortSignal.timeout(10_000),
      });
      return { status: answer.status, body: await answer.json() };
    } catch {
      return undefined;
    }
  },
});

export const single = async (): Promise<World> => {
  const cluster = new Cluster();
  const start = (): Promise<Up> => cluster.up("--hosts", String(HOSTS));
  let up = await start();

  const strike = async ({ kind, on }: Fault): Promise<LetGo | undefined> => {
    if (kind === "restart") {
      // Nobody can stop in order while paused.
      for (const { pid } of naming(cluster.dataDir)) kill(pid, "SIGCONT");
      up.child.kill("SIGTERM");
      await up.end();
      up = await start();
      await up.ready();
      return undefined;
    }
    if (kind === "partition") {
      const link = `bh${cluster.tag}-${on.replace("host-", "")}`;
      execFileSync("ip", ["link", "set", link, "down"]);
      return () => void execFileSync("ip", ["link", "set", link, "up"]);
    }
    const { scheduler, nats } = cluster.daemons();
    const found = on === "scheduler" ? scheduler : on === "nats-server" ? nats : [cluster.agentOf(on)];
    if (found.length === 0) throw new Error(`${on} does not run`);
    for (const { pid } of found) kill(pid, kind === "kill" ? "SIGKILL" : "SIGSTOP");
    return kind === "kill"
      ? undefined
      : () => {
          for (const { pid } of found) kill(pid, "SIGCONT");
        };
  };

  try {
    await up.ready();
    const tail = await tailLog({
      servers: [`nats://${gatewayOf(cluster.tag)}:${cluster.natsPort}`],
      seed: readFileSync(join(cluster.dataDir, "scheduler/control.nk"), "utf8"),
      ca: readFileSync(join(cluster.dataDir, "scheduler/tls/ca.crt"), "utf8"),
    });
    return {
      dataDir: cluster.dataDir,
      hosts: HOSTS,
      instances: [instanceOf(cluster)],
      possible: POSSIBLE,
      tail,
      strike,
      wrong: () => [],
      close: async () => {
        await tail.close();
        return cluster.close();
      },
    };
  } catch (error) {
    await cluster.close();
    throw error;
  }
};
