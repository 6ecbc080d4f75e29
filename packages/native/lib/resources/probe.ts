/** Reads what settings.ts has to know of this host. Once, when a runtime opens; after cgroup-parent.ts did its work. */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Hierarchy } from "../cgroup-layout.ts";
import { controlFiles, type PreparedParent } from "../cgroup-parent.ts";
import type { HostHierarchy, ResourceHost } from "./setting.ts";

export const probeResources = async ({ layout, reasons }: PreparedParent, parent: string): Promise<ResourceHost> => {
  const probed = async (hierarchy: Hierarchy, onDemand: boolean): Promise<HostHierarchy> => ({
    ...hierarchy,
    onDemand,
    files: await controlFiles(join(hierarchy.path, parent)),
  });
  const hierarchies = [
    ...(await Promise.all(layout.hierarchies.map((hierarchy) => probed(hierarchy, false)))),
    ...(await Promise.all(layout.onDemand.map((hierarchy) => probed(hierarchy, true)))),
  ];
  const cpuset = hierarchies.find(({ controllers }) => controllers.includes("cpuset"));
  const listOf = async (what: "cpus" | "mems", fallback: string): Promise<string> => {
    const file = cpuset?.version === 1 ? `cpuset.effective_${what}` : `cpuset.${what}.effective`;
    const own = cpuset === undefined ? undefined : await tryRead(join(cpuset.path, parent, file));
    return (own ?? (await tryRead(fallback)) ?? "0").trim();
  };
  return {
    hierarchies,
    reasons,
    cpus: await listOf("cpus", "/sys/devices/system/cpu/online"),
    memoryNodes: await listOf("mems", "/sys/devices/system/node/online"),
    ioWeights: await ioWeights(hierarchies),
  };
};

/** Weights are heeded by the bfq scheduler of a disk, or by io.cost where an operator switched it on (v2 only). */
const ioWeights = async (hierarchies: readonly HostHierarchy[]): Promise<ResourceHost["ioWeights"]> => {
  const io = hierarchies.find(({ controllers }) => controllers.includes("io"));
  if (io === undefined) return undefined;
  if (io.version === 2 && ((await tryRead(join(io.path, "io.cost.qos"))) ?? "").includes("enable=1")) return "iocost";
  const disks = await readdir("/sys/block").catch(() => []);
  const schedulers = await Promise.all(disks.map((disk) => tryRead(`/sys/block/${disk}/queue/scheduler`)));
  return schedulers.some((text) => text?.includes("[bfq]")) ? "bfq" : undefined;
};

const tryRead = async (path: string): Promise<string | undefined> => {
  try {
    return await readFile(path, "utf8");
  } catch {
    return undefined;
  }
};
