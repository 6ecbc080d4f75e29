/**
 * Where this host's cgroup hierarchies are mounted and which of them a container needs: v2, v1, or both at once
 * (hybrid). Reads only; lib/cgroup.ts changes things. `readCgroupLayout` is pure but for its reader, so it can be
 * tested with the files of other hosts.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";

/** In the order of the bits in include/spec.h. */
export const CONTROLLERS = ["cpu", "memory", "pids", "freezer", "cpuacct"] as const;
export type Controller = (typeof CONTROLLERS)[number];

export interface Hierarchy {
  readonly path: string;
  readonly version: 1 | 2;
  /** Those of this hierarchy that Berth uses. */
  readonly controllers: readonly Controller[];
}

export interface CgroupLayout {
  readonly kind: "v1" | "hybrid" | "v2";
  readonly hierarchies: readonly Hierarchy[];
  /** Sentences on what cannot be enforced here. */
  readonly missing: readonly string[];
}

type Read = (path: string) => string;

export const readCgroupLayout = (read: Read = (path) => readFileSync(path, "utf8")): CgroupLayout => {
  const mounts = parseMounts(read("/proc/self/mountinfo"));
  const unified = mounts.find((mount) => mount.version === 2);
  const offered = unified === undefined ? [] : words(read(join(unified.path, "cgroup.controllers")));

  const used = new Map<string, Hierarchy>();
  const use = (path: string, version: 1 | 2, controllers: readonly Controller[]) => {
    const before = used.get(path)?.controllers ?? [];
    used.set(path, {
      path,
      version,
      controllers: CONTROLLERS.filter((c) => before.includes(c) || controllers.includes(c)),
    });
  };
  /* v2 tells usage, freezes and kills by itself; without it two more v1 controllers do that. */
  const wanted: readonly Controller[] = unified === undefined ? CONTROLLERS : ["cpu", "memory", "pids"];
  const missing: string[] = [];
  let legacy = false;
  for (const controller of wanted) {
    const v1 = mounts.find((mount) => mount.version === 1 && mount.options.includes(controller));
    if (v1 !== undefined) {
      legacy = true;
      use(v1.path, 1, [controller]);
    } else if (unified !== undefined && offered.includes(controller)) use(unified.path, 2, [controller]);
    else missing.push(lacking[controller]);
  }
  if (unified !== undefined) use(unified.path, 2, []);
  if (used.size === 0)
    missing.push("No cgroup hierarchy is mounted: nothing is limited and a container cannot be killed as a whole.");
  return {
    kind: unified === undefined ? "v1" : legacy ? "hybrid" : "v2",
    hierarchies: [...used.values()],
    missing,
  };
};

const lacking: Readonly<Record<Controller, string>> = {
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
