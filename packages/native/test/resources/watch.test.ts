/** Events arrive when the kernel has them, and whoever watches leaves nothing behind. */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { openRuntime, type ContainerEvent, type Runtime } from "../../lib/index.ts";
import { eventually, layout, testHost, v1Layout } from "../host.ts";

const host = testHost();
const kinds: readonly ("this host" | "v1 alone")[] = layout.kind === "v2" ? ["this host"] : ["this host", "v1 alone"];
const limits = { cpuRequestMillis: 100, cpuLimitMillis: null, memoryBytes: 24 * 2 ** 20, pids: 16 };
const descriptors = () =>
  readdirSync("/proc/self/fd").filter((fd) => {
    try {
      return /pressure|memory\.events|eventfd/.test(readlinkSync(`/proc/self/fd/${fd}`));
    } catch {
      return false;
    }
  }).length;
const hasPsi = (() => {
  try {
    return readFileSync("/proc/pressure/memory", "utf8") !== "";
  } catch {
    return false;
  }
})();
/** That of single cgroups stands in the v2 hierarchy. */
const tellsPressure = (kind: "this host" | "v1 alone") => hasPsi && kind === "this host" && layout.kind !== "v1";
const cpuPressure = { resource: "cpu", level: "some", stallMs: 50, windowMs: 500 } as const;
const memoryPressure = { resource: "memory", level: "some", stallMs: 1, windowMs: 500 } as const;
const busy = "while :; do :; done & while :; do :; done & while :; do :; done & while :; do :; done";

describe.each(kinds)("on %s", (kind) => {
  const withRuntime = async (use: (runtime: Runtime) => Promise<void>) => {
    const runtime = await openRuntime({
      stateDir: join(host.directory, kind === "v1 alone" ? "v1" : "own"),
      cgroupParent: host.cgroupParent,
      ...(kind === "v1 alone" ? { cgroupLayout: v1Layout } : {}),
    });
    try {
      await use(runtime);
    } finally {
      await runtime.close();
    }
  };
  const start = async (runtime: Runtime, script: string, more: Partial<typeof limits> = {}) => {
    const result = await runtime.start(host.spec(["sh", "-c", script], { limits: { ...limits, ...more } }));
    if (!result.ok) throw new Error(JSON.stringify(result.error));
    return result.value;
  };

  test("each kill by the memory limit is told while the container runs on", async () => {
    await withRuntime(async (runtime) => {
      const container = await start(runtime, "while :; do tail -c 100000000 /dev/zero; sleep 0.3; done");
      const before = descriptors();
      const events: ContainerEvent[] = [];
      const watch = await container.watch((event) => events.push(event));
      expect(watch.unavailable).toEqual([]);
      expect(descriptors()).toBe(before + 1);
      await eventually(() => events.length >= 2);
      expect(events[0]).toMatchObject({ kind: "oom" });
      watch.close();
      await eventually(() => descriptors() === before);
      await container.stop({ signal: 9, graceMs: 0 });
      await container.remove();
    });
  });

  test("the kill that ends a container is told once, and the watch ends with it", async () => {
    await withRuntime(async (runtime) => {
      const before = descriptors();
      const container = await start(runtime, "sleep 0.2; exec tail -c 100000000 /dev/zero");
      const events: ContainerEvent[] = [];
      await container.watch((event) => events.push(event));
      expect(await container.exited).toMatchObject({ cause: "oom" });
      await eventually(() => events.length > 0 && descriptors() === before);
      await new Promise((resolve) => setTimeout(resolve, 200));
      expect(events).toEqual([{ kind: "oom", oomKills: 1 }]);
      await container.remove();
      await expect(container.watch(() => undefined)).rejects.toMatchObject({ error: { code: "ESRCH" } });
    });
  });

  test("memory that has to be taken back again and again is pressure", async () => {
    await withRuntime(async (runtime) => {
      const container = await start(
        runtime,
        "while :; do dd if=/dev/zero of=/tmp/x bs=1M count=48 2>/dev/null; cat /tmp/x >/dev/null; done",
        { memoryBytes: 8 * 2 ** 20 },
      );
      const events: ContainerEvent[] = [];
      const watch = await container.watch((event) => events.push(event), { oom: false, pressure: [memoryPressure] });
      expect(watch.unavailable).toEqual([]);
      await eventually(() => events.length > 0);
      expect(events[0]).toEqual({ kind: "pressure", resource: "memory", level: "some" });
      await container.stop({ signal: 9, graceMs: 0 });
      await container.remove();
    });
  });

  test("processors that are fought over are pressure, where the kernel tells it", async () => {
    await withRuntime(async (runtime) => {
      const container = await start(runtime, busy, { cpuLimitMillis: null });
      const events: ContainerEvent[] = [];
      const watch = await container.watch((event) => events.push(event), { oom: false, pressure: [cpuPressure] });
      if (!tellsPressure(kind)) expect(watch.unavailable).toMatchObject([{ stage: "watch" }]);
      else {
        expect(watch.unavailable).toEqual([]);
        await eventually(() => events.length > 0);
        expect(events[0]).toEqual({ kind: "pressure", resource: "cpu", level: "some" });
      }
      await container.stop({ signal: 9, graceMs: 0 });
      await container.remove();
    });
  });

  test("closing the runtime closes what was watched; nonsense is said", async () => {
    const before = descriptors();
    await withRuntime(async (runtime) => {
      const container = await start(runtime, "sleep 1000");
      await container.watch(() => undefined);
      const wrong = await container.watch(() => undefined, {
        oom: false,
        pressure: [{ ...memoryPressure, windowMs: 1, stallMs: 5 }],
      });
      if (tellsPressure(kind)) expect(wrong.unavailable).toMatchObject([{ code: "EINVAL" }]);
      await expect(
        container.watch(() => undefined, { pressure: Array.from({ length: 9 }, () => memoryPressure) }),
      ).rejects.toMatchObject({ error: { code: "EINVAL" } });
    });
    await eventually(() => descriptors() === before);
    await withRuntime(async (runtime) => {
      for (const found of await runtime.adopt()) {
        if (found.kind === "never_started") continue;
        await found.container.stop({ signal: 9, graceMs: 0 });
        await found.container.remove();
      }
    });
  });
});

test.runIf(hasPsi)("pressure of the whole machine", async () => {
  const before = descriptors();
  const container = await host.start(["sh", "-c", busy]);
  let told = 0;
  const watch = await host.runtime.watchPressure(cpuPressure, () => (told += 1));
  await eventually(() => told > 0);
  watch.close();
  await eventually(() => descriptors() === before);
  await container.stop({ signal: 9, graceMs: 0 });
  await container.remove();
});
