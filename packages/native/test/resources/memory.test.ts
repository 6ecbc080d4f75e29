/** Limits of memory, swap, huge pages and processes, as the kernel enforces them. */
import { execFileSync } from "node:child_process";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Container } from "../../lib/index.ts";
import { eventually } from "../host.ts";
import { fieldOf, firstLine, go, hierarchyOf, MIB, resourceTest, updated, versionOf } from "./host.ts";

const { host, running, read, start } = resourceTest();
const hold = (bytes: number) => ["probe", "await", "/tmp/go", "hold", `${bytes}`];

describe("memory", () => {
  test("more than the limit kills, and the cause is oom; what it is at that time counts", async () => {
    await running(hold(60 * MIB), { memoryBytes: 24 * MIB }, async (container) => {
      await updated(container, { memoryBytes: 96 * MIB });
      go(container);
      expect(await firstLine(container)).toBe("holding");
    });
    const lowered = await start(hold(60 * MIB), { memoryBytes: 96 * MIB });
    await updated(lowered, { memoryBytes: 24 * MIB });
    go(lowered);
    expect(await lowered.exited).toMatchObject({ code: 137, oom: true, cause: "oom" });
    await lowered.remove();
  });

  test.runIf(versionOf("memory") === 2)("beyond memory.high a program is slowed down, not killed", async () => {
    const high = (id: string) => fieldOf(read(id, "memory", "", "memory.events"), "high");
    await running(["probe", "hold", `${24 * MIB}`], { memoryHighBytes: 16 * MIB }, async (container) => {
      await eventually(() => high(container.id) > 0);
      expect((await container.stats()).oomKills).toBe(0);
    });
    await running(hold(40 * MIB), {}, async (container) => {
      await updated(container, { memoryHighBytes: 16 * MIB });
      expect(read(container.id, "memory", "", "memory.high")).toBe(`${16 * MIB}`);
      go(container);
      await eventually(() => high(container.id) > 0);
      await updated(container, {});
      expect(read(container.id, "memory", "", "memory.high")).toBe("max");
      expect(await firstLine(container)).toBe("holding");
    });
  });

  test.runIf(versionOf("memory") === 2)(
    "what is protected counts for the parent as well, as long as it runs",
    async () => {
      const parent = () =>
        readFileSync(join(hierarchyOf("memory").path, host.cgroupParent, "memory.low"), "utf8").trim();
      await running(["sleep", "1000"], { memoryLowBytes: 8 * MIB }, async (a) => {
        await running(["sleep", "1000"], {}, async (b) => {
          expect(read(a.id, "memory", "", "memory.low")).toBe(`${8 * MIB}`);
          expect(parent()).toBe(`${8 * MIB}`);
          await updated(b, { memoryLowBytes: 4 * MIB });
          expect(parent()).toBe(`${12 * MIB}`);
        });
        expect(parent()).toBe(`${8 * MIB}`);
      });
      expect(parent()).toBe("0");
    },
  );
});

/** The limit that is short is that of all containers together: what it takes back it takes from whoever is not protected. */
test.runIf(versionOf("memory") === 2)("protected memory stays while that of a neighbour is taken back", async () => {
  const parent = join(hierarchyOf("memory").path, host.cgroupParent, "memory.max");
  const cached = (container: Container) =>
    Number(/^file (\d+)$/m.exec(read(container.id, "memory", "", "memory.stat"))?.[1]) / MIB;
  const script = "dd if=/dev/zero of=/tmp/x bs=1M count=16 2>/dev/null; sync /tmp/x; echo filled; sleep 1000";
  const filled = ["sh", "-c", script];
  await running(filled, { memoryLowBytes: 24 * MIB }, async (fromTheStart) => {
    await running(filled, {}, async (byAnUpdate) => {
      await running(filled, {}, async (never) => {
        for (const each of [fromTheStart, byAnUpdate, never]) {
          expect(await firstLine(each)).toBe("filled");
          expect(cached(each)).toBeGreaterThan(15);
        }
        await updated(byAnUpdate, { memoryLowBytes: 24 * MIB });
        writeFileSync(parent, `${80 * MIB}`);
        try {
          await running(["probe", "hold", `${40 * MIB}`], {}, async (hog) => {
            expect(await firstLine(hog)).toBe("holding");
            expect(cached(fromTheStart)).toBeGreaterThan(15);
            expect(cached(byAnUpdate)).toBeGreaterThan(15);
            expect(cached(never)).toBeLessThan(8);
          });
        } finally {
          writeFileSync(parent, "max");
        }
      });
    });
  });
});

