import { describe, expect, test } from "vitest";
import { cpusetMistake } from "./cpu.ts";
import { planStart } from "./plan.ts";
import { firstMistakeOf, type Resources } from "./resources.ts";
import type { ResourceHost } from "./setting.ts";
import { enforceable, settingsOf } from "./settings.ts";
import { v1Host, v2Host } from "./testing.ts";

const MIB = 2 ** 20;
const basic: Resources = { cpuRequestMillis: 500, cpuLimitMillis: 1500, memoryBytes: 96 * MIB, pids: 33 };
const everything: Resources = {
  ...basic,
  cpuBurstMillis: 1000,
  cpus: "0,2-3",
  memoryNodes: "0",
  memoryHighBytes: 64 * MIB,
  memoryLowBytes: 8 * MIB,
  swapBytes: 4 * MIB,
  ioWeight: 200,
  ioLimits: [{ device: "8:0", readBytesPerSecond: MIB, writesPerSecond: 7 }],
  hugePages: { "2MB": 4 * MIB },
};
const written = (wanted: Resources, host: ResourceHost): string[] =>
  planStart(settingsOf(wanted, host).settings).map(({ file, value }) => `${file} = ${value}`);

describe("a start", () => {
  test("writes only what a new cgroup does not have by itself", () => {
    expect(written(basic, v2Host)).toEqual([
      "cpu.weight = 50",
      "cpu.max = 30000 20000",
      `memory.max = ${96 * MIB}`,
      "memory.swap.max = 0",
      "pids.max = 33",
    ]);
    expect(written({ ...basic, cpuRequestMillis: 1000, cpuLimitMillis: null }, v1Host)).toEqual([
      `memory.limit_in_bytes = ${96 * MIB}`,
      `memory.memsw.limit_in_bytes = ${96 * MIB}`,
      "pids.max = 33",
    ]);
  });

  test("has every knob on v2", () => {
    expect(written(everything, v2Host)).toEqual([
      "cpu.weight = 50",
      "cpu.max = 30000 20000",
      "cpu.max.burst = 20000",
      "cpuset.cpus = 0,2-3",
      `memory.max = ${96 * MIB}`,
      `memory.high = ${64 * MIB}`,
      `memory.low = ${8 * MIB}`,
      `memory.swap.max = ${4 * MIB}`,
      "pids.max = 33",
      "io.weight = 200",
      `io.max = 8:0 rbps=${MIB} wbps=max riops=max wiops=7`,
      `hugetlb.2MB.max = ${4 * MIB}`,
      `hugetlb.2MB.rsvd.max = ${4 * MIB}`,
    ]);
  });

  test("has on v1 what v1 can do", () => {
    expect(written(everything, v1Host)).toEqual([
      "cpu.shares = 512",
      "cpu.cfs_period_us = 20000",
      "cpu.cfs_quota_us = 30000",
      "cpu.cfs_burst_us = 20000",
      "cpuset.cpus = 0,2-3",
      "cpuset.mems = 0",
      "cpuset.memory_migrate = 1",
      `memory.limit_in_bytes = ${96 * MIB}`,
      `memory.memsw.limit_in_bytes = ${100 * MIB}`,
      "pids.max = 33",
      "blkio.bfq.weight = 200",
      `blkio.throttle.read_bps_device = 8:0 ${MIB}`,
      "blkio.throttle.write_iops_device = 8:0 7",
    ]);
  });

  test("gives a tiny limit a longer period instead of an impossible quota", () => {
    expect(written({ ...basic, cpuLimitMillis: 10 }, v2Host)).toContain("cpu.max = 1000 100000");
    expect(written({ ...basic, cpuRequestMillis: 0 }, v1Host)).toContain("cpu.shares = 2");
  });

  test("fills both lists of a v1 cpuset, since an empty one takes nobody", () => {
    expect(written({ ...basic, cpus: "1" }, v1Host)).toEqual(
      expect.arrayContaining(["cpuset.cpus = 1", "cpuset.mems = 0"]),
    );
  });
});

