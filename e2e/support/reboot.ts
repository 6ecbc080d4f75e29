/**
 * A host that starts again, as far as its agent can tell: every process of it is gone without a word, and what the runtime
 * has written down is of another boot. Whoever keeps the agent starts it again, as at any boot.
 */
import { randomUUID } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Cluster, Up } from "./cluster.ts";
import { eventually } from "./eventually.ts";
import { inside, isAlive, kill, processes } from "./processes.ts";

export const reboot = async (cluster: Cluster, up: Up, host: string, allocations: readonly string[]): Promise<void> => {
  kill(up.pid, "SIGSTOP");
  try {
    const agent = cluster.agentOf(host);
    kill(agent.pid, "SIGKILL");
    const all = new Map(processes().map((one) => [one.pid, one]));
    for (const { parent } of allocations.flatMap((id) => inside(id))) {
      // The supervisor first: it would write down how its container ended.
      if (all.get(parent)?.command[0]?.includes("supervisor") === true) kill(parent, "SIGKILL");
    }
    await eventually(
      "everything of the host is gone",
      () => allocations.every((id) => inside(id).length === 0) && !isAlive(agent.pid),
    );
    const runtime = join(cluster.dataDir, "hosts", host, "runtime");
    const bootId = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
    const another = randomUUID();
    for (const name of readdirSync(runtime, { recursive: true, encoding: "utf8" })) {
      if (!name.endsWith("status") && !name.endsWith("status.json")) continue;
      const path = join(runtime, name);
      writeFileSync(path, readFileSync(path, "utf8").replace(bootId, another));
    }
  } finally {
    kill(up.pid, "SIGCONT");
  }
};
