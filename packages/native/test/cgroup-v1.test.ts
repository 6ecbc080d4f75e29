/** A host without any v2 hierarchy, played by ignoring the one that is there: v1 alone has to do everything. */
import { appendFileSync, existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openRuntime, type Container, type ContainerSpec, type Runtime } from "../lib/index.ts";
import { eventually, layout, processExists, supervisorOf, testHost, v1Layout } from "./host.ts";

const host = testHost();
const v1 = v1Layout;
const hasV1 = layout.kind !== "v2";

describe.runIf(hasV1)("cgroup v1 alone, on hosts that have v1", () => {
  let runtime: Runtime;
  beforeAll(async () => {
    runtime = await openRuntime({
      stateDir: join(host.directory, "v1"),
      cgroupParent: host.cgroupParent,
      cgroupLayout: v1,
    });
  });
  afterAll(async () => {
    await runtime.close();
  });
  const start = async (command: readonly string[], more: Partial<ContainerSpec> = {}) => {
    const result = await runtime.start(host.spec(command, more));
    if (!result.ok) throw new Error(JSON.stringify(result.error));
    return result.value;
  };

  test("is what the runtime says it uses", () => {
    expect(runtime.features()).toMatchObject({ cgroup: "v1", missing: [] });
    expect([...runtime.features().controllers].sort()).toEqual(["cpu", "cpuacct", "freezer", "memory", "pids"]);
  });

  test("limits memory and tells oom", async () => {
    const container = await start(["tail", "-c", "200000000", "/dev/zero"], {
      limits: { cpuRequestMillis: 100, cpuLimitMillis: null, memoryBytes: 24 * 1024 * 1024, pids: 8 },
    });
    expect(await container.exited).toMatchObject({ code: 137, oom: true, cause: "oom" });
    await container.remove();
  });

  test("counts CPU time and processes", async () => {
    const container = await start(["sh", "-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; sleep 1000"]);
    await eventually(async () => (await container.stats()).cpuUsageMicros > 5000);
    expect((await container.stats()).pids).toBeGreaterThanOrEqual(2);
    await container.stop({ signal: 9, graceMs: 0 });
    await container.remove();
  });

  /** Also when the test fails, as what stands still cannot be ended. */
  const whenFrozen = async (container: Container, work: () => Promise<void>): Promise<void> => {
    const freezer = v1.hierarchies.find((hierarchy) => hierarchy.controllers.includes("freezer"))?.path ?? "";
    const file = join(freezer, host.cgroupParent, container.id, "freezer.state");
    appendFileSync(file, "FROZEN");
    try {
      await eventually(() => readFileSync(file, "utf8") === "FROZEN\n");
      await work();
    } finally {
      if (existsSync(file)) appendFileSync(file, "THAWED");
    }
  };

  test("kills a frozen container", async () => {
    const container = await start(["sleep", "1000"]);
    await whenFrozen(container, async () => {
      expect(await container.stop({ signal: 15, graceMs: 0 })).toMatchObject({ signal: 9 });
      expect(processExists(container.pid ?? 0)).toBe(false);
    });
    await container.remove();
  });

  test("kills a frozen container without its supervisor", async () => {
    const container = await start(["sleep", "1000"]);
    await whenFrozen(container, async () => {
      process.kill(supervisorOf(container.pid ?? 0), "SIGKILL");
      expect(await container.exited).toMatchObject({ cause: "supervisor_lost" });
      expect(processExists(container.pid ?? 0)).toBe(false);
    });
    await container.remove();
  });
});
