/** CPU limits, as the kernel enforces them: at the start, and changed while a program runs. Counters, never clocks. */
import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { Container } from "../../lib/index.ts";
import { eventually, outputOf } from "../host.ts";
import { fieldOf, firstLine, go, MIB, resourceTest, updated, versionOf } from "./host.ts";

const { running, read } = resourceTest();
const nodes = readdirSync("/sys/devices/system/node").filter((name) => /^node\d+$/.test(name)).length;
const usage = async (container: Container) => (await container.stats()).cpuUsageMicros;

describe.runIf(versionOf("cpuset") !== undefined)("share", () => {
  /** Of two that want the same processor: how much more the second got, while both used at least so much together. */
  const ratio = async (a: Container, b: Container): Promise<number> => {
    const before = [await usage(a), await usage(b)] as const;
    let used: readonly [number, number] = [0, 0];
    await eventually(async () => {
      used = [(await usage(a)) - before[0], (await usage(b)) - before[1]];
      return used[0] + used[1] > 500_000;
    });
    return used[1] / Math.max(1, used[0]);
  };

  test("follows the requests, also when they change", async () => {
    await running(["probe", "spin"], { cpus: "0", cpuRequestMillis: 250 }, async (a) => {
      await running(["probe", "spin"], { cpus: "0", cpuRequestMillis: 750 }, async (b) => {
        const first = await ratio(a, b);
        expect(first, "750 beside 250").toBeGreaterThan(1.8);
        expect(first, "750 beside 250").toBeLessThan(5);
        await updated(a, { cpus: "0", cpuRequestMillis: 750 });
        await updated(b, { cpus: "0", cpuRequestMillis: 250 });
        const second = await ratio(a, b);
        expect(second, "250 beside 750").toBeGreaterThan(0.2);
        expect(second, "250 beside 750").toBeLessThan(0.55);
      });
    });
  });
});

describe("quota", () => {
  test("holds a program back, until there is none", async () => {
    await running(["probe", "spin"], { cpuLimitMillis: 100 }, async (container) => {
      await eventually(async () => ((await container.stats()).cpuThrottledPeriods ?? 0) > 10);
      const limited = await container.stats();
      /* 2 ms in each period of 20; what was used before a period ended may spill over. */
      expect(limited.cpuUsageMicros / Math.max(1, limited.cpuPeriods ?? 0)).toBeLessThan(2000 * 2);

      await updated(container, { cpuLimitMillis: 400 });
      const before = await container.stats();
      await eventually(async () => ((await container.stats()).cpuPeriods ?? 0) > (before.cpuPeriods ?? 0) + 20);
      const more = await container.stats();
      const each = (more.cpuUsageMicros - before.cpuUsageMicros) / ((more.cpuPeriods ?? 0) - (before.cpuPeriods ?? 0));
      expect(each).toBeGreaterThan(2000);
      expect(each).toBeLessThan(8000 * 2);

      await updated(container, {});
      const free = await container.stats();
      await eventually(async () => (await usage(container)) > free.cpuUsageMicros + 100_000);
      expect((await container.stats()).cpuThrottledPeriods).toBeLessThanOrEqual((free.cpuThrottledPeriods ?? 0) + 1);
    });
  });

  test("lets a program use what it saved up when it may burst", async () => {
    const bursts = (id: string) => fieldOf(read(id, "cpu", "cpu.stat"), "nr_bursts");
    const limits = { cpuLimitMillis: 250, cpuBurstMillis: 250 };
    await running(["probe", "pulse"], limits, async (container) => {
      await eventually(() => bursts(container.id) > 2);
      await updated(container, { cpuLimitMillis: 250 });
      const before = bursts(container.id);
      const { cpuThrottledPeriods: throttled } = await container.stats();
      await eventually(async () => ((await container.stats()).cpuThrottledPeriods ?? 0) > (throttled ?? 0) + 2);
      expect(bursts(container.id)).toBeLessThanOrEqual(before + 1);
      await updated(container, limits);
      await eventually(() => bursts(container.id) > before + 2);
    });
  });
});

describe.runIf(versionOf("cpuset") !== undefined)("processors and memory nodes", () => {
  const allowed = (container: Container, what: "Cpus" | "Mems") =>
    new RegExp(`^${what}_allowed_list:\\t(.*)$`, "m").exec(readFileSync(`/proc/${container.pid}/status`, "utf8"))?.[1];

  test("are all that a program sees and runs on", async () => {
    await running(["sh", "-c", "probe cpus; sleep 1000"], { cpus: "1", memoryNodes: "0" }, async (container) => {
      await eventually(async () => (await outputOf(container)) !== "");
      expect(await outputOf(container)).toBe("1\n");
      expect(allowed(container, "Cpus")).toBe("1");
      expect(allowed(container, "Mems")).toBe("0");
      await updated(container, { cpus: "0" });
      expect(allowed(container, "Cpus")).toBe("0");
      await updated(container, {});
      expect(allowed(container, "Cpus")).not.toMatch(/^[01]$/);
    });
  });

  test.skipIf(nodes < 2)("memory comes from the nodes that are named, from the start and after an update", async () => {
    /** Pages that only this program has, by the node that they lie in. */
    const pagesIn = (container: Container, node: number): number => {
      const maps = readFileSync(`/proc/${container.pid}/numa_maps`, "utf8").split("\n");
      const own = maps.filter((line) => / anon=/.test(line));
      return own.reduce((sum, line) => sum + Number(new RegExp(` N${node}=(\\d+)`).exec(line)?.[1] ?? 0), 0);
    };
    const isIn = async (container: Container, node: number): Promise<void> => {
      expect(await firstLine(container)).toBe("holding");
      expect(pagesIn(container, node)).toBeGreaterThanOrEqual(24 * 256);
      expect(pagesIn(container, 1 - node)).toBeLessThan(256);
    };
    const hold = ["hold", `${24 * MIB}`];
    for (const node of [0, 1])
      await running(["probe", ...hold], { memoryNodes: `${node}` }, (container) => isIn(container, node));
    await running(["probe", "await", "/tmp/go", ...hold], { memoryNodes: "0" }, async (container) => {
      await updated(container, { memoryNodes: "1" });
      go(container);
      await isIn(container, 1);
    });
  });
});
