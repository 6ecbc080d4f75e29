/**
 * A cluster on one machine as a set of processes: the scheduler (which keeps its own nats-server), then an agent for each
 * host. Starts them in that order and stops them in the other. Containers belong to none of these processes: whatever
 * happens to them here, containers go on.
 */
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { decoder, EnrolledSchema, formatBytes, formatCpu, Routes, type Enrolled, type Resources } from "@berth/schema";
import { createClient, type Client } from "../client/client.ts";
import { listHosts } from "../client/queries.ts";
import { clientFilePath } from "../client/connection.ts";
import { Exit, Failure } from "../failure.ts";
import { startChild, type Child, type ChildEvents, type ReadyLine } from "./child.ts";
import { LOOPBACK } from "./defaults.ts";
import { writeWhole } from "./files.ts";
import { inNamespace, makeNetwork } from "./network.ts";
import type { NetworkPlan } from "./network-plan.ts";
import type { Records } from "./records.ts";
import { furtherFlags, permissionFlags, planHosts, type HostPlan, type Permissions } from "./shares.ts";

const decodeEnrolled = decoder(EnrolledSchema);

/** A scheduler that has a long log to read needs a while. */
const SCHEDULER_READY_MS = 120_000;
export const AGENT_READY_MS = 60_000;
const REGISTER_MS = 20_000;
const REGISTER_STEP_MS = 200;
const AGENT_GRACE_MS = 15_000;
const SCHEDULER_GRACE_MS = 25_000;

export interface ClusterOptions extends Permissions {
  readonly dataDir: string;
  readonly apiHost: string;
  readonly apiPort: number;
  readonly natsPort: number;
  /** Where other machines reach this cluster. Undefined: nowhere. */
  readonly listen: { readonly host: string; readonly port: number } | undefined;
  /** Undefined: one host that is the whole machine. */
  readonly hosts: number | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly records: Records;
}

/** What there is to tell while it comes up, runs and ends. */
export interface ClusterEvents {
  readonly onStep: (text: string) => void;
  readonly onDone: (name: string, text: string) => void;
  readonly onDeath: (name: string, why: string, waitMs: number) => void;
  readonly onReadyAgain: (name: string) => void;
}

export interface Cluster {
  readonly client: Client;
  readonly hosts: readonly HostPlan[];
  /** In order: agents, then the scheduler with its nats-server. Tells each step. */
  readonly stop: () => Promise<void>;
}

const script = (name: "agent" | "scheduler"): string =>
  fileURLToPath(new URL(`../../../${name}/dist/main.js`, import.meta.url));

export const agentScript = (): string => script("agent");

export const hostDir = (dataDir: string, id: string): string => join(dataDir, "hosts", id);

