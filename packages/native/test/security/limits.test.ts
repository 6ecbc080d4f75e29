/** Rules 37 and 38: limits always exist, and what a workload does about being killed makes no difference. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { ContainerSpec } from "../../lib/index.ts";
import { eventually, layout, processesWith, testHost } from "../host.ts";
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
const tools = programs(host, { bomb });

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
