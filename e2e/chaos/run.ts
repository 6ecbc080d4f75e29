/** A cluster of three hosts in network namespaces under a schedule of faults, with users who go on meanwhile. */
import { execFileSync } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { Cluster, eventually, kill, type Up } from "../support/index.ts";
import { scheduleOf, type Fault } from "./schedule.ts";
import { alive, findings, readLog } from "./witness.ts";

const HOSTS = 3;
const SAMPLE_MS = 250;
const SUBMIT_MS = 700;

export interface Outcome {
  /** What must never be, and was. */
  readonly wrong: readonly string[];
  readonly faults: number;
  readonly accepted: number;
  readonly transactions: number;
  readonly samples: number;
}

const job = (name: string, more: object) => ({
  name,
  image: "builtin://busybox",
  resources: { cpu: { request: "10m" }, memory: { request: "16Mi" }, pids: 16 },
  timeouts: { stop: "1s" },
  ...more,
});
const service = { kind: "service", command: ["sh", "-c", "trap exit TERM; while true; do sleep 1 & wait $!; done"] };

const gatewayOf = (tag: string): string => {
  const line = execFileSync("ip", ["-4", "-o", "address", "show", "dev", `berth-${tag}`], { encoding: "utf8" });
  return /inet (\S+?)\//.exec(line)?.[1] ?? "127.0.0.1";
};

export const runChaos = async (options: {
  readonly seed: number;
  readonly durationMs: number;
  /** A pause or a partition lasts this long at most. */
  readonly longestMs?: number;
  readonly say: (line: string) => void;
}): Promise<Outcome> => {
  const { say, seed, durationMs } = options;
  const cluster = new Cluster();
  const accepted: string[] = [];
  const samples: Set<string>[] = [];
  /** How to let go of what is held now. */
  const held = new Set<() => void>();
  let running = true;
  let up: Up = await cluster.up("--hosts", String(HOSTS));

  const hold = (forMs: number, letGo: () => void): void => {
    const once = (): void => {
      if (held.delete(once)) letGo();
    };
    held.add(once);
    setTimeout(once, forMs);
  };
  const strike = async (fault: Fault): Promise<void> => {
    if (fault.kind === "restart") {
      for (const letGo of held) letGo();
      up.child.kill("SIGTERM");
      await up.end();
      up = await cluster.up("--hosts", String(HOSTS));
      await up.ready();
      return;
    }
    if (fault.kind === "partition") {
      const link = (state: string) => execFileSync("ip", ["link", "set", `bh${cluster.tag}-${fault.host}`, state]);
      link("down");
      hold(fault.forMs, () => void link("up"));
      return;
    }
    const { scheduler, nats } = cluster.daemons();
    const found =
      fault.what === "agent" ? [cluster.agentOf(`host-${fault.host}`)] : fault.what === "scheduler" ? scheduler : nats;
    for (const { pid } of found) {
      kill(pid, fault.kind === "kill" ? "SIGKILL" : "SIGSTOP");
      if (fault.kind === "pause") hold(fault.forMs, () => kill(pid, "SIGCONT"));
    }
  };
  const sample = async (): Promise<void> => {
    while (running) {
      samples.push(alive());
      await sleep(SAMPLE_MS);
    }
  };
  const submit = async (name: string, more: object): Promise<boolean> => {
    const answer = await cluster
      .fetch("/v1/jobs", {
        method: "POST",
        headers: { "content-type": "application/json", "idempotency-key": `chaos-${name}` },
        body: JSON.stringify(job(name, more)),
        signal: AbortSignal.timeout(5_000),
      })
      .catch(() => undefined);
    if (answer?.ok === true && !accepted.includes(name)) accepted.push(name);
    return answer?.ok === true;
  };
  const users = async (): Promise<void> => {
    for (let at = 0; running; at += 1) {
      await submit(`b-${at}`, { kind: "batch", command: ["sh", "-c", `sleep ${at % 4}`] });
      await sleep(SUBMIT_MS);
    }
  };

  let wrong: string[] = [];
  let transactions = 0;
  let faults = 0;
  const background: Promise<void>[] = [];
  try {
    await up.ready();
    await eventually(
      "hosts are ready",
      async () => (await cluster.hosts()).filter((h) => h.state === "ready").length === HOSTS,
    );
    await submit("web", { ...service, replicas: 3 });
    await submit("alone", { ...service, replicas: 1, disconnect: { singleton: true } });
    background.push(sample(), users());
    const startMs = performance.now();
    for (const { atMs, fault } of scheduleOf(seed, durationMs, HOSTS, options.longestMs)) {
      await sleep(Math.max(0, startMs + atMs - performance.now()));
      if (performance.now() - startMs > durationMs) break;
      say(`${((performance.now() - startMs) / 1_000).toFixed(1)} s: ${JSON.stringify(fault)}`);
      // What is to be struck may be dead already: it is one fault less.
      await strike(fault).then(
        () => (faults += 1),
        (error: unknown) => say(`  not now: ${error instanceof Error ? error.message : String(error)}`),
      );
    }
    await sleep(Math.max(0, startMs + durationMs - performance.now()));
    for (const letGo of [...held]) letGo();
    await eventually(
      "all is well again",
      async () => {
        const [hosts, web, alone] = await Promise.all([cluster.hosts(), cluster.job("web"), cluster.job("alone")]);
        return hosts.every((one) => one.state === "ready") && web.tasks.running === 3 && alone.tasks.running === 1;
      },
      120_000,
    ).catch((error: unknown) => wrong.push(error instanceof Error ? error.message : String(error)));
    running = false;
    await Promise.all(background);
    const log = await readLog(cluster.dataDir, cluster.natsPort, gatewayOf(cluster.tag));
    transactions = log.length;
    wrong = [...wrong, ...(await findings({ dataDir: cluster.dataDir, log, accepted, samples }))];
  } finally {
    running = false;
    for (const letGo of [...held]) letGo();
    await Promise.allSettled(background);
    wrong = [...wrong, ...(await cluster.close())];
  }
  return { wrong, faults, accepted: accepted.length, transactions, samples: samples.length };
};
