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
    ...(await weighing(hierarchies)),
  };
};

/** Weights are heeded by the bfq scheduler of a disk, or by io.cost where an operator switched it on (v2 only). */
const weighing = async (
  hierarchies: readonly HostHierarchy[],
): Promise<Pick<ResourceHost, "ioWeights" | "weighedDisks">> => {
  const io = hierarchies.find(({ controllers }) => controllers.includes("io"));
  if (io === undefined) return { ioWeights: undefined, weighedDisks: new Set() };
  const costs = io.version === 2 ? ((await tryRead(join(io.path, "io.cost.qos"))) ?? "") : "";
  const byCost = [...costs.matchAll(/^(\d+:\d+) .*\benable=1/gm)].map(([, device = ""]) => device);
  if (byCost.length > 0) return { ioWeights: "iocost", weighedDisks: new Set(byCost) };
  const disks = await readdir("/sys/block").catch(() => []);
  const byBfq = await Promise.all(
    disks.map(async (disk) => {
      const scheduler = await tryRead(`/sys/block/${disk}/queue/scheduler`);
      return scheduler?.includes("[bfq]") === true ? (await tryRead(`/sys/block/${disk}/dev`))?.trim() : undefined;
    }),
  );
  const weighedDisks = new Set(byBfq.filter((device) => device !== undefined));
  return { ioWeights: weighedDisks.size > 0 ? "bfq" : undefined, weighedDisks };
};

const tryRead = async (path: string): Promise<string | undefined> => {
  try {
    return await readFile(path, "utf8");
  } catch {
    return undefined;
  }
};
