/**
 * Devices of this host: what is told of them, and what a container gets of what it was granted: nodes below /dev, processors,
 * memory nodes, and variables that say which they are.
 */
import {
  CELL_KIND,
  DEVICE_KIND,
  deviceTotals,
  err,
  ok,
  WHOLE_DEVICE,
  type Capacity,
  type Device,
  type DeviceGrant,
  type Result,
} from "@berth/schema";
import type { ContainerSpec } from "./container.ts";
import { withFurther } from "./capacity.ts";

type Node = NonNullable<ContainerSpec["devices"]>[number];

/** A device and what reaches it. */
export interface HostDevice {
  readonly device: Device;
  readonly nodes: readonly Node[];
  /** As its own driver's tools call it, for NVIDIA_VISIBLE_DEVICES. */
  readonly nvidia?: string;
}

/** As an operator names one: `gpu:0@A100=/dev/nvidia0,/dev/nvidiactl`. */
export interface NamedDevice {
  readonly kind: string;
  readonly id: string;
  readonly model?: string;
  readonly paths: readonly string[];
}

const NAMED =
  /^(?<kind>[a-z0-9]+):(?<id>[A-Za-z0-9][A-Za-z0-9._-]{0,63})(@(?<model>[A-Za-z0-9][A-Za-z0-9 ._/+-]{0,63}))?=(?<paths>.*)$/u;
const NODE_PATH = /^\/dev(\/[A-Za-z0-9_:.@+-]{1,100}){1,4}$/u;
const EXAMPLE = "write it like gpu:0@A100=/dev/nvidia0,/dev/nvidiactl";

export const parseNamedDevice = (text: string): Result<NamedDevice, string> => {
  const { kind = "", id = "", model, paths = "" } = NAMED.exec(text)?.groups ?? {};
  if (!new RegExp(DEVICE_KIND, "u").test(kind)) return err(`${text}: ${EXAMPLE}`);
  if (kind === CELL_KIND) return err(`${text}: processors are found by themselves, see --pinning`);
  const all = paths.split(",");
  const wrong = all.find((path) => !NODE_PATH.test(path) || path.includes("/."));
  if (wrong !== undefined) return err(`${text}: "${wrong}" is no path below /dev; ${EXAMPLE}`);
  return ok({ kind, id, paths: all, ...(model === undefined ? {} : { model }) });
};

export const wholeDevice = ({ kind, id, model }: NamedDevice): Device => ({
  ...{ kind, id, has: { milli: WHOLE_DEVICE } },
  ...(model === undefined ? {} : { model }),
});

/** With what devices come to in all. */
export const withDevices = (capacity: Capacity, devices: readonly HostDevice[]): Capacity => {
  if (devices.length === 0) return capacity;
  const all = devices.map(({ device }) => device);
  const totals = deviceTotals(all.map(({ kind, has }) => ({ kind, count: 1, each: has })));
  const further = { ...capacity.capacity.more, ...totals };
  return { ...withFurther(capacity, further), devices: all };
};

export interface DeviceSettings {
  readonly env: Readonly<Record<string, string>>;
  readonly nodes: readonly Node[];
  readonly cpus?: string;
  readonly memoryNodes?: string;
}

/** The error is a sentence: a device that was granted is not here. */
export const settingsOf = (
  grants: readonly DeviceGrant[],
  devices: readonly HostDevice[],
): Result<DeviceSettings, string> => {
  const nodes = new Map<string, Node>();
  const [ids, nvidia] = [new Map<string, string[]>(), [] as string[]];
  const [cpus, cells] = [[] as string[], [] as string[]];
  const env: Record<string, string> = {};
  for (const { kind, id, amounts, cpus: own } of grants) {
    const found = devices.find(({ device }) => device.kind === kind && device.id === id);
    if (found === undefined) return err(`this host has no ${kind} ${id}`);
    if (own !== undefined) cpus.push(own);
    if (kind === CELL_KIND) {
      cells.push(id);
      continue;
    }
    for (const node of found.nodes) nodes.set(node.path, node);
    ids.set(kind, [...(ids.get(kind) ?? []), id]);
    if (found.nvidia !== undefined) nvidia.push(found.nvidia);
    for (const [name, amount] of Object.entries(amounts)) env[nameOf(kind, name)] = String(amount);
  }
  for (const [kind, some] of ids) env[nameOf(kind)] = some.join(",");
  if (nvidia.length > 0) env["NVIDIA_VISIBLE_DEVICES"] = nvidia.join(",");
  if (cpus.length > 0) env["BERTH_CPUS"] = cpus.join(",");
  return ok({
    ...{ env, nodes: [...nodes.values()] },
    ...(cpus.length > 0 && { cpus: cpus.join(",") }),
    ...(cells.length > 0 && { memoryNodes: cells.join(",") }),
  });
};

/** BERTH_GPU, BERTH_GPU_MILLI, BERTH_GPU_MEMORY_BYTES. */
const nameOf = (kind: string, amount?: string): string =>
  ["BERTH", kind, ...(amount === undefined ? [] : [amount.replaceAll(/([A-Z])/gu, "_$1")])].join("_").toUpperCase();
