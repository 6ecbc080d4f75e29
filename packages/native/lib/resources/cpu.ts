/** CPU time, processors and memory nodes as cgroup files (cgroup-v2.rst; sched-bwc.rst; cgroup-v1/cpusets.rst). */
import { parseList, type Resources } from "./resources.ts";
import type { HostHierarchy, ResourceHost, Setting } from "./setting.ts";

/** Short enough that a quota is felt evenly: 2.7 % worst error instead of 6.6 % at the kernel's own 100 ms. */
const PERIOD_US = 20_000;
const MIN_QUOTA_US = 1000;

const bounded = (value: number, least: number, most: number): number => Math.min(most, Math.max(least, value));

/** Microseconds of CPU in each period. A tiny limit gets a longer period, since quotas below 1 ms are refused. */
const quotaOf = (limitMillis: number): { readonly quota: number; readonly period: number } => {
  const quota = Math.floor((limitMillis * PERIOD_US) / 1000);
  return quota >= MIN_QUOTA_US
    ? { quota, period: PERIOD_US }
    : { quota: MIN_QUOTA_US, period: Math.floor((MIN_QUOTA_US * 1000) / limitMillis) };
};

export const cpuSettings = (wanted: Resources, { path, version }: HostHierarchy): Setting[] => {
  const cpu = { path, controller: "cpu" } as const;
  const { quota, period } =
    wanted.cpuLimitMillis === null
      ? { quota: Number.POSITIVE_INFINITY, period: version === 1 ? 100_000 : PERIOD_US }
      : quotaOf(wanted.cpuLimitMillis);
  const burst = Math.floor(((wanted.cpuBurstMillis ?? 0) * period) / 1000);
  const burstSetting = (file: string): Setting => ({
    ...cpu,
    file,
    value: `${burst}`,
    initial: "0",
    amount: burst,
  });
  if (version === 1) {
    return [
      { ...cpu, file: "cpu.shares", value: `${sharesOf(wanted.cpuRequestMillis)}`, initial: "1024" },
      { ...cpu, file: "cpu.cfs_period_us", value: `${period}`, initial: "100000" },
      {
        ...cpu,
        file: "cpu.cfs_quota_us",
        value: quota === Number.POSITIVE_INFINITY ? "-1" : `${quota}`,
        initial: "-1",
        amount: quota,
      },
      burstSetting("cpu.cfs_burst_us"),
    ];
  }
  return [
    { ...cpu, file: "cpu.weight", value: `${weightOf(wanted.cpuRequestMillis)}`, initial: "100" },
    {
      ...cpu,
      file: "cpu.max",
      value: quota === Number.POSITIVE_INFINITY ? "max 100000" : `${quota} ${period}`,
      initial: "max 100000",
      amount: quota,
    },
    burstSetting("cpu.max.burst"),
  ];
};

/** One whole CPU is the kernel's default: 1024 shares on v1, a weight of 100 on v2. */
const sharesOf = (requestMillis: number): number => bounded(Math.floor((requestMillis * 1024) / 1000), 2, 262_144);
const weightOf = (requestMillis: number): number => bounded(Math.floor(requestMillis / 10), 1, 10_000);

/**
 * v1 lets nobody join before both lists are filled, so they come as a pair; v2 takes an empty one for "as above", but
 * lets no list become empty again while processes are there.
 */
export const cpusetSettings = (wanted: Resources, hierarchy: HostHierarchy, host: ResourceHost): Setting[] => {
  const { cpus, memoryNodes } = wanted;
  const asked = cpus !== undefined || memoryNodes !== undefined;
  const at = { path: hierarchy.path, controller: "cpuset" } as const;
  if (hierarchy.version === 1) {
    if (!asked && hierarchy.onDemand) return [];
    return [
      { ...at, file: "cpuset.cpus", value: cpus ?? host.cpus, initial: host.cpus, always: true },
      { ...at, file: "cpuset.mems", value: memoryNodes ?? host.memoryNodes, initial: host.memoryNodes, always: true },
      /* Pages follow when the nodes change, as they always do on v2. */
      { ...at, file: "cpuset.memory_migrate", value: asked ? "1" : "0", initial: "0" },
    ];
  }
  return [
    ...(cpus === undefined ? [] : [{ ...at, file: "cpuset.cpus", value: cpus, initial: host.cpus }]),
    ...(memoryNodes === undefined
      ? []
      : [{ ...at, file: "cpuset.mems", value: memoryNodes, initial: host.memoryNodes }]),
  ];
};

/** v2 takes processors that are not there and then ignores the list: a sentence on them, or undefined. */
export const cpusetMistake = ({ cpus, memoryNodes }: Resources, host: ResourceHost): string | undefined => {
  const absent = (knob: string, asked: string | undefined, present: string): string | undefined => {
    const there = asked === undefined ? undefined : parseList(present);
    if (asked === undefined || there === undefined) return undefined;
    const lost = [...(parseList(asked) ?? [])].filter((number) => !there.has(number));
    return lost.length === 0 ? undefined : `${knob}: ${lost.slice(0, 8).join(",")} of ${asked} not among ${present}`;
  };
  return absent("cpus", cpus, host.cpus) ?? absent("memoryNodes", memoryNodes, host.memoryNodes);
};
