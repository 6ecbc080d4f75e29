/** Hosts for tests of the pure part: what a v1 and a v2 kernel offer. */
import type { ResourceHost } from "./setting.ts";

const common = {
  reasons: {},
  cpus: "0-3",
  memoryNodes: "0",
  ioWeights: undefined,
  weighedDisks: new Set<string>(),
} as const;

export const v2Host: ResourceHost = {
  ...common,
  hierarchies: [
    {
      path: "/cg",
      version: 2,
      controllers: ["cpu", "memory", "pids", "io"],
      onDemand: false,
      files: new Set([
        ..."cpu.weight cpu.max cpu.max.burst cpuset.cpus cpuset.mems pids.max io.max io.weight".split(" "),
        ..."memory.max memory.high memory.low memory.swap.max hugetlb.2MB.max hugetlb.2MB.rsvd.max".split(" "),
      ]),
    },
    {
      path: "/cg",
      version: 2,
      controllers: ["cpuset", "hugetlb"],
      onDemand: true,
      files: new Set("cpuset.cpus cpuset.mems hugetlb.2MB.max hugetlb.2MB.rsvd.max".split(" ")),
    },
  ],
};

const v1 = (name: string, onDemand: boolean, files: string): ResourceHost["hierarchies"][number] => ({
  path: `/cg/${name}`,
  version: 1,
  controllers: [name === "blkio" ? "io" : (name as "cpu")],
  onDemand,
  files: new Set(files.split(" ")),
});

export const v1Host: ResourceHost = {
  ...common,
  hierarchies: [
    v1("cpu", false, "cpu.shares cpu.cfs_period_us cpu.cfs_quota_us cpu.cfs_burst_us"),
    v1("memory", false, "memory.limit_in_bytes memory.memsw.limit_in_bytes"),
    v1("pids", false, "pids.max"),
    v1("cpuset", true, "cpuset.cpus cpuset.mems cpuset.memory_migrate"),
    v1(
      "blkio",
      true,
      "blkio.bfq.weight blkio.bfq.weight_device blkio.throttle.read_bps_device blkio.throttle.write_bps_device blkio.throttle.read_iops_device blkio.throttle.write_iops_device",
    ),
  ],
};
