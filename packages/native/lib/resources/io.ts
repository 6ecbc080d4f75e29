/** Weights and ceilings of disks as cgroup files (cgroup-v2.rst, "IO"; cgroup-v1/blkio-controller.rst). */
import type { IoLimit, Resources } from "./resources.ts";
import type { HostHierarchy, ResourceHost, Setting } from "./setting.ts";

type Ceiling = Exclude<keyof IoLimit, "device" | "weight">;

const V1_FILES: readonly (readonly [Ceiling, string])[] = [
  ["readBytesPerSecond", "blkio.throttle.read_bps_device"],
  ["writeBytesPerSecond", "blkio.throttle.write_bps_device"],
  ["readsPerSecond", "blkio.throttle.read_iops_device"],
  ["writesPerSecond", "blkio.throttle.write_iops_device"],
];
const V2_WORDS: readonly (readonly [Ceiling, string])[] = [
  ["readBytesPerSecond", "rbps"],
  ["writeBytesPerSecond", "wbps"],
  ["readsPerSecond", "riops"],
  ["writesPerSecond", "wiops"],
];

export const ioSettings = (wanted: Resources, hierarchy: HostHierarchy, host: ResourceHost): Setting[] => {
  const at = { path: hierarchy.path, controller: "io" } as const;
  const weight: Setting[] =
    wanted.ioWeight === undefined
      ? []
      : [
          {
            ...at,
            file: weightFile(hierarchy, host),
            value: `${wanted.ioWeight}`,
            initial: "100",
            /* On v1 it is what gives a container a cgroup here; without one it would not be among those that share. */
            always: hierarchy.version === 1,
          },
        ];
  const limits = wanted.ioLimits ?? [];
  for (const { device, weight: share } of limits) {
    /* A disk that heeds no weights would refuse it; that it does not hold there is said by settings.ts. */
    if (share === undefined || !host.weighedDisks.has(device)) continue;
    const file = hierarchy.version === 1 ? "blkio.bfq.weight_device" : weightFile(hierarchy, host);
    weight.push({ ...at, file, key: device, value: `${device} ${share}`, initial: `${device} default` });
  }
  if (hierarchy.version === 1) {
    const ceilings = limits.flatMap((limit) =>
      V1_FILES.flatMap(([name, file]): Setting[] => {
        const value = limit[name];
        const { device } = limit;
        return value === undefined
          ? []
          : [{ ...at, file, key: device, value: `${device} ${value}`, initial: `${device} 0` }];
      }),
    );
    return [...weight, ...ceilings];
  }
  const ceilings = limits.filter(hasCeiling).map(({ device, ...given }): Setting => {
    const words = (value: (name: Ceiling) => number | "max") =>
      [device, ...V2_WORDS.map(([name, word]) => `${word}=${value(name)}`)].join(" ");
    return {
      ...at,
      file: "io.max",
      key: device,
      value: words((name) => given[name] ?? "max"),
      initial: words(() => "max"),
    };
  });
  return [...weight, ...ceilings];
};

export const hasCeiling = (limit: IoLimit): boolean => V2_WORDS.some(([name]) => limit[name] !== undefined);

/** BFQ has a file of its own, which exists even where another controller of weights is at work. */
export const weightFile = ({ version, files }: HostHierarchy, { ioWeights }: ResourceHost): string => {
  if (version === 1) return "blkio.bfq.weight";
  return ioWeights === "iocost" || !files.has("io.bfq.weight") ? "io.weight" : "io.bfq.weight";
};
