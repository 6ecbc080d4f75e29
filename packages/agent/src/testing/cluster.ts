/** One host, one fake scheduler, one real nats-server, one real data directory; everything is gone after `close`. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { rmdirSync, readdirSync, existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { nkeys } from "nats";
import type { HostId } from "@berth/schema";
import { ensureIdentity } from "../adapters/nats/identity.ts";
import { stopAllContainers } from "../stop-all.ts";
import { startAgentProcess, type AgentProcess } from "./agent-process.ts";
import { eventually } from "./eventually.ts";
import { clusterKeys, FakeScheduler } from "./fake-scheduler.ts";
import { startNatsServer, type TestServer } from "./nats-server.ts";

export interface TestCluster {
  readonly dataDir: string;
  readonly cgroupParent: string;
  readonly host: HostId;
  readonly scheduler: FakeScheduler;
  readonly server: TestServer;
  readonly startAgent: (...more: readonly string[]) => Promise<AgentProcess>;
  /** The same, once the scheduler has welcomed it. */
  readonly welcomeAgent: () => Promise<AgentProcess>;
  readonly close: () => Promise<void>;
}

/** `flags` are those of every agent that is started here. */
export const startCluster = async (flags: readonly string[] = ["--host-path", "/"]): Promise<TestCluster> => {
  const root = await mkdtemp(join(tmpdir(), "berth-agent-"));
  const dataDir = join(root, "host");
  const host = "h1" as HostId;
  const keys = clusterKeys();
  const keyFile = join(root, "cluster.pem");
  await writeFile(keyFile, keys.pem);
  const { publicKey, seedFile } = await ensureIdentity(dataDir);
  const control = nkeys.createUser();
  const server = await startNatsServer(control.getPublicKey(), [{ host, publicKey }]);
  const scheduler = new FakeScheduler(host, keys.privateKey);
  await scheduler.connect(server.url, control.getSeed());
  const cgroupParent = basename(root);
  const agents: AgentProcess[] = [];
  const startAgent = async (...more: readonly string[]): Promise<AgentProcess> => {
    const agent = await startAgentProcess([
      ...["--host", host, "--data-dir", dataDir, "--nats-url", server.url],
      ...[
        "--seed-file",
        seedFile,
        "--cluster-key-file",
        keyFile,
        "--cgroup-parent",
        cgroupParent,
        "--log-level",
        "debug",
      ],
      ...flags,
      ...more,
    ]);
    agents.push(agent);
    return agent;
  };
  return {
    cgroupParent,
    dataDir,
    host,
    scheduler,
    server,
    startAgent,
    welcomeAgent: async () => {
      const agent = await startAgent();
      const isWelcome = () => agent.log.some((line) => line.includes('"session.welcome"'));
      await eventually("the agent is welcome", isWelcome, () => agent.log.join("\n"));
      return agent;
    },
    close: async () => {
      for (const agent of agents) await agent.kill("SIGKILL");
      await stopAllContainers(dataDir);
      await scheduler.close();
      await server.close();
      await rm(root, { recursive: true, force: true });
      removeCgroups(cgroupParent);
    },
  };
};

const removeCgroups = (parent: string): void => {
  for (const hierarchy of ["", ...readdirSync("/sys/fs/cgroup")]) {
    const directory = join("/sys/fs/cgroup", hierarchy, parent);
    if (!existsSync(directory)) continue;
    for (const name of readdirSync(directory, { withFileTypes: true })) {
      if (name.isDirectory()) rmdirSync(join(directory, name.name));
    }
    rmdirSync(directory);
  }
};
