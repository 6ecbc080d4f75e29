/** The kernel holds what the spec says: the files of the cgroups, and what happens to those who want more. */
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { compileC, eventually, layout, processesWith, testHost } from "./host.ts";

const host = testHost();
const MIB = 1024 * 1024;

const read = (id: string, controller: string, v1: string, v2: string): string => {
  const hierarchy = layout.hierarchies.find((candidate) => candidate.controllers.some((name) => name === controller));
  if (hierarchy === undefined) throw new Error(`no ${controller} controller on this host`);
  return readFileSync(join(hierarchy.path, host.cgroupParent, id, hierarchy.version === 1 ? v1 : v2), "utf8").trim();
};
const isV1 = (controller: string): boolean =>
  layout.hierarchies.some(
    (hierarchy) => hierarchy.version === 1 && hierarchy.controllers.some((name) => name === controller),
  );

describe("cgroup files", () => {
  test("hold the limits, and the program is in every cgroup", async () => {
    const container = await host.start(["sleep", "1000"], {
      limits: { cpuRequestMillis: 500, cpuLimitMillis: 1500, memoryBytes: 96 * MIB, pids: 33 },
    });
    try {
      expect(read(container.id, "memory", "memory.limit_in_bytes", "memory.max")).toBe(String(96 * MIB));
      expect(read(container.id, "pids", "pids.max", "pids.max")).toBe("33");
      if (isV1("cpu")) {
        expect(read(container.id, "cpu", "cpu.shares", "")).toBe("512");
        expect(read(container.id, "cpu", "cpu.cfs_period_us", "")).toBe("20000");
        expect(read(container.id, "cpu", "cpu.cfs_quota_us", "")).toBe("30000");
      } else {
        expect(read(container.id, "cpu", "", "cpu.weight")).toBe("50");
        expect(read(container.id, "cpu", "", "cpu.max")).toBe("30000 20000");
      }
      const places = host.cgroupsOf(container.id);
      expect(places.length).toBe(layout.hierarchies.length);
      for (const place of places) {
        expect(readFileSync(join(place, "cgroup.procs"), "utf8").split("\n"), place).toContain(String(container.pid));
      }
    } finally {
      await container.stop({ signal: 9, graceMs: 0 });
      await container.remove();
    }
    expect(host.cgroupsOf(container.id)).toEqual([]);
  });

  test("no CPU limit means no quota; a tiny one gets a longer period instead of an impossible quota", async () => {
    const free = await host.start(["sleep", "1000"]);
    const tiny = await host.start(["sleep", "1000"], {
      limits: { cpuRequestMillis: 0, cpuLimitMillis: 10, memoryBytes: 32 * MIB, pids: 8 },
    });
    try {
      if (isV1("cpu")) {
        expect(read(free.id, "cpu", "cpu.cfs_quota_us", "")).toBe("-1");
        expect(read(tiny.id, "cpu", "cpu.cfs_quota_us", "")).toBe("1000");
        expect(read(tiny.id, "cpu", "cpu.cfs_period_us", "")).toBe("100000");
        expect(read(tiny.id, "cpu", "cpu.shares", "")).toBe("2");
      } else {
        expect(read(free.id, "cpu", "", "cpu.max")).toMatch(/^max /);
        expect(read(tiny.id, "cpu", "", "cpu.max")).toBe("1000 100000");
      }
    } finally {
      for (const container of [free, tiny]) {
        await container.stop({ signal: 9, graceMs: 0 });
        await container.remove();
      }
    }
  });
});