/** Hosts that have ever run in this data directory. */
export const knownHosts = (dataDir: string): string[] => {
  try {
    return readdirSync(join(dataDir, "hosts"), { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name)
      .toSorted();
  } catch {
    return [];
  }
};

/** `declared`: further dimensions that the operator says the machine has. */
export const planMachine = (
  hosts: number | undefined,
  allocatable: Resources,
  declared: Readonly<Record<string, number>>,
): HostPlan[] => planHosts(hosts, hostname(), allocatable, declared);

/** Starts everything, or stops what it had started and rejects with the reason. */
export const startCluster = async (
  options: ClusterOptions,
  plans: readonly HostPlan[],
  events: ClusterEvents,
): Promise<Cluster> => {
  const started: { readonly name: string; readonly child: Child; readonly graceMs: number }[] = [];
  const stop = async (): Promise<void> => {
    const agents = started.filter((one) => one.name !== "scheduler");
    const stopOne = async (one: (typeof started)[number]): Promise<void> => {
      await one.child.stop(one.graceMs);
      events.onDone(one.name, "stopped");
    };
    await Promise.all(agents.map(stopOne));
    for (const one of started.filter(({ name }) => name === "scheduler")) await stopOne(one);
  };
  try {
    mkdirSync(join(options.dataDir, "logs"), { recursive: true, mode: 0o700 });
    const network = options.hosts === undefined ? undefined : await setUpNetwork(options, plans, events);
    events.onStep("scheduler: starting");
    const scheduler = await startChild(schedulerSpec(options, network), eventsFor("scheduler", options, events));
    started.push({ name: "scheduler", child: scheduler.child, graceMs: SCHEDULER_GRACE_MS });
    const found = parseSchedulerReady(scheduler.info);
    const client = clientFor(options.dataDir, found);
    events.onDone("scheduler", `ready, ${found.api}`);
    for (const plan of plans) {
      const name = `host ${plan.id}`;
      events.onStep(`${name}: starting`);
      const agent = await startAgent(
        options,
        { plan, network, client, natsUrls: found.natsUrls, natsCa: found.natsCa },
        events,
      );
      started.push({ name, child: agent, graceMs: AGENT_GRACE_MS });
    }
    await registered(client, plans, events);
    return { client, hosts: plans, stop };
  } catch (error) {
    await stop();
    throw error;
  }
};

/** An agent registers within a second of its start; a host that does not is told about and waited for no longer. */
const registered = async (client: Client, plans: readonly HostPlan[], events: ClusterEvents): Promise<void> => {
  const waiting = new Map(plans.map((plan) => [plan.id, plan]));
  const until = performance.now() + REGISTER_MS;
  while (waiting.size > 0 && performance.now() < until) {
    const { items } = await listHosts(client, { bridge: true, patienceMs: REGISTER_MS });
    for (const host of items) {
      if (host.state !== "ready" || host.lastHeartbeatAgoMs === null || !waiting.delete(host.id)) continue;
      const { cpuMillis, memoryBytes } = host.capacity.allocatable;
      events.onDone(
        `host ${host.id}`,
        `ready, ${formatCpu(cpuMillis)} CPUs and ${formatBytes(memoryBytes)} for containers`,
      );
    }
    if (waiting.size > 0) await sleep(REGISTER_STEP_MS);
  }
  for (const id of waiting.keys()) events.onDone(`host ${id}`, "started, but has not registered yet; see: berth hosts");
};

const setUpNetwork = async (
  options: ClusterOptions,
  plans: readonly HostPlan[],
  events: ClusterEvents,
): Promise<NetworkPlan> => {
  events.onStep("network: setting up");
  const network = await makeNetwork(
    options.dataDir,
    plans.map((plan) => plan.id),
  );
  events.onDone(
    "network",
    `${plans.length} namespaces on bridge ${network.bridge}, ${network.gateway}/${network.prefixLength}`,
  );
  return network;
};

const eventsFor = (name: string, options: ClusterOptions, events: ClusterEvents): ChildEvents => ({
  onProcess: (process) => options.records.remember(name, process),
  onDeath: (why, waitMs) => events.onDeath(name, why, waitMs),
  onReadyAgain: () => events.onReadyAgain(name),
});

const schedulerSpec = (options: ClusterOptions, network: NetworkPlan | undefined) => ({
  name: "scheduler",
  command: process.execPath,
  args: [
    script("scheduler"),
    ...["--data-dir", options.dataDir],
    ...["--api-host", options.apiHost, "--api-port", String(options.apiPort)],
    // A namespace of ours reaches every address of this machine through its gateway.
    ...["--nats-host", options.listen?.host ?? network?.gateway ?? LOOPBACK, "--nats-port", String(options.natsPort)],
    ...(options.listen === undefined
      ? []
      : ["--listen", options.listen.host, "--listen-port", String(options.listen.port)]),
    "--exit-with-parent",
  ],
  env: options.env,
  logFile: join(options.dataDir, "logs", "scheduler.log"),
  readyTimeoutMs: SCHEDULER_READY_MS,
});

interface SchedulerReady {
  readonly api: string;
  readonly apiCa: string | undefined;
  readonly natsUrls: readonly string[];
  readonly natsCa: string | undefined;
  readonly token: string;
}

const textOr = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined);

