/** Limits of a running container: changed together or not at all, known after a restart of the agent, never silent. */
import { spawnSync } from "node:child_process";
import { readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { openRuntime, type Container } from "../../lib/index.ts";
import { parseLimits } from "../../lib/resources/limits.ts";
import { agentScript } from "../built-agent.ts";
import { eventually, layout, statusField } from "../host.ts";
import { basic, firstLine, go, hierarchyOf, MIB, resourceTest, updated, versionOf } from "./host.ts";

const { host, running, read, start } = resourceTest();
const memoryLimit = (id: string) => read(id, "memory", "memory.limit_in_bytes", "memory.max");

describe("update", () => {
  test("changes every file that differs, upwards and downwards, and back to no quota", async () => {
    await running(["sleep", "1000"], {}, async (container) => {
      const steps = [
        { ...basic, cpuLimitMillis: 500, cpuBurstMillis: 250, memoryBytes: 96 * MIB, swapBytes: 8 * MIB, pids: 40 },
        { ...basic, cpuLimitMillis: 2000, cpuBurstMillis: 2000, memoryBytes: 32 * MIB, pids: 20 },
        { ...basic, cpuLimitMillis: 100, memoryBytes: 200 * MIB, pids: 20 },
        basic,
      ];
      for (const limits of steps) {
        expect(await container.update(limits)).toEqual({ ok: true, unenforced: [] });
        expect(container.limits).toEqual(limits);
        expect(memoryLimit(container.id)).toBe(`${limits.memoryBytes}`);
        expect(read(container.id, "pids", "pids.max")).toBe(`${limits.pids}`);
        const quota = limits.cpuLimitMillis === null ? Number.NaN : limits.cpuLimitMillis * 20;
        if (versionOf("cpu") === 1)
          expect(read(container.id, "cpu", "cpu.cfs_quota_us")).toBe(Number.isNaN(quota) ? "-1" : `${quota}`);
        else
          expect(read(container.id, "cpu", "", "cpu.max").split(" ")[0]).toBe(Number.isNaN(quota) ? "max" : `${quota}`);
        expect(read(container.id, "cpu", "cpu.cfs_burst_us", "cpu.max.burst")).toBe(
          `${(limits.cpuBurstMillis ?? 0) * 20}`,
        );
      }
    });
  });

  test("that the kernel refuses leaves everything as it was", async () => {
    await running(["probe", "hold", `${40 * MIB}`], {}, async (container) => {
      expect(await firstLine(container)).toBe("holding");
      const before = { ...basic };
      const refused = await container.update({ ...basic, cpuRequestMillis: 900, memoryBytes: 8 * MIB, pids: 9 });
      expect(refused).toMatchObject({ ok: false, error: { stage: "cgroup.limit", code: "EBUSY" } });
      expect(container.limits).toEqual(before);
      expect(memoryLimit(container.id)).toBe(`${64 * MIB}`);
      expect(read(container.id, "pids", "pids.max")).toBe("64");
      expect(read(container.id, "cpu", "cpu.shares", "cpu.weight")).toBe(versionOf("cpu") === 1 ? "102" : "10");
      if (versionOf("memory") === 2) expect(read(container.id, "memory", "", "memory.high")).toBe("max");
      /* Nobody was killed for it. */
      expect((await container.stats()).oomKills).toBe(0);
    });
  });

  test("is refused for nonsense, for what this host lacks when that is asked, and after the end", async () => {
    const container = await host.start(["sleep", "1000"]);
    expect(await container.update({ ...basic, pids: 0 })).toMatchObject({ ok: false, error: { code: "EINVAL" } });
    expect(await container.update({ ...basic, cpus: "4096" })).toMatchObject({
      ok: false,
      error: { stage: "spec", code: "EINVAL", detail: expect.stringContaining("cpus") },
    });
    const lacking = Object.entries(host.runtime.features().limits).filter(([, reason]) => reason !== null);
    if (versionOf("memory") === 1) {
      const high = { ...basic, memoryHighBytes: 32 * MIB };
      expect(lacking.map(([knob]) => knob)).toContain("memoryHighBytes");
      const told = await container.update(high);
      expect(told).toMatchObject({ ok: true, unenforced: [{ knob: "memoryHighBytes" }] });
      expect(container.unenforced).toEqual(told.ok && told.unenforced);
      expect(await container.update(high, { strict: true })).toMatchObject({
        ok: false,
        error: { code: "EOPNOTSUPP" },
      });
      const start = await host.runtime.start(host.spec(["true"], { limits: high, strictLimits: true }));
      expect(start).toMatchObject({ ok: false, error: { code: "EOPNOTSUPP" } });
    }
    await container.stop({ signal: 9, graceMs: 0 });
    expect(await container.update(basic)).toMatchObject({ ok: false, error: { code: "ESRCH" } });
    await container.remove();
  });

  test("many at once are done one after the other", async () => {
    await running(["sleep", "1000"], {}, async (container) => {
      const results = await Promise.all(
        Array.from({ length: 20 }, (_, i) => container.update({ ...basic, pids: 20 + i, memoryBytes: (80 - i) * MIB })),
      );
      expect(results.every(({ ok }) => ok)).toBe(true);
      expect(container.limits?.pids).toBe(39);
      expect(read(container.id, "pids", "pids.max")).toBe("39");
      expect(memoryLimit(container.id)).toBe(`${61 * MIB}`);
    });
  });
});

describe("controllers that a container did without", () => {
  test.runIf(layout.kind === "v2")(
    "on v2 are enabled by the first start that needs them, and by no other",
    async () => {
      const cgroupParent = `${host.cgroupParent}-enabling`;
      const runtime = await openRuntime({ stateDir: join(host.directory, "enabling"), cgroupParent });
      const root = hierarchyOf("cpu").path;
      const enabled = () =>
        readFileSync(join(root, cgroupParent, "cgroup.subtree_control"), "utf8")
          .trim()
          .split(" ");
      const run = async (limits: typeof basic) => {
        const result = await runtime.start(host.spec(["true"], { limits }));
        if (!result.ok) throw new Error(JSON.stringify(result.error));
        await result.value.exited;
        await result.value.remove();
      };
      try {
        await run(basic);
        expect(enabled()).not.toContain("cpuset");
        expect(enabled()).not.toContain("hugetlb");
        await run({ ...basic, cpus: "0" });
        expect(enabled()).toContain("cpuset");
        expect(enabled()).not.toContain("hugetlb");
      } finally {
        await runtime.close();
        rmdirSync(join(root, cgroupParent));
      }
    },
  );

  test("are joined when an update needs them, by every process, and left empty-handed afterwards", async () => {
    if (versionOf("cpuset") === undefined) return;
    let id = "";
    await running(["sh", "-c", "sleep 1000 & sleep 1000 & wait"], {}, async (container) => {
      const place = join(hierarchyOf("cpuset").path, host.cgroupParent, container.id);
      const lists = () =>
        readFileSync(join(place, "cgroup.procs"), "utf8")
          .trim()
          .split("\n")
          .map((pid) => /^Cpus_allowed_list:\t(.*)$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
      expect(await container.update({ ...basic, cpus: "0" })).toEqual({ ok: true, unenforced: [] });
      await eventually(() => lists().length === 4 && lists().every((list) => list === "0"));
      expect(await container.update(basic)).toEqual({ ok: true, unenforced: [] });
      await eventually(() => lists().every((list) => list !== "0"));
      id = container.id;
    });
    expect(host.cgroupsOf(id)).toEqual([]);
  });
});

describe("after a restart of the agent", () => {
  const adopted = async (id: string): Promise<Container> => {
    const found = (await host.runtime.adopt()).find((candidate) => candidate.id === id);
    if (found?.kind !== "running") throw new Error(`found ${JSON.stringify(found)}`);
    return found.container;
  };
  const reopened = async (id: string): Promise<Container> => {
    await host.runtime.close();
    host.runtime = await openRuntime({ stateDir: host.stateDir, cgroupParent: host.cgroupParent });
    return await adopted(id);
  };
  const stop = async (container: Container) => {
    await container.stop({ signal: 9, graceMs: 0 });
    await container.remove();
  };

  test("the limits of a start and of an update are known", async () => {
    const container = await host.start(["sleep", "1000"], { limits: { ...basic, pids: 21, cpuBurstMillis: 0 } });
    const found = await reopened(container.id);
    expect(found.limits).toEqual({ ...basic, pids: 21, cpuBurstMillis: 0 });
    expect(await found.update({ ...basic, pids: 22 })).toMatchObject({ ok: true });
    const again = await reopened(container.id);
    expect(again.limits).toEqual({ ...basic, pids: 22 });
    expect(read(container.id, "pids", "pids.max")).toBe("22");
    await stop(again);
  });

  test("an update that was interrupted is taken back", async () => {
    const container = await host.start(["sleep", "1000"], { limits: basic });
    /* As if the agent had been killed between two writes. */
    const next = { ...basic, memoryBytes: 128 * MIB, pids: 23 };
    writeFileSync(join(host.stateDir, container.id, "limits"), JSON.stringify({ version: 1, resources: basic, next }));
    writeFileSync(join(hierarchyOf("pids").path, host.cgroupParent, container.id, "pids.max"), "23");
    const found = await reopened(container.id);
    expect(found.limits).toEqual(basic);
    expect(read(container.id, "pids", "pids.max")).toBe("64");
    await stop(found);
  });

  test("an update that was interrupted and cannot be taken back leaves the limits in doubt, until one succeeds", async () => {
    const container = await start(["probe", "hold", `${40 * MIB}`], basic);
    expect(await firstLine(container)).toBe("holding");
    expect(container.limitsInDoubt).toBe(false);
    /* As if it had had little, was given more, used it, and the agent was killed before it could note that. */
    const little = { ...basic, memoryBytes: 8 * MIB };
    const file = join(host.stateDir, container.id, "limits");
    writeFileSync(file, JSON.stringify({ version: 1, resources: little, next: basic }));
    for (const found of [await reopened(container.id), await reopened(container.id)]) {
      expect([found.limits, found.limitsInDoubt]).toEqual([little, true]);
      expect(await found.update(little)).toMatchObject({ ok: false, error: { code: "EBUSY" } });
      expect(found.limitsInDoubt).toBe(true);
    }
    expect(memoryLimit(container.id)).toBe(`${64 * MIB}`);
    const found = await reopened(container.id);
    expect(await found.update(basic)).toMatchObject({ ok: true });
    expect([found.limits, found.limitsInDoubt]).toEqual([basic, false]);
    expect((await reopened(container.id)).limitsInDoubt).toBe(false);
    await stop(await adopted(container.id));
  });

  test("an update that is begun while another is in doubt, and killed at any of its writes, forgets nothing of that one", async () => {
    if (versionOf("cpuset") === undefined) return;
    const little = { ...basic, memoryBytes: 8 * MIB };
    const container = await start(["probe", "await", "/tmp/go", "hold", `${40 * MIB}`], little);
    const { id } = container;
    const doubtful = { ...basic, cpus: "0" };
    await updated(container, doubtful);
    go(container);
    expect(await firstLine(container)).toBe("holding");
    await host.runtime.close();
    /* As if the agent had been killed before it could note that; and now what there is cannot be taken back. */
    const noted = join(host.stateDir, id, "limits");
    writeFileSync(noted, JSON.stringify({ version: 1, resources: little, next: doubtful }));
    const pages = versionOf("hugetlb") === undefined ? {} : { hugePages: { "2MB": 2 * MIB } };
    const next = { ...basic, ...pages };
    const update = (dieBefore: number): string => {
      const input = { stateDir: host.stateDir, cgroupParent: host.cgroupParent, id, limits: next, dieBefore };
      const agent = spawnSync(process.execPath, [agentScript("updating-agent.mjs"), JSON.stringify(input)], {
        encoding: "utf8",
        stdio: ["ignore", "pipe", "inherit"],
      });
      return agent.signal ?? agent.stdout;
    };
    let deaths = 0;
    while (update(deaths + 1) === "SIGKILL") {
      deaths += 1;
      const { begun } = parseLimits(readFileSync(noted, "utf8")) ?? {};
      expect(begun, `killed before its write ${deaths}`).toContainEqual(doubtful);
    }
    /* The note is written and renamed before anything else, and once more after all. */
    expect(deaths).toBeGreaterThan(4);
    host.runtime = await openRuntime({ stateDir: host.stateDir, cgroupParent: host.cgroupParent });
    const found = await adopted(id);
    expect([found.limits, found.limitsInDoubt]).toEqual([next, false]);
    const cpus = () => statusField(found.pid ?? 0, "Cpus_allowed_list");
    await eventually(() => cpus() === statusField(process.pid, "Cpus_allowed_list"));
    await stop(found);
  });

  test("a torn record is no record", async () => {
    const container = await host.start(["sleep", "1000"], { limits: basic });
    for (const text of ["", "{", "null", '{"version":1}', '{"version":1,"resources":{"pids":"x"}}']) {
      writeFileSync(join(host.stateDir, container.id, "limits"), text);
      expect((await reopened(container.id)).limits).toEqual(basic);
    }
    await stop(await adopted(container.id));
  });
});
