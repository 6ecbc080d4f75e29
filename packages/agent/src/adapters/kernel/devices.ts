/** What devices this machine has: those that were named, NVIDIA's by its driver's own list, and the cells of its processors. */
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { CELL_KIND, cpuList, cpuNumbers } from "@berth/schema";
import { wholeDevice, type HostDevice, type NamedDevice } from "../../core/devices.ts";

/** Where the kernel says it; tests have other directories. */
export interface DevicePlaces {
  readonly nodes: string;
  readonly nvidia: string;
}
const PLACES: DevicePlaces = { nodes: "/sys/devices/system/node", nvidia: "/proc/driver/nvidia/gpus" };

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

export const namedDevices = (named: readonly NamedDevice[]): HostDevice[] =>
  named.map((one) => ({ device: wholeDevice(one), nodes: one.paths.map(nodeOf) }));

/** Beside each GPU: what all of its users need, as far as it is there. */
const NVIDIA_SHARED = ["/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools", "/dev/nvidia-modeset"];

export const nvidiaDevices = ({ nvidia }: DevicePlaces = PLACES): HostDevice[] => {
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
    return [{ device: wholeDevice(named), nodes, nvidia: of("GPU UUID") ?? minor }];
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
