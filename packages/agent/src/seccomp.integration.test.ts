// The filter of system calls through real containers: there unless the document and the host's operator both say otherwise.
import { afterEach, expect, test } from "vitest";
import type { AllocationId, JobSpec } from "@berth/schema";
import { startCluster, type TestCluster } from "./testing/cluster.ts";
import { eventually } from "./testing/eventually.ts";
import { testSpec } from "./testing/fake-scheduler.ts";

let made: TestCluster | undefined;
afterEach(() => made?.close());

const clusterWith = async (flags: readonly string[]): Promise<TestCluster> => {
  made = await startCluster(flags);
  await made.startAgent();
  const { scheduler } = made;
  await eventually("a hello", () => scheduler.hellos.at(-1));
  return made;
};
const run = async ({ scheduler }: TestCluster, container: JobSpec["container"]) => {
  const script = "grep -E '^(Seccomp|NoNewPrivs):' /proc/self/status | tr -d '\\t'";
  const spec = testSpec(["sh", "-c", script], container === undefined ? {} : { container });
  const id: AllocationId = scheduler.place(spec);
  scheduler.publish();
  const { exit, state } = await eventually(`the end of ${id}`, () => scheduler.end(id));
  return { state, code: exit?.code, detail: exit?.detail, stdout: await scheduler.stdoutOf(id, "") };
};

test("a host that permits it says so, and does without the filter where the document asks for that, nowhere else", async () => {
  const cluster = await clusterWith(["--unconfined-seccomp"]);
  expect(cluster.scheduler.hellos.at(-1)?.inventory.unconfinedSeccomp).toBe(true);
  expect(await run(cluster, { seccomp: "unconfined" })).toMatchObject({ code: 0, stdout: "NoNewPrivs:1\nSeccomp:0\n" });
  expect(await run(cluster, undefined)).toMatchObject({ code: 0, stdout: "NoNewPrivs:1\nSeccomp:2\n" });
});

test("a host that does not permit it says nothing of it, and starts no such container whatever a document says", async () => {
  const cluster = await clusterWith([]);
  expect(cluster.scheduler.hellos.at(-1)?.inventory).not.toHaveProperty("unconfinedSeccomp");
  expect(await run(cluster, { seccomp: "unconfined" })).toMatchObject({
    state: "failed",
    detail: expect.stringContaining("unconfined is not allowed by this host's policy"),
  });
  expect(await run(cluster, undefined)).toMatchObject({ code: 0, stdout: "NoNewPrivs:1\nSeccomp:2\n" });
});
