/** What this process and the kernel hold: exact where it can be told to be ours, counted by kind of object elsewhere. */
import { existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname } from "node:path";

/** Nobody but us makes these: afterwards they are as before, to the last one. */
export interface Own {
  readonly descriptors: number;
  readonly inotifyWatches: number;
  readonly epolls: number;
  readonly threads: number;
  readonly children: number;
  readonly mounts: number;
  readonly cgroups: number;
  readonly stateEntries: number;
}

/** Objects of the whole kernel; other programs make and drop some at any time. */
export type Kernel = Readonly<Record<string, number>>;

const read = (path: string): string => {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
};
const list = (path: string): string[] => (existsSync(path) ? readdirSync(path) : []);

const linkOf = (fd: string): string => {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return "";
  }
};

/**
 * Mounts of this mount namespace. Other programs, tests like this one among them, mount and unmount in it below /run (network
 * namespaces) and in directories of their own: those are not counted, and whatever names ours is, wherever it lies.
 */
const mountsBeside = (stateDir: string): number =>
  read("/proc/self/mountinfo")
    .split("\n")
    .filter((line) => {
      const point = line.split(" ")[4] ?? "";
      const isElsewhere = ["/run/", `${tmpdir()}/`].some((place) => point.startsWith(place));
      return line !== "" && (!isElsewhere || line.includes(dirname(stateDir)));
    }).length;

export const ownFootprint = (stateDir: string, cgroupParents: readonly string[]): Own => {
  const fds = list("/proc/self/fd");
  const links = fds.map(linkOf);
  const watches = fds
    .filter((_, i) => links[i] === "anon_inode:inotify")
    .map((fd) => read(`/proc/self/fdinfo/${fd}`).match(/^inotify /gm)?.length ?? 0);
  return {
    descriptors: fds.length,
    inotifyWatches: watches.reduce((sum, count) => sum + count, 0),
    epolls: links.filter((link) => link === "anon_inode:[eventpoll]").length,
    threads: list("/proc/self/task").length,
    children: list("/proc/self/task").flatMap((task) =>
      read(`/proc/self/task/${task}/children`)
        .split(" ")
        .filter((pid) => pid !== ""),
    ).length,
    mounts: mountsBeside(stateDir),
    cgroups: cgroupParents.reduce(
      (sum, parent) => sum + list(parent).filter((name) => existsSync(`${parent}/${name}/cgroup.procs`)).length,
      0,
    ),
    stateEntries: list(stateDir).length,
  };
};

const SLABS = [
  ...["pid_namespace", "user_namespace", "net_namespace", "uts_namespace", "mnt_cache", "mem_cgroup"],
  ...["key_jar", "task_struct"],
];

export const kernelFootprint = (): Kernel => {
  const slabs = new Map(
    read("/proc/slabinfo")
      .split("\n")
      .map((line) => line.split(/\s+/))
      .map(([name = "", active = "0"]) => [name, Number(active)]),
  );
  const key = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(read("/proc/meminfo"))?.[1]);
  const namespaces = new Set(
    list("/proc").flatMap((pid) =>
      /^\d+$/.test(pid)
        ? list(`/proc/${pid}/ns`).map((kind) => {
            try {
              return readlinkSync(`/proc/${pid}/ns/${kind}`);
            } catch {
              return "";
            }
          })
        : [],
    ),
  );
  return {
    ...Object.fromEntries(SLABS.flatMap((name) => (slabs.has(name) ? [[name, slabs.get(name) ?? 0]] : []))),
    "namespaces in use": namespaces.size,
    "key owners": read("/proc/key-users").split("\n").length - 1,
    cgroups: read("/proc/cgroups")
      .split("\n")
      .reduce((sum, line) => sum + (line.startsWith("#") ? 0 : Number(line.split("\t")[2] ?? 0)), 0),
    "slab that cannot be reclaimed, KiB": key("SUnreclaim"),
    "per-CPU, KiB": key("Percpu"),
  };
};