describe("swap", () => {
  test("is nothing by default, and what it was set to afterwards", async () => {
    const limit = (id: string) => Number(read(id, "memory", "memory.memsw.limit_in_bytes", "memory.swap.max"));
    const more = versionOf("memory") === 1 ? 64 * MIB : 0;
    await running(["sleep", "1000"], {}, async (container) => {
      expect(limit(container.id)).toBe(more);
      await updated(container, { swapBytes: 32 * MIB });
      expect(limit(container.id)).toBe(more + 32 * MIB);
    });
  });

  /* Swap is the whole machine's: only where the machine is ours alone. */
  describe.runIf(process.env["BERTH_VM"] === "1")("where there is some", () => {
    const file = "/tmp/berth-test-swap";
    beforeAll(() => {
      execFileSync("dd", ["if=/dev/zero", `of=${file}`, "bs=1M", "count=128"], { stdio: "ignore" });
      execFileSync("chmod", ["600", file]);
      execFileSync("mkswap", [file], { stdio: "ignore" });
      execFileSync("swapon", [file]);
    });
    afterAll(() => {
      execFileSync("swapoff", [file]);
      rmSync(file);
    });

    test("holds what does not fit into memory, and not more than allowed", async () => {
      await running(hold(48 * MIB), { memoryBytes: 24 * MIB, swapBytes: 48 * MIB }, async (container) => {
        go(container);
        expect(await firstLine(container)).toBe("holding");
        expect((await container.stats()).swapBytes).toBeGreaterThan(16 * MIB);
      });
      const without = await start(hold(48 * MIB), { memoryBytes: 24 * MIB });
      go(without);
      expect(await without.exited).toMatchObject({ oom: true, cause: "oom" });
      await without.remove();
    });
  });
});

describe.runIf(versionOf("hugetlb") !== undefined)("huge pages", () => {
  const pool = "/proc/sys/vm/nr_hugepages";
  const before = readFileSync(pool, "utf8");
  beforeAll(() => writeFileSync(pool, `${Number(before) + 8}`));
  afterAll(() => writeFileSync(pool, before));
  const there = () => Number(readFileSync(pool, "utf8")) >= Number(before) + 4;

  test("beyond the limit are refused, and an update moves it", async (context) => {
    if (!there()) return context.skip("this machine has no memory for huge pages");
    await running(["probe", "huge", "4"], { hugePages: { "2MB": 2 * MIB } }, async (container) => {
      expect(await firstLine(container)).toBe("1 Cannot allocate memory");
    });
    await running(["probe", "await", "/tmp/go", "huge", "4"], { hugePages: { "2MB": 0 } }, async (container) => {
      await updated(container, { hugePages: { "2MB": 6 * MIB } });
      go(container);
      expect(await firstLine(container)).toBe("3 Cannot allocate memory");
    });
  });
});

describe("processes", () => {
  test("beyond the limit are refused with EAGAIN, and an update moves it", async () => {
    await running(["probe", "fork", "40"], { pids: 16 }, async (container) => {
      expect(await firstLine(container)).toBe("14 Resource temporarily unavailable");
    });
    await running(["probe", "await", "/tmp/go", "fork", "40"], { pids: 8 }, async (container) => {
      await updated(container, { pids: 24 });
      go(container);
      expect(await firstLine(container)).toBe("22 Resource temporarily unavailable");
    });
  });
});
