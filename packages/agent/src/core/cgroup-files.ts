/**
 * What the cgroups that the agent itself lives in allow, on v1, hybrid and v2 alike (cgroups(7), cgroup-v2.rst,
 * cgroup-v1/memory.rst). A limit anywhere on the way up binds, so every directory up to the mount point counts.
 * Pure: says which files to read, and reads their text.
 */
import { countCpuList } from "./proc-files.ts";

export type Controller = "cpu" | "cpuset" | "memory" | "pids";

export interface CgroupMount {
  readonly version: 1 | 2;
  readonly controllers: readonly string[];
  /** The directory of the hierarchy that is mounted, and where. */
  readonly root: string;
  readonly mountPoint: string;
}

const unescapeOctal = (text: string): string =>
  text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));

/** The cgroup hierarchies in /proc/self/mountinfo, see proc_pid_mountinfo(5). */
export const parseCgroupMounts = (mountinfo: string): readonly CgroupMount[] => {
  const mounts: CgroupMount[] = [];
  for (const line of mountinfo.split("\n")) {
    const [left, right] = line.split(" - ");
    const [, , , root, mountPoint] = (left ?? "").split(" ");
    const [type, , options] = (right ?? "").split(" ");
    if (root === undefined || mountPoint === undefined || (type !== "cgroup" && type !== "cgroup2")) continue;
    mounts.push({
      version: type === "cgroup2" ? 2 : 1,
      controllers: type === "cgroup2" ? [] : (options ?? "").split(","),
      root: unescapeOctal(root),
      mountPoint: unescapeOctal(mountPoint),
    });
  }
  return mounts;
};

/** `v2` when only the unified hierarchy is mounted, `hybrid` when both are. */
export const cgroupVersion = (mounts: readonly CgroupMount[]): "v1" | "hybrid" | "v2" => {
  const hasV1 = mounts.some((mount) => mount.version === 1);
  const hasV2 = mounts.some((mount) => mount.version === 2);
  return hasV2 ? (hasV1 ? "hybrid" : "v2") : "v1";
};

export interface CgroupFolder {
  readonly version: 1 | 2;
  /** Own directory first, then its parents up to the mount point. */
  readonly paths: readonly string[];
}

/** Where this process is in the hierarchy of `controller`; undefined when the controller is nowhere. */
export const cgroupFolder = (
  controller: Controller,
  selfCgroup: string,
  mounts: readonly CgroupMount[],
): CgroupFolder | undefined => {
  let unified: string | undefined;
  for (const line of selfCgroup.split("\n")) {
    const match = /^(\d+):([^:]*):(.*)$/.exec(line);
    if (match === null) continue;
    const [, id, names = "", path = "/"] = match;
    if (id === "0" && names === "") unified = path;
    if (!names.split(",").includes(controller)) continue;
    const mount = mounts.find((candidate) => candidate.version === 1 && candidate.controllers.includes(controller));
    return mount === undefined ? undefined : { version: 1, paths: upwards(path, mount) };
  }
  const mount = mounts.find((candidate) => candidate.version === 2);
  return unified === undefined || mount === undefined ? undefined : { version: 2, paths: upwards(unified, mount) };
};

const upwards = (path: string, mount: CgroupMount): readonly string[] => {
  // In a cgroup namespace a process outside its root has "..": only what is mounted can be read.
  const inside =
    mount.root === "/" || path === mount.root || path.startsWith(`${mount.root}/`)
      ? path.slice(mount.root === "/" ? 0 : mount.root.length)
      : "";
  const parts = inside.split("/").filter((part) => part !== "" && part !== "..");
  const paths: string[] = [];
  for (let length = parts.length; length >= 0; length -= 1) {
    paths.push([mount.mountPoint, ...parts.slice(0, length)].join("/"));
  }
  return paths;
};

export interface CgroupLimits {
  readonly cpuMillis: number | undefined;
  readonly memoryBytes: number | undefined;
  readonly pids: number | undefined;
}

/** v1 writes "no limit" as a number near 2^63. */
const NO_LIMIT = 2 ** 60;

const limitOf = (text: string | undefined): number | undefined => {
  const value = text?.trim();
  if (value === undefined || !/^\d+$/.test(value)) return undefined;
  return Number(value) >= NO_LIMIT ? undefined : Number(value);
};

/** `max 100000` or `50000 100000` (v2 cpu.max): quota and period in µs → thousandths of a CPU. */
export const parseCpuMax = (text: string): number | undefined => {
  const [quota, period] = text.trim().split(/\s+/);
  return cpuQuota(quota, period);
};

const cpuQuota = (quota: string | undefined, period: string | undefined): number | undefined => {
  const quotaUs = limitOf(quota);
  const periodUs = limitOf(period);
  return quotaUs === undefined || periodUs === undefined || periodUs === 0
    ? undefined
    : Math.floor((quotaUs * 1000) / periodUs);
};

const least = (values: readonly (number | undefined)[]): number | undefined => {
  const known = values.filter((value) => value !== undefined);
  return known.length === 0 ? undefined : Math.min(...known);
};

/** The tightest limit of each kind on the way up. `read` answers undefined for files that are not there. */
export const readCgroupLimits = (
  selfCgroup: string,
  mountinfo: string,
  read: (path: string) => string | undefined,
): CgroupLimits => {
  const mounts = parseCgroupMounts(mountinfo);
  const each = (
    controller: Controller,
    limit: (path: string, version: 1 | 2) => number | undefined,
  ): number | undefined => {
    const folder = cgroupFolder(controller, selfCgroup, mounts);
    return folder === undefined ? undefined : least(folder.paths.map((path) => limit(path, folder.version)));
  };
  const quota = each("cpu", (path, version) => {
    if (version === 1) return cpuQuota(read(`${path}/cpu.cfs_quota_us`), read(`${path}/cpu.cfs_period_us`));
    const text = read(`${path}/cpu.max`);
    return text === undefined ? undefined : parseCpuMax(text);
  });
  const cpus = each("cpuset", (path, version) => {
    const text = read(version === 1 ? `${path}/cpuset.effective_cpus` : `${path}/cpuset.cpus.effective`);
    const count = text === undefined ? undefined : countCpuList(text);
    return count === undefined || count === 0 ? undefined : count * 1000;
  });
  return {
    cpuMillis: least([quota, cpus]),
    memoryBytes: each("memory", (path, version) =>
      limitOf(read(version === 1 ? `${path}/memory.limit_in_bytes` : `${path}/memory.max`)),
    ),
    pids: each("pids", (path) => limitOf(read(`${path}/pids.max`))),
  };
};
