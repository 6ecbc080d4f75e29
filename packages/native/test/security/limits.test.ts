/** Rules 37 and 38: limits always exist, and what a workload does about being killed makes no difference. */
import { chmodSync, existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { openRuntime, type ContainerSpec } from "../../lib/index.ts";
import { holding, holdSupervisors } from "../holding.ts";
import { eventually, layout, processesWith, testHost } from "../host.ts";
import { childrenOf, isSetUp, ready } from "../standby.ts";
import { programs } from "./tools.ts";

const host = testHost();

/** C: every process of it, for ever, makes another and may end. */
const bomb = `#include <signal.h>
#include <unistd.h>
int main(void) {
  signal(SIGTERM, SIG_IGN);
  signal(SIGCHLD, SIG_IGN);
  for (int turn = 0;; turn++) if (fork() == 0 && turn > 3) _exit(0);
}`;
const tools = programs(host, { bomb, holding });

describe("memory and process limits", () => {
  test("are in the kernel before the program runs", async () => {
    const container = await host.start(["sleep", "1000"]);
    try {
      for (const hierarchy of layout.hierarchies) {
        const read = (file: string) =>
          readFileSync(join(hierarchy.path, host.cgroupParent, container.id, file), "utf8").trim();
        if (hierarchy.controllers.includes("memory"))
          expect(read(hierarchy.version === 1 ? "memory.limit_in_bytes" : "memory.max")).toBe(String(64 * 1024 * 1024));
        if (hierarchy.controllers.includes("pids")) expect(read("pids.max")).toBe("64");
      }
      expect(layout.hierarchies.flatMap((hierarchy) => hierarchy.controllers)).toEqual(
        expect.arrayContaining(["memory", "pids"]),
      );
    } finally {
      await container.stop({ signal: 9, graceMs: 0 });
      await container.remove();
    }
  });

  test("are waited for by what is born from a standby, which has everything else by then", async () => {
    const told = join(host.directory, "told");
    mkdirSync(told);
    chmodSync(told, 0o777);
    const stateDir = join(host.directory, "pooled");
    const runtime = await openRuntime({ stateDir, cgroupParent: host.cgroupParent, standby: 1 });
    try {
      await runtime.adopt();
      await eventually(() => ready(stateDir).length === 1);
      await sleep(200);
      const hold = await holdSupervisors(tools, stateDir, "sendto");
      const mounts = [{ source: told, target: "/told", readOnly: false }];
      const starting = runtime.start(host.spec(["touch", "/told/ran"], { mounts }));
      try {
        const init = childrenOf(await hold.held).at(-1) ?? 0;
        const ran = (): boolean => existsSync(join(told, "ran"));
        await eventually(() => ran() || isSetUp(init));
        await sleep(100);
        expect(ran()).toBe(false);
        expect(readFileSync(`/proc/${init}/task/${init}/children`, "utf8")).toBe("");
      } finally {
        await hold.release();
      }
      const result = await starting;
      if (!result.ok) throw new Error(JSON.stringify(result.error));
      expect(await result.value.exited).toMatchObject({ code: 0 });
      expect(existsSync(join(told, "ran"))).toBe(true);
      await result.value.remove();
    } finally {
      await runtime.close();
    }
  });

  test.each([
    ["memoryBytes", 0],
    ["memoryBytes", Number.POSITIVE_INFINITY],
    ["memoryBytes", undefined],
    ["pids", 0],
    ["pids", Number.POSITIVE_INFINITY],
    ["pids", undefined],
  ])("%s of %s is refused: there is no start without", async (name, value) => {
    const spec = host.spec(["true"]);
    const result = await host.runtime.start({ ...spec, limits: { ...spec.limits, [name]: value } } as ContainerSpec);
    expect(result).toMatchObject({ ok: false, error: { stage: "spec", code: "EINVAL" } });
  });
});

test("a container that forks as fast as it can is gone when stop returns", async () => {
  const marker = `fork-bomb-${process.pid}`;
  const container = await host.start(["bomb", marker], { layers: [tools, host.image] });
  await eventually(() => processesWith(marker).length > 5);
  await container.stop({ signal: 15, graceMs: 20 });
  expect(processesWith(marker)).toEqual([]);
  await container.remove();
  expect(host.cgroupsOf(container.id)).toEqual([]);
});
