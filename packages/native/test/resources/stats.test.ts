/** Numbers of one and of many containers, against the files that they come from. */
import { mkdirSync, readdirSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { openRuntime } from "../../lib/index.ts";
import { eventually, layout, v1Layout } from "../host.ts";
import { firstLine, MIB, resourceTest, versionOf } from "./host.ts";

const { host, running, start } = resourceTest();

test("a container's numbers are those of its cgroups", async () => {
  await running(["probe", "hold", `${24 * MIB}`], {}, async (container) => {
    expect(await firstLine(container)).toBe("holding");
    const stats = await container.stats();
    expect(stats.memoryBytes).toBeGreaterThan(24 * MIB);
    expect(stats.memoryUsageBytes).toBeGreaterThanOrEqual(stats.memoryBytes);
    expect(stats.memoryUsageBytes).toBeLessThan(64 * MIB);
    expect(stats.memoryPeakBytes ?? 24 * MIB).toBeGreaterThanOrEqual(24 * MIB);
    expect(stats).toMatchObject({ pids: 2, oomKills: 0, swapBytes: 0, pidsRefused: 0 });
    expect(stats.memoryCacheBytes).toBeGreaterThanOrEqual(0);
    expect(stats.cpuUsageMicros).toBeGreaterThan(0);
    const parts = (stats.cpuUserMicros ?? 0) + (stats.cpuSystemMicros ?? 0);
    expect(Math.abs(parts - stats.cpuUsageMicros)).toBeLessThan(stats.cpuUsageMicros / 2 + 5000);
  });
});

test("what was refused and what was throttled is counted", async () => {
  await running(["probe", "fork", "50"], { pids: 12 }, async (container) => {
    expect(await firstLine(container)).toMatch(/^10 Resource temporarily unavailable/);
    expect(await container.stats()).toMatchObject({ pids: 12, pidsRefused: 1 });
  });
  await running(["probe", "spin"], { cpuLimitMillis: 50 }, async (container) => {
    await eventually(async () => ((await container.stats()).cpuThrottledPeriods ?? 0) > 3);
    const stats = await container.stats();
    expect(stats.cpuPeriods).toBeGreaterThanOrEqual(stats.cpuThrottledPeriods ?? Number.POSITIVE_INFINITY);
    expect(stats.cpuThrottledMicros).toBeGreaterThan(0);
  });
});

test("many in one call: those that run are there, those that ended or never were are not", async () => {
  const containers = await Promise.all(Array.from({ length: 8 }, () => start(["sleep", "1000"], {})));
  try {
    const [ended] = containers;
    await ended?.stop({ signal: 9, graceMs: 0 });
    await ended?.remove();
    const ids = containers.map(({ id }) => id);
    const stats = await host.runtime.stats([...ids, "never-was", "../../etc", "UPPER"]);
    expect([...stats.keys()].sort()).toEqual(ids.slice(1).sort());
    for (const each of stats.values()) expect(each).toMatchObject({ pids: 2, oomKills: 0 });
    expect(await host.runtime.stats([])).toEqual(new Map());
  } finally {
    await Promise.all(
      containers.map(async (container) => {
        await container.stop({ signal: 9, graceMs: 0 });
        await container.remove();
      }),
    );
  }
});

test.runIf(layout.kind !== "v2")("v1 alone tells the same", async () => {
  const runtime = await openRuntime({
    stateDir: join(host.directory, "v1-stats"),
    cgroupParent: host.cgroupParent,
    cgroupLayout: v1Layout,
  });
  try {
    const result = await runtime.start(host.spec(["sh", "-c", "while :; do :; done"]));
    if (!result.ok) throw new Error(JSON.stringify(result.error));
    const container = result.value;
    await eventually(async () => (await container.stats()).cpuUsageMicros > 20_000);
    const stats = (await runtime.stats([container.id])).get(container.id);
    expect(stats?.cpuUserMicros).toBeGreaterThan(0);
    expect(stats).toMatchObject({ pids: 2, oomKills: 0, swapBytes: 0 });
    await container.stop({ signal: 9, graceMs: 0 });
    await container.remove();
  } finally {
    await runtime.close();
  }
});

test("hundreds of cgroups are read in one go, and nothing stays open", async () => {
  const ids = Array.from({ length: 300 }, (_, i) => `many-${i}`);
  const places = [...new Set(layout.hierarchies.map(({ path }) => join(path, host.cgroupParent)))];
  try {
    for (const place of places) for (const id of ids) mkdirSync(join(place, id));
    const before = readdirSync("/proc/self/fd").length;
    const stats = await host.runtime.stats(ids);
    expect(stats.size).toBe(ids.length);
    if (versionOf("pids") !== undefined) for (const each of stats.values()) expect(each.pids).toBe(0);
    expect(readdirSync("/proc/self/fd").length).toBeLessThanOrEqual(before);
  } finally {
    for (const place of places)
      for (const id of ids) {
        try {
          rmdirSync(join(place, id));
        } catch {
          /* It was not made. */
        }
      }
  }
});