const parseSchedulerReady = (info: ReadyLine): SchedulerReady => {
  const { api, natsUrls, tokenFile } = info;
  const urls =
    Array.isArray(natsUrls) && natsUrls.every((url): url is string => typeof url === "string") ? natsUrls : undefined;
  if (typeof api !== "string" || typeof tokenFile !== "string" || urls === undefined) {
    throw new Failure("The scheduler does not say where it is", {
      exit: Exit.bug,
      detail: "its first line lacks api, natsUrls or tokenFile",
      next: ["npm run setup     (builds everything of one version)"],
    });
  }
  const token = readFileSync(tokenFile, "utf8").trim();
  return { api, apiCa: textOr(info["apiCa"]), natsUrls: urls, natsCa: textOr(info["natsCa"]), token };
};

const clientFor = (dataDir: string, { api, apiCa, token }: SchedulerReady): Client => {
  const ca = apiCa === undefined ? {} : { ca: apiCa };
  writeWhole(clientFilePath(dataDir), `${JSON.stringify({ api, token, ...ca })}\n`);
  return createClient({ api: new URL(api), token, ...ca });
};

interface AgentStart {
  readonly plan: HostPlan;
  readonly network: NetworkPlan | undefined;
  readonly client: Client;
  readonly natsUrls: readonly string[];
  readonly natsCa: string | undefined;
}

/** The host's key is made on the host; only its public half is told. */
const enrol = async (
  options: ClusterOptions,
  { plan, client }: AgentStart,
): Promise<{ readonly seedFile: string; readonly enrolled: Enrolled }> => {
  const { ensureIdentity } = await import("@berth/agent");
  const dataDir = hostDir(options.dataDir, plan.id);
  mkdirSync(dataDir, { recursive: true, mode: 0o711 });
  const { seedFile, publicKey } = await ensureIdentity(dataDir);
  const answer = await client.post(
    decodeEnrolled,
    Routes.hosts,
    { id: plan.id, publicKey },
    { bridge: true, patienceMs: 30_000 },
  );
  return { seedFile, enrolled: answer.value };
};

const startAgent = async (options: ClusterOptions, start: AgentStart, events: ClusterEvents): Promise<Child> => {
  const { plan, network } = start;
  const { seedFile, enrolled } = await enrol(options, start);
  const dataDir = hostDir(options.dataDir, plan.id);
  const keyFile = join(dataDir, "cluster.pub");
  writeWhole(keyFile, enrolled.clusterKey);
  const caFile = join(dataDir, "nats-ca.pem");
  if (start.natsCa !== undefined) writeWhole(caFile, start.natsCa);
  const words = [
    process.execPath,
    script("agent"),
    ...["--host", plan.id, "--data-dir", dataDir],
    ...start.natsUrls.flatMap((url) => ["--nats-url", url]),
    ...["--seed-file", seedFile, "--cluster-key-file", keyFile],
    ...(start.natsCa === undefined ? [] : ["--nats-ca-file", caFile]),
    ...["--id-base", String(plan.idBase), "--id-count", String(plan.idCount)],
    ...shareFlags(plan.share),
    ...furtherFlags(plan.further),
    ...permissionFlags(options),
    "--exit-with-parent",
  ];
  const inside = network?.hosts.find((host) => host.id === plan.id);
  const [command = "", ...args] = inside === undefined ? words : [...inNamespace(inside.namespace), ...words];
  const spec = {
    name: `host ${plan.id}`,
    command,
    args,
    env: options.env,
    logFile: join(options.dataDir, "logs", `agent-${plan.id}.log`),
    readyTimeoutMs: AGENT_READY_MS,
  };
  return (await startChild(spec, eventsFor(spec.name, options, events))).child;
};

/** Quantities as the agent reads them: thousandths of a CPU, plain bytes. */
const shareFlags = (share: Resources | undefined): string[] =>
  share === undefined
    ? []
    : ["--cpu", `${share.cpuMillis}m`, "--memory", String(share.memoryBytes), "--pids", String(share.pids)];
