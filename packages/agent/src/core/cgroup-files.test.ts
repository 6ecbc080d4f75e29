import { expect, test } from "vitest";
import { cgroupFolder, cgroupVersion, parseCgroupMounts, parseCpuMax, readCgroupLimits } from "./cgroup-files.ts";

const V2 = "31 23 0:28 / /sys/fs/cgroup rw,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";
const HYBRID = [
  "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755",
  "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct",
  "34 31 0:31 / /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset",
  "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory",
  "39 31 0:36 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids",
  "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw",
].join("\n");

const reader =
  (files: Readonly<Record<string, string>>) =>
  (path: string): string | undefined =>
    files[path];

test("which cgroups a host has", () => {
  expect(cgroupVersion(parseCgroupMounts(V2))).toBe("v2");
  expect(cgroupVersion(parseCgroupMounts(HYBRID))).toBe("hybrid");
  expect(cgroupVersion(parseCgroupMounts(HYBRID.split("\n").slice(0, 3).join("\n")))).toBe("v1");
});

test("v2: the tightest limit on the way up binds", () => {
  const limits = readCgroupLimits(
    "0::/berth.slice/agent.service\n",
    V2,
    reader({
      "/sys/fs/cgroup/berth.slice/agent.service/memory.max": "max\n",
      "/sys/fs/cgroup/berth.slice/memory.max": "1073741824\n",
      "/sys/fs/cgroup/berth.slice/agent.service/cpu.max": "150000 100000\n",
      "/sys/fs/cgroup/berth.slice/cpu.max": "max 100000\n",
      "/sys/fs/cgroup/berth.slice/agent.service/cpuset.cpus.effective": "0-3\n",
      "/sys/fs/cgroup/berth.slice/agent.service/pids.max": "500\n",
      "/sys/fs/cgroup/berth.slice/pids.max": "400\n",
    }),
  );
  expect(limits).toEqual({ cpuMillis: 1500, memoryBytes: 1_073_741_824, pids: 400 });
});

test("v1 and hybrid: each controller in its own hierarchy, no limit is near 2^63 or -1", () => {
  const limits = readCgroupLimits(
    "5:memory:/a/b\n4:pids:/\n3:cpuset:/\n1:cpu,cpuacct:/a\n0::/\n",
    HYBRID,
    reader({
      "/sys/fs/cgroup/memory/a/b/memory.limit_in_bytes": "9223372036854771712\n",
      "/sys/fs/cgroup/memory/a/memory.limit_in_bytes": "2147483648\n",
      "/sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
      "/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us": "-1\n",
      "/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us": "100000\n",
      "/sys/fs/cgroup/cpuset/cpuset.effective_cpus": "0-1\n",
    }),
  );
  expect(limits).toEqual({ cpuMillis: 2000, memoryBytes: 2_147_483_648, pids: undefined });
});

test("a part of the hierarchy that is mounted, with a space in its name, and a process outside of it", () => {
  const mounts = parseCgroupMounts("31 23 0:28 /my\\040slice /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
  expect(cgroupFolder("memory", "0::/my slice/x\n", mounts)?.paths).toEqual(["/sys/fs/cgroup/x", "/sys/fs/cgroup"]);
  expect(cgroupFolder("memory", "0::/elsewhere\n", mounts)?.paths).toEqual(["/sys/fs/cgroup"]);
  const all = parseCgroupMounts(V2);
  expect(cgroupFolder("memory", "0::/../../other\n", all)?.paths).toEqual(["/sys/fs/cgroup/other", "/sys/fs/cgroup"]);
});

test("nothing is known where there is nothing to read", () => {
  const nothing = { cpuMillis: undefined, memoryBytes: undefined, pids: undefined };
  expect(readCgroupLimits("", "", reader({}))).toEqual(nothing);
  expect(readCgroupLimits("0::/\n", V2, reader({}))).toEqual(nothing);
  expect(readCgroupLimits("garbage\n::::\n", "garbage - - -\n", reader({}))).toEqual(nothing);
});

test("cpu.max", () => {
  expect(parseCpuMax("50000 100000\n")).toBe(500);
  for (const none of ["max 100000", "", "50000", "1 0", "x y"]) expect(parseCpuMax(none), none).toBeUndefined();
});