describe("memory", () => {
  test("a program that takes too much ends as oom, and its neighbour does not notice", async () => {
    const neighbour = await host.start(["sleep", "1000"]);
    const { exit } = await host.run(["sh", "-c", "exec tail -c 200000000 /dev/zero"], {
      limits: { cpuRequestMillis: 100, cpuLimitMillis: null, memoryBytes: 24 * MIB, pids: 8 },
    });
    expect(exit).toMatchObject({ code: 137, signal: 9, oom: true, cause: "oom", error: null });
    expect(existsSync(`/proc/${neighbour.pid}`)).toBe(true);
    await neighbour.stop({ signal: 9, graceMs: 0 });
    await neighbour.remove();
  });

  test("a shell whose child was killed for memory is reported as oom when it says 137, not when it goes on", async () => {
    const limits = { cpuRequestMillis: 100, cpuLimitMillis: null, memoryBytes: 24 * MIB, pids: 8 };
    const passed = await host.run(["sh", "-c", "tail -c 200000000 /dev/zero; exit $?"], { limits });
    expect(passed.exit).toMatchObject({ code: 137, signal: null, oom: true, cause: "oom" });
    const survived = await host.run(["sh", "-c", "tail -c 200000000 /dev/zero; exit 4"], { limits });
    expect(survived.exit).toMatchObject({ code: 4, oom: true, cause: "exited" });
  });

  test("file pages are reclaimed, not killed for; /dev/shm counts as memory", async () => {
    const limits = { cpuRequestMillis: 100, cpuLimitMillis: null, memoryBytes: 24 * MIB, pids: 8 };
    const files = await host.run(
      ["sh", "-c", "dd if=/dev/zero of=/tmp/big bs=1M count=64 2>/dev/null && echo written"],
      { limits },
    );
    expect(files).toMatchObject({ exit: { code: 0, oom: false }, stdout: "written\n" });
    const shm = await host.run(["sh", "-c", "exec dd if=/dev/zero of=/dev/shm/big bs=1M count=64"], { limits });
    expect(shm.exit.code).not.toBe(0);
  });

  test("killed by a plain SIGKILL is not oom", async () => {
    const { exit } = await host.sh("kill -9 $$");
    expect(exit).toMatchObject({ code: 137, oom: false, cause: "signalled" });
  });
});

describe("processes", () => {
  test("a fork bomb stays inside its limit and is gone at once", async () => {
    const layer = join(host.directory, "bomb-layer");
    mkdirSync(join(layer, "bin"), { recursive: true });
    compileC("#include <unistd.h>\nint main(void) { for (;;) fork(); }", join(layer, "bin/bomb"));
    const marker = "bomb-4711";
    const container = await host.start(["bomb", marker], {
      layers: [layer, host.image],
      limits: { cpuRequestMillis: 100, cpuLimitMillis: 500, memoryBytes: 64 * MIB, pids: 20 },
    });
    await eventually(() => Number(read(container.id, "pids", "pids.current", "pids.current")) >= 20);
    expect(processesWith(marker).length).toBeLessThanOrEqual(20);
    const exit = await container.stop({ signal: 15, graceMs: 200 });
    expect(exit.signal).not.toBeNull();
    expect(processesWith(marker)).toEqual([]);
    await container.remove();
  });

  test("the smallest limit still runs one process", async () => {
    const { exit, stdout } = await host.run(["echo", "one"], {
      limits: { cpuRequestMillis: 1, cpuLimitMillis: null, memoryBytes: 32 * MIB, pids: 1 },
    });
    expect({ code: exit.code, stdout }).toEqual({ code: 0, stdout: "one\n" });
  });
});

describe("statistics", () => {
  test("tell usage while it runs and stay readable afterwards", async () => {
    const container = await host.start(["sh", "-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; sleep 1000"]);
    await eventually(async () => (await container.stats()).cpuUsageMicros > 5000);
    const stats = await container.stats();
    expect(stats.pids).toBeGreaterThanOrEqual(2);
    expect(stats.memoryBytes).toBeGreaterThan(0);
    expect(stats.memoryBytes).toBeLessThan(64 * MIB);
    expect(stats.oomKills).toBe(0);
    await container.stop({ signal: 9, graceMs: 0 });
    await container.remove();
    expect((await container.stats()).cpuUsageMicros).toBeGreaterThan(0);
  });
});
