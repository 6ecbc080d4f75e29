/** Memory, swap and huge pages as cgroup files (cgroup-v2.rst; cgroup-v1/memory.rst; cgroup-v1/hugetlb.rst). */
import type { Resources } from "./resources.ts";
import type { HostHierarchy, Setting } from "./setting.ts";

export const memorySettings = (wanted: Resources, { path, version }: HostHierarchy): Setting[] => {
  const memory = { path, controller: "memory" } as const;
  const swap = wanted.swapBytes ?? 0;
  if (version === 1) {
    /* v1 limits the sum of both. */
    const both = wanted.memoryBytes + swap;
    return [
      {
        ...memory,
        file: "memory.limit_in_bytes",
        value: `${wanted.memoryBytes}`,
        initial: "-1",
        amount: wanted.memoryBytes,
      },
      { ...memory, file: "memory.memsw.limit_in_bytes", value: `${both}`, initial: "-1", amount: both },
    ];
  }
  const high = wanted.memoryHighBytes ?? null;
  return [
    { ...memory, file: "memory.max", value: `${wanted.memoryBytes}`, initial: "max", amount: wanted.memoryBytes },
    {
      ...memory,
      file: "memory.high",
      value: high === null ? "max" : `${high}`,
      initial: "max",
      amount: high ?? Number.POSITIVE_INFINITY,
    },
    { ...memory, file: "memory.low", value: `${wanted.memoryLowBytes ?? 0}`, initial: "0" },
    { ...memory, file: "memory.swap.max", value: `${swap}`, initial: "max" },
  ];
};

/** Both what is used and what is reserved by mmap, so that a program is refused early instead of killed by SIGBUS. */
export const hugePageSettings = (wanted: Resources, { path, version }: HostHierarchy): Setting[] => {
  const unit = { path, controller: "hugetlb", initial: version === 1 ? "-1" : "max" } as const;
  const suffix = version === 1 ? "limit_in_bytes" : "max";
  return Object.entries(wanted.hugePages ?? {}).flatMap(([size, bytes]) => [
    { ...unit, file: `hugetlb.${size}.${suffix}`, value: `${bytes}` },
    { ...unit, file: `hugetlb.${size}.rsvd.${suffix}`, value: `${bytes}` },
  ]);
};
