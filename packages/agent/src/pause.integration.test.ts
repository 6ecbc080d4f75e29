// A real container that stands still: until it is resumed or stopped, whatever becomes of the agent meanwhile.
import { afterAll, beforeAll, expect, test } from "vitest";
import type { AllocationId, ContainerUsage } from "@berth/schema";
import type { AgentProcess } from "./testing/agent-process.ts";
import { startCluster, type TestCluster } from "./testing/cluster.ts";
import { eventually } from "./testing/eventually.ts";
import { testSpec } from "./testing/fake-scheduler.ts";

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

const ask = (kind: "pause" | "resume", allocation: AllocationId) => made.scheduler.rpc({ kind, allocation });
const usage = (id: AllocationId): ContainerUsage | undefined =>
  (made.scheduler.heartbeats.at(-1)?.containers as Record<AllocationId, ContainerUsage> | undefined)?.[id];
const lines = async (id: AllocationId): Promise<number> => {
  const file = { kind: "stdout" } as const;
  const reply = await made.scheduler.rpc({
    ...{ kind: "read", allocation: id, file, offset: 0, maxBytes: 262_144, waitMs: 0 },
  });
  if (!reply.ok) throw new Error(JSON.stringify(reply.problem));
  return (
    Buffer.from((reply.value as { data: string }).data, "base64")
      .toString()
      .split("\n").length - 1
  );
};

test("it stands still, also while its agent is killed and comes back, and goes on where it was; stopped, it may clean up", async () => {
  const script = "trap 'echo bye; exit 0' TERM; while :; do echo tick; sleep 0.05; done";
  const id = made.scheduler.place(testSpec(["sh", "-c", script]));
  made.scheduler.publish();
  await eventually("it runs", async () => usage(id) !== undefined && (await lines(id)) > 2, tellLog);
  expect(usage(id)?.paused).toBeUndefined();

  expect(await ask("pause", id)).toEqual({ ok: true, value: {} });
  await eventually("a heartbeat says so", () => usage(id)?.paused, tellLog);
  expect(await ask("pause", id)).toEqual({ ok: true, value: {} });
  const before = await lines(id);
  await agent.kill("SIGKILL");
  made.scheduler.heartbeats.length = 0;
  await start();
  await eventually("the next agent says so as well", () => usage(id)?.paused, tellLog);
  expect(await lines(id)).toBe(before);

  expect(await ask("resume", id)).toEqual({ ok: true, value: {} });
  await eventually("it goes on", async () => (await lines(id)) > before + 2, tellLog);
  await eventually("a heartbeat says that", () => usage(id) !== undefined && usage(id)?.paused !== true, tellLog);

  expect(await ask("pause", id)).toEqual({ ok: true, value: {} });
  made.scheduler.wish(id, "stop");
  made.scheduler.publish();
  const end = await eventually("its end", () => made.scheduler.end(id), tellLog);
  expect(end).toMatchObject({ state: "exited", exit: { code: 0, cause: "stopped" } });
  for (const kind of ["pause", "resume"] as const)
    expect(await ask(kind, id)).toMatchObject({ ok: false, problem: { code: "allocation.not_running" } });
});