describe("what cannot be enforced is said", () => {
  const reasons = (wanted: Resources, host: ResourceHost): Record<string, string> =>
    Object.fromEntries(settingsOf(wanted, host).unenforced.map(({ knob, reason }) => [knob, reason]));

  test("v2 lacks only what makes weights effective", () => {
    expect(reasons(everything, v2Host)).toEqual({ ioWeight: expect.stringContaining("bfq") });
    expect(reasons(everything, { ...v2Host, ioWeights: "iocost" })).toEqual({});
  });

  test("v1 lacks what it never had, and the hugetlb controller that is not mounted", () => {
    expect(Object.keys(reasons(everything, v1Host)).sort()).toEqual([
      "hugePages",
      "ioLimits",
      "ioWeight",
      "memoryHighBytes",
      "memoryLowBytes",
    ]);
    expect(reasons(basic, v1Host)).toEqual({});
  });

  test("a file that this kernel lacks is named, a controller that was not delegated keeps its reason", () => {
    const [unified] = v2Host.hierarchies;
    if (unified === undefined) throw new Error("no hierarchy");
    const old = new Set([...unified.files].filter((file) => file !== "cpu.max.burst" && file !== "memory.swap.max"));
    const host: ResourceHost = {
      ...v2Host,
      hierarchies: [{ ...unified, controllers: ["cpu", "memory", "io"], files: old }],
      reasons: { pids: "+pids is refused in /cg" },
    };
    expect(reasons(basic, host)).toEqual({
      swapBytes: "this kernel has no memory.swap.max",
      pids: "+pids is refused in /cg",
    });
    expect(reasons({ ...basic, cpuBurstMillis: 1, cpus: "0" }, host)).toMatchObject({
      cpuBurstMillis: "this kernel has no cpu.max.burst",
      cpus: "this host has no cpuset controller",
    });
  });

  test("a share of one disk is written where that disk heeds it, and said where not", () => {
    const wanted: Resources = {
      ...basic,
      ioLimits: [
        { device: "8:0", weight: 300 },
        { device: "8:16", weight: 30 },
      ],
    };
    const reason = expect.stringMatching(/^disk 8:16 .*bfq/);
    const weighed = { ioWeights: "bfq", weighedDisks: new Set(["8:0"]) } as const;
    const [unified, special] = v2Host.hierarchies;
    if (unified === undefined || special === undefined) throw new Error("no hierarchy");
    const files = new Set([...unified.files, "io.bfq.weight"]);
    const bfq: ResourceHost = { ...v2Host, ...weighed, hierarchies: [{ ...unified, files }, special] };
    expect(written(wanted, bfq).filter((line) => line.startsWith("io"))).toEqual(["io.bfq.weight = 8:0 300"]);
    expect(reasons(wanted, bfq)).toEqual({ ioLimits: reason });
    expect(written(wanted, { ...bfq, ioWeights: "iocost" })).toContain("io.weight = 8:0 300");
    const v1 = { ...v1Host, ...weighed };
    expect(written(wanted, v1).filter((line) => line.startsWith("blkio"))).toEqual([
      "blkio.bfq.weight_device = 8:0 300",
    ]);
    expect(reasons(wanted, v1)).toEqual({ ioLimits: reason });
  });

  test("without any cgroup, nothing holds", () => {
    expect(Object.keys(reasons(basic, { ...v2Host, hierarchies: [] }))).toEqual(Object.keys(basic));
  });

  test("for the whole host, knob by knob", () => {
    const limits = enforceable(v1Host);
    expect(limits).toMatchObject({ cpuRequestMillis: null, cpus: null, memoryBytes: null, swapBytes: null });
    expect(limits.memoryHighBytes).toMatch(/memory\.high/);
    expect(Object.keys(limits).sort()).toEqual(Object.keys(everything).sort());
  });
});

describe("nonsense", () => {
  const nonsense: readonly (readonly [string, Partial<Resources>])[] = [
    ["cpuBurstMillis", { cpuBurstMillis: 1501 }],
    ["cpuBurstMillis", { cpuBurstMillis: -1 }],
    ["cpuBurstMillis", { cpuBurstMillis: 1, cpuLimitMillis: null }],
    ["cpus", { cpus: "" }],
    ["cpus", { cpus: "3-1" }],
    ["cpus", { cpus: "0-" }],
    ["cpus", { cpus: "0\n1" }],
    ["cpus", { cpus: "0,".repeat(600) }],
    ["memoryNodes", { memoryNodes: "all" }],
    ["memoryHighBytes", { memoryHighBytes: 1 }],
    ["memoryLowBytes", { memoryLowBytes: -1 }],
    ["swapBytes", { swapBytes: Number.MAX_SAFE_INTEGER }],
    ["ioWeight", { ioWeight: 0 }],
    ["ioWeight", { ioWeight: 1001 }],
    ["ioLimits", { ioLimits: [{ device: "/dev/sda" }] }],
    ["ioLimits", { ioLimits: [{ device: "8:0", weight: 1001 }] }],
    ["ioLimits", { ioLimits: [{ device: "8:0" }, { device: "8:0" }] }],
    ["ioLimits", { ioLimits: [{ device: "8:0", readsPerSecond: 1 }] }],
    ["ioLimits", { ioLimits: Array.from({ length: 17 }, (_, i) => ({ device: `8:${i}` })) }],
    ["hugePages", { hugePages: { huge: 1 } }],
    ["hugePages", { hugePages: { "2MB": 0.5 } }],
  ];
  test.each(nonsense)("%s %j", (field, more) => {
    expect(firstMistakeOf({ ...everything, ...more })).toMatch(new RegExp(`^${field}: `));
  });

  test("everything sensible passes", () => expect(firstMistakeOf(everything)).toBeUndefined());

  test("processors that the host does not have", () => {
    expect(cpusetMistake(everything, v2Host)).toBeUndefined();
    expect(cpusetMistake({ ...basic, cpus: "2-5" }, v2Host)).toBe("cpus: 4,5 of 2-5 not among 0-3");
    expect(cpusetMistake({ ...basic, memoryNodes: "1" }, v2Host)).toMatch(/^memoryNodes: /);
  });
});
