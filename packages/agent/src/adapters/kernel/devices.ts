/** What devices this machine has: those that were named, NVIDIA's by its driver's own list, and the cells of its processors. */
import { existsSync, readdirSync, readFileSync, realpathSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { CELL_KIND, cpuList, cpuNumbers } from "@berth/schema";
import { wholeDevice, type HostDevice, type NamedDevice } from "../../core/devices.ts";

/** Where the kernel says it; tests have other directories. */
export interface DevicePlaces {
  readonly nodes: string;
  readonly nvidia: string;
  readonly sys: string;
}
const PLACES: DevicePlaces = {
  nodes: "/sys/devices/system/node",
  nvidia: "/proc/driver/nvidia/gpus",
  sys: "/sys",
};

/** Of a device number as stat(2) gives it: gnu_dev_major and gnu_dev_minor. */
const numberOf = (rdev: number): { readonly major: number; readonly minor: number } => {
  const all = BigInt(rdev);
  return {
    major: Number(((all >> 8n) & 0xfffn) | ((all >> 32n) & 0xfffff000n)),
    minor: Number((all & 0xffn) | ((all >> 12n) & 0xffffff00n)),
  };
};

/** Throws a sentence when something else is there, or nothing. */
const nodeOf = (path: string): HostDevice["nodes"][number] => {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined) throw new Error(`there is no device ${path}`);
  const type = found.isCharacterDevice() ? "char" : found.isBlockDevice() ? "block" : undefined;
  if (type === undefined) throw new Error(`${path} is no device`);
  return { path, type, ...numberOf(found.rdev), mode: 0o666 };
};

/** The cell that the first of these is attached to which says one: itself, or what it is a part of. */
const cellOf = (places: readonly string[]): { readonly cell?: string } => {
  for (const place of places) {
    if (!existsSync(place)) continue;
    for (let at = realpathSync(place); at.includes("/devices/"); at = dirname(at)) {
      const file = join(at, "numa_node");
      const said = existsSync(file) ? readFileSync(file, "utf8").trim() : "";
      // -1: the firmware does not tell.
      if (/^\d+$/u.test(said)) return { cell: said };
    }
  }
  return {};
};

export const namedDevices = (named: readonly NamedDevice[], { sys } = PLACES): HostDevice[] =>
  named.map((one) => {
    const nodes = one.paths.map(nodeOf);
    const places = nodes.map(({ type, major, minor }) => join(sys, "dev", type, `${major}:${minor}`));
    return { device: { ...wholeDevice(one), ...cellOf(places) }, nodes };
  });

/** Beside each GPU: what all of its users need, as far as it is there. */
const NVIDIA_SHARED = ["/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools", "/dev/nvidia-modeset"];

export const nvidiaDevices = ({ nvidia, sys }: DevicePlaces = PLACES): HostDevice[] => {
  if (!existsSync(nvidia)) return [];
  return readdirSync(nvidia).flatMap((address): HostDevice[] => {
    const text = readFileSync(join(nvidia, address, "information"), "utf8");
    const of = (field: string): string | undefined => new RegExp(`^${field}:\\s*(.+?)\\s*$`, "mu").exec(text)?.[1];
    const minor = of("Device Minor");
    const path = `/dev/nvidia${minor}`;
    if (minor === undefined || !existsSync(path)) return [];
    const nodes = [path, ...NVIDIA_SHARED.filter((shared) => existsSync(shared))].map(nodeOf);
    const model = of("Model")
      ?.replaceAll(/[^A-Za-z0-9 ._/+-]/gu, "")
      .slice(0, 64);
    const named = { kind: "gpu", id: minor, paths: [], ...(model === undefined ? {} : { model }) };
    const device = { ...wholeDevice(named), ...cellOf([join(sys, "bus/pci/devices", address.toLowerCase())]) };
    return [{ device, nodes, nvidia: of("GPU UUID") ?? minor }];
  });
};

const KIB = 1024;

/** Cells with the processors that `allowed` (a list) leaves of them, and their memory; without NUMA there are none. */
export const cellDevices = (allowed: string, { nodes }: DevicePlaces = PLACES): HostDevice[] => {
  if (!existsSync(nodes)) return [];
  const usable = new Set(cpuNumbers(allowed));
  return readdirSync(nodes).flatMap((name): HostDevice[] => {
    const id = /^node(\d+)$/u.exec(name)?.[1];
    if (id === undefined) return [];
    const list = readFileSync(join(nodes, name, "cpulist"), "utf8").trim();
    const cpus = list === "" ? [] : cpuNumbers(list).filter((cpu) => usable.has(cpu));
    const total = /MemTotal:\s+(\d+) kB/u.exec(readFileSync(join(nodes, name, "meminfo"), "utf8"))?.[1];
    if (cpus.length === 0 || total === undefined) return [];
    const has = { cpus: cpus.length, memoryBytes: Number(total) * KIB };
    return [{ device: { kind: CELL_KIND, id, has, cpus: cpuList(cpus) }, nodes: [] }];
  });
};

/** The processors that this process may use. */
export const allowedCpus = (): string =>
  /^Cpus_allowed_list:\s*(.+)$/mu.exec(readFileSync("/proc/self/status", "utf8"))?.[1]?.trim() ?? "0";
