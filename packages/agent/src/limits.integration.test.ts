// A real container whose job gets other limits: they hold without a restart, whatever becomes of the agent meanwhile.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { AllocationId, ContainerUsage } from "@berth/schema";
import type { AgentProcess } from "./testing/agent-process.ts";
import { startCluster, type TestCluster } from "./testing/cluster.ts";
import { eventually } from "./testing/eventually.ts";
import { testSpec } from "./testing/fake-scheduler.ts";

const MIB = 2 ** 20;
let made: TestCluster;
let agent: AgentProcess;
const tellLog = (): string => agent.log.join("\n");
const start = async (): Promise<void> => {
  agent = await made.welcomeAgent();
};
beforeAll(async () => {
  made = await startCluster();
  await start();
});
afterAll(() => made.close());

const usage = (id: AllocationId): ContainerUsage | undefined =>
  (made.scheduler.heartbeats.at(-1)?.containers as Record<AllocationId, ContainerUsage> | undefined)?.[id];

/** What the kernel holds it to: of whichever version and hierarchy. */
const kernel = (id: AllocationId, v1: string, v2: string): string | undefined => {
  for (const hierarchy of ["", ...readdirSync("/sys/fs/cgroup")]) {
    const parent = join("/sys/fs/cgroup", hierarchy, made.cgroupParent, id);
    for (const name of [v1, v2])
      if (existsSync(join(parent, name))) return readFileSync(join(parent, name), "utf8").trim();
  }
  return undefined;
};
const memory = (id: AllocationId) => kernel(id, "memory.limit_in_bytes", "memory.max");
const quota = (id: AllocationId): number => {
  const [most, period] = (kernel(id, "cpu.cfs_quota_us", "cpu.max") ?? "").split(" ").map(Number);
  return (most ?? 0) / (period ?? Number(kernel(id, "cpu.cfs_period_us", "")));
};

test("other limits reach what runs, through a kill of the agent, and what the host refuses leaves the former ones and is told", async () => {
  const script = "tail -c 24m /dev/zero | tail & sleep 1000";
  const id = made.scheduler.place(testSpec(["sh", "-c", script]));
  const limits = { cpuMillis: 1500, memoryBytes: 96 * MIB, pids: 32 };
  made.scheduler.publish();
  await eventually("it runs and uses memory", () => (usage(id)?.memoryBytes ?? 0) > 20 * MIB, tellLog);
  expect(memory(id)).toBe(`${64 * MIB}`);
  const starts = () => agent.log.filter((line) => line.includes('"allocation.running"')).length;
  expect(starts()).toBe(1);

  made.scheduler.limit(id, limits);
  made.scheduler.publish();
  await eventually("the kernel has them", () => memory(id) === `${96 * MIB}` && quota(id) === 1.5, tellLog);
  expect(starts()).toBe(1);

  // Told while no agent is there.
  await agent.kill("SIGKILL");
  made.scheduler.limit(id, { ...limits, memoryBytes: 80 * MIB });
  made.scheduler.rev += 1;
  await start();
  await eventually("the next agent brings them", () => memory(id) === `${80 * MIB}`, tellLog);

  // Less than it uses: nobody is killed for that.
  made.scheduler.limit(id, { ...limits, memoryBytes: 8 * MIB });
  made.scheduler.publish();
  const why = await eventually("a heartbeat says why not", () => usage(id)?.limitsRefused, tellLog);
  expect(why).toContain("EBUSY");
  expect(memory(id)).toBe(`${80 * MIB}`);
  made.scheduler.limit(id, limits);
  made.scheduler.publish();
  await eventually("what it can do holds again", () => memory(id) === `${96 * MIB}`, tellLog);
  await eventually(
    "and no more is said",
    () => usage(id) !== undefined && usage(id)?.limitsRefused === undefined,
    tellLog,
  );
  expect(made.scheduler.end(id)).toBeUndefined();
});
