/** An agent process against a real nats-server and the real kernel; the scheduler is a fake that speaks the schema. */
import { afterEach, expect, test } from "vitest";
import type { AllocationId, Chunk } from "@berth/schema";
import { startCluster, type TestCluster } from "./testing/cluster.ts";
import { eventually } from "./testing/eventually.ts";
import { testSpec } from "./testing/fake-scheduler.ts";
import type { AgentProcess } from "./testing/agent-process.ts";

const clusters: TestCluster[] = [];

const cluster = async (): Promise<TestCluster> => {
  const made = await startCluster();
  clusters.push(made);
  return made;
};

afterEach(async () => {
  for (const made of clusters.splice(0)) await made.close();
});

const ended = (made: TestCluster, agent: AgentProcess, id: AllocationId) =>
  eventually(
    `${id} ends`,
    () => made.scheduler.end(id),
    () => `${JSON.stringify(made.scheduler.reports)}\n${agent.log.join("\n")}`,
  );

const readAll = async (made: TestCluster, allocation: AllocationId, kind: "stdout" | "stderr"): Promise<string> => {
  let text = "";
  for (let offset = 0; ;) {
    const reply = await made.scheduler.rpc({
      kind: "read",
      allocation,
      file: { kind },
      offset,
      maxBytes: 65_536,
      waitMs: 5000,
    });
    if (!reply.ok) throw new Error(JSON.stringify(reply.problem));
    const chunk = reply.value as Chunk;
    const data = Buffer.from(chunk.data, "base64");
    text += data.toString();
    offset += data.length;
    if (chunk.done) return text;
  }
};

test("a job runs: its states are reported, its exit code arrives, its output can be read", async () => {
  const made = await cluster();
  const agent = await made.startAgent();
  const spec = testSpec(["sh", "-c", "echo hello $BERTH_JOB ${INDEX} of ${COUNT}; echo oops >&2; exit 3"], {
    count: 5,
  });
  const id = made.scheduler.place(spec, { index: 2 });
  made.scheduler.publish();
  const report = await ended(made, agent, id);
  expect(report).toMatchObject({ state: "exited", exit: { code: 3, cause: "exited", signal: null, oom: false } });
  expect(await readAll(made, id, "stdout")).toBe("hello test 2 of 5\n");
  expect(await readAll(made, id, "stderr")).toBe("oops\n");
});
