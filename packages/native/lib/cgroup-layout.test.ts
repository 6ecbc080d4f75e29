import { describe, expect, test } from "vitest";
import { readCgroupLayout } from "./cgroup-layout.ts";

const line = (path: string, type: string, options: string): string =>
  `30 20 0:25 / ${path} rw,nosuid shared:5 - ${type} cgroup ${options}`;
const host = (mounts: readonly string[], controllers: Readonly<Record<string, string>> = {}) =>
  readCgroupLayout((path) => {
    if (path === "/proc/self/mountinfo") return ["22 1 8:1 / / rw - ext4 /dev/root rw", ...mounts, ""].join("\n");
    const text = controllers[path];
    if (text === undefined) throw new Error(`unexpected read of ${path}`);
    return text;
  });

describe("readCgroupLayout", () => {
  test("pure v2 uses one hierarchy for everything", () => {
    expect(
      host([line("/sys/fs/cgroup", "cgroup2", "rw,nsdelegate")], {
        "/sys/fs/cgroup/cgroup.controllers": "cpuset cpu io memory hugetlb pids rdma misc\n",
      }),
    ).toEqual({
      kind: "v2",
      hierarchies: [{ path: "/sys/fs/cgroup", version: 2, controllers: ["cpu", "memory", "pids", "io"] }],
      onDemand: [{ path: "/sys/fs/cgroup", version: 2, controllers: ["cpuset", "hugetlb"] }],
      missing: [],
    });
  });

  test("pure v1 adds the controllers that do what v2 does by itself", () => {
    const layout = host([
      line("/sys/fs/cgroup/cpu,cpuacct", "cgroup", "rw,cpu,cpuacct"),
      line("/sys/fs/cgroup/memory", "cgroup", "rw,memory"),
      line("/sys/fs/cgroup/pids", "cgroup", "rw,pids"),
      line("/sys/fs/cgroup/freezer", "cgroup", "rw,freezer"),
      line("/sys/fs/cgroup/systemd", "cgroup", "rw,xattr,name=systemd"),
    ]);
    expect(layout.kind).toBe("v1");
    expect(layout.missing).toEqual([]);
    expect(layout.hierarchies).toEqual([
      { path: "/sys/fs/cgroup/cpu,cpuacct", version: 1, controllers: ["cpu", "cpuacct"] },
      { path: "/sys/fs/cgroup/memory", version: 1, controllers: ["memory"] },
      { path: "/sys/fs/cgroup/pids", version: 1, controllers: ["pids"] },
      { path: "/sys/fs/cgroup/freezer", version: 1, controllers: ["freezer"] },
    ]);
  });

  test("v1 controllers that few need are apart, unless they are mounted together with one that all need", () => {
    const layout = host([
      line("/cg/cpu", "cgroup", "rw,cpu,cpuset"),
      line("/cg/memory", "cgroup", "rw,memory"),
      line("/cg/blkio", "cgroup", "rw,blkio"),
    ]);
    expect(layout.hierarchies[0]).toEqual({ path: "/cg/cpu", version: 1, controllers: ["cpu", "cpuset"] });
    expect(layout.onDemand).toEqual([{ path: "/cg/blkio", version: 1, controllers: ["io"] }]);
  });

  test("hybrid takes each controller where it is, and v2 for killing and counting", () => {
    const layout = host(
      [
        line("/sys/fs/cgroup/cpu", "cgroup", "rw,cpu"),
        line("/sys/fs/cgroup/memory", "cgroup", "rw,memory"),
        line("/sys/fs/cgroup/unified", "cgroup2", "rw"),
      ],
      { "/sys/fs/cgroup/unified/cgroup.controllers": "pids\n" },
    );
    expect(layout).toEqual({
      kind: "hybrid",
      hierarchies: [
        { path: "/sys/fs/cgroup/cpu", version: 1, controllers: ["cpu"] },
        { path: "/sys/fs/cgroup/memory", version: 1, controllers: ["memory"] },
        { path: "/sys/fs/cgroup/unified", version: 2, controllers: ["pids"] },
      ],
      onDemand: [],
      missing: [],
    });
  });

  test("what is missing is said", () => {
    const layout = host([line("/cg", "cgroup2", "rw")], { "/cg/cgroup.controllers": "cpu\n" });
    expect(layout.missing).toEqual([
      "The memory controller is missing: memory limits are not enforced.",
      "The pids controller is missing: the number of processes is not limited.",
    ]);
    expect(host([]).missing.at(-1)).toMatch(/^No cgroup hierarchy is mounted/);
  });

  test("mount points with spaces are understood", () => {
    const layout = host([line("/odd\\040place", "cgroup2", "rw")], {
      "/odd place/cgroup.controllers": "cpu memory pids\n",
    });
    expect(layout.hierarchies[0]?.path).toBe("/odd place");
  });
});
