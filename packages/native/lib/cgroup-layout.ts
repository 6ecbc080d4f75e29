/**
 * Where this host's cgroup hierarchies are mounted and which of them a container needs: v2, v1, or both at once
 * (hybrid). Reads only; lib/cgroup.ts changes things. `readCgroupLayout` is pure but for its reader, so it can be
 * tested with the files of other hosts.
 *
 * Some controllers are used by every container, others only where limits ask for them: each further v1 hierarchy costs
 * a directory and a join at every start, each further v2 controller memory in every cgroup.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";

/** In the order of the bits in include/spec.h. `io` is called blkio on v1. */
export const CONTROLLERS = [
  "cpu",
  "memory",
  "pids",
  "freezer",
  "cpuacct",
  "cpuset",
  "io",
  "hugetlb",
  "devices",
] as const;
export type Controller = (typeof CONTROLLERS)[number];

export interface Hierarchy {
  readonly path: string;
  readonly version: 1 | 2;
  /** Those of this hierarchy that Berth uses. */
  readonly controllers: readonly Controller[];
}

export interface CgroupLayout {
  readonly kind: "v1" | "hybrid" | "v2";
  /** Every container has a cgroup in each of them. */
  readonly hierarchies: readonly Hierarchy[];
  /** Used where limits need them. Of v2 it is the same hierarchy again, with controllers to be enabled on demand. */
  readonly onDemand: readonly Hierarchy[];
  /** Sentences on what cannot be enforced here. */
  readonly missing: readonly string[];
}

type Read = (path: string) => string;

export const readCgroupLayout = (read: Read = (path) => readFileSync(path, "utf8")): CgroupLayout => {
  const mounts = parseMounts(read("/proc/self/mountinfo"));
  const unified = mounts.find((mount) => mount.version === 2);
  const offered = unified === undefined ? [] : words(read(join(unified.path, "cgroup.controllers")));

  const place = (controller: Controller): Hierarchy | undefined => {
    const name = controller === "io" ? "blkio" : controller;
    const v1 = mounts.find((mount) => mount.version === 1 && mount.options.includes(name));
    if (v1 !== undefined) return { path: v1.path, version: 1, controllers: [controller] };
    /* v2 has neither a freezer nor a cpuacct controller: every cgroup of it can do both. */
    if (unified === undefined || !offered.includes(controller)) return undefined;
    return { path: unified.path, version: 2, controllers: [controller] };
  };

  const wanted: readonly Basic[] = unified === undefined ? [...BASIC, "freezer", "cpuacct"] : BASIC;
  const found = wanted.map((controller) => ({ controller, hierarchy: place(controller) }));
  const missing = found.flatMap(({ controller, hierarchy }) => (hierarchy === undefined ? [lacking[controller]] : []));
  const basic = found.flatMap(({ hierarchy }) => hierarchy ?? []);
  if (unified !== undefined) basic.push({ path: unified.path, version: 2, controllers: [] });

  const further = SPECIAL.flatMap((controller) => place(controller) ?? []);
  /* Mounted together with a controller that is always used, or v2's io, which costs little and counts for statistics. */
  const always = further.filter((hierarchy) =>
    hierarchy.version === 1
      ? basic.some((other) => other.path === hierarchy.path)
      : hierarchy.controllers.includes("io"),
  );
  const hierarchies = merge([...basic, ...always]);
  if (hierarchies.length === 0)
    missing.push("No cgroup hierarchy is mounted: nothing is limited and a container cannot be killed as a whole.");
  const legacy = hierarchies.some((hierarchy) => hierarchy.version === 1);
  return {
    kind: unified === undefined ? "v1" : legacy ? "hybrid" : "v2",
    hierarchies,
    onDemand: merge(further.filter((hierarchy) => !always.includes(hierarchy))),
    missing,
  };
};

const BASIC = ["cpu", "memory", "pids"] as const;
const SPECIAL = ["cpuset", "io", "hugetlb", "devices"] as const;

/** One entry for each path, with all of its controllers. */
const merge = (hierarchies: readonly Hierarchy[]): Hierarchy[] => {
  const byPath = new Map<string, Hierarchy>();
  for (const { path, version, controllers } of hierarchies) {
    const before = byPath.get(path)?.controllers ?? [];
    const all = CONTROLLERS.filter((name) => before.includes(name) || controllers.includes(name));
    byPath.set(path, { path, version, controllers: all });
  }
  return [...byPath.values()];
};

type Basic = (typeof BASIC)[number] | "freezer" | "cpuacct";

const lacking: Readonly<Record<Basic, string>> = {
  cpu: "The cpu controller is missing: neither shares nor quotas of CPU time are enforced.",
  memory: "The memory controller is missing: memory limits are not enforced.",
  pids: "The pids controller is missing: the number of processes is not limited.",
  freezer: "The freezer controller is missing: containers cannot be paused.",
  cpuacct: "The cpuacct controller is missing: CPU usage of containers is not known.",
};

const words = (text: string): string[] => text.split(/\s+/).filter((word) => word !== "");

interface CgroupMount {
  readonly path: string;
  readonly version: 1 | 2;
  readonly options: readonly string[];
}

/** proc_pid_mountinfo(5): "… root mountpoint options [tags] - type source superoptions", with \040 for a space. */
const parseMounts = (text: string): CgroupMount[] =>
  text.split("\n").flatMap((line): CgroupMount[] => {
    const [front, back] = line.split(" - ");
    const path = front
      ?.split(" ")[4]
      ?.replace(/\\([0-7]{3})/g, (_, code: string) => String.fromCharCode(Number.parseInt(code, 8)));
    const [type, , options] = back?.split(" ") ?? [];
    if (path === undefined) return [];
    if (type === "cgroup2") return [{ path, version: 2, options: [] }];
    return type === "cgroup" ? [{ path, version: 1, options: options?.split(",") ?? [] }] : [];
  });
