/**
 * How much of this machine may be requested. Capacity is the least of what the machine has, what this process may use
 * (affinity, cpuset) and what its own cgroups allow; the host keeps a reserve of it for the kernel, the agent and whoever
 * logs in to repair something:
 *
 *   5 % of each, at least 100m CPU, 256 MiB and 256 pids, at most 2 CPUs, 4 GiB and 4096 pids, and never more than half.
 *
 * With a declared share, the share is what containers get: no reserve is taken from it, and it cannot exceed what the
 * machine has.
 */
import {
  MAX_FURTHER,
  PORTS,
  portsIn,
  type Capacity,
  type Dimension,
  type PortRange,
  type Resources,
} from "@berth/schema";
import type { CgroupLimits } from "./cgroup-files.ts";

export interface Machine {
  readonly cpus: number;
  /** Processors this process may run on. */
  readonly allowedCpus: number | undefined;
  readonly memoryBytes: number;
  /** The smaller of pid_max and threads-max. */
  readonly pids: number;
  readonly limits: CgroupLimits;
}

export interface Share {
  readonly cpuMillis?: number;
  readonly memoryBytes?: number;
  readonly pids?: number;
}

const MIB = 2 ** 20;
const RESERVE: Readonly<Record<Dimension, { readonly least: number; readonly most: number }>> = {
  cpuMillis: { least: 100, most: 2000 },
  memoryBytes: { least: 256 * MIB, most: 4096 * MIB },
  pids: { least: 256, most: 4096 },
};

/** What of `amount` the host keeps for itself. */
export const reserveOf = (dimension: Dimension, amount: number): number => {
  const { least, most } = RESERVE[dimension];
  return Math.min(Math.floor(amount / 2), most, Math.max(least, Math.ceil(amount / 20)));
};

const least = (...values: readonly (number | undefined)[]): number =>
  Math.min(...values.filter((value) => value !== undefined));

/** All that the machine can give, before reserve and share. */
export const measuredCapacity = (machine: Machine): Resources => ({
  cpuMillis: least(
    machine.cpus * 1000,
    machine.allowedCpus === undefined ? undefined : machine.allowedCpus * 1000,
    machine.limits.cpuMillis,
  ),
  memoryBytes: least(machine.memoryBytes, machine.limits.memoryBytes),
  pids: least(machine.pids, machine.limits.pids),
});

export const capacityOf = (machine: Machine, share: Share): Capacity => {
  const measured = measuredCapacity(machine);
  const part = (dimension: Dimension): { readonly capacity: number; readonly reserved: number } => {
    const declared = share[dimension];
    const all = measured[dimension];
    return declared === undefined
      ? { capacity: all, reserved: reserveOf(dimension, all) }
      : { capacity: Math.min(declared, all), reserved: 0 };
  };
  const [cpu, memory, pids] = [part("cpuMillis"), part("memoryBytes"), part("pids")];
  return {
    capacity: { cpuMillis: cpu.capacity, memoryBytes: memory.capacity, pids: pids.capacity },
    systemReserved: { cpuMillis: cpu.reserved, memoryBytes: memory.reserved, pids: pids.reserved },
    allocatable: {
      cpuMillis: cpu.capacity - cpu.reserved,
      memoryBytes: memory.capacity - memory.reserved,
      pids: pids.capacity - pids.reserved,
    },
  };
};

/** With what the operator says that there is beside: nothing of it is kept back for the host. */
export const withFurther = (capacity: Capacity, further: Readonly<Record<string, number>>): Capacity =>
  Object.keys(further).length === 0
    ? capacity
    : {
        ...capacity,
        capacity: { ...capacity.capacity, more: { ...further } },
        allocatable: { ...capacity.allocatable, more: { ...further } },
      };

/** With the ports that it gives to whoever asks for any. */
export const withPorts = (capacity: Capacity, ports: PortRange): Capacity => ({
  ...withFurther(capacity, { ...capacity.capacity.more, [PORTS]: portsIn(ports) }),
  ports,
});

/** Why no scheduler would take what is named here beside CPUs, memory and processes; disk, ports, network and devices count, too. */
export const capacityFault = ({ capacity }: Capacity): string | undefined => {
  const names = Object.keys(capacity.more ?? {});
  if (names.length <= MAX_FURTHER) return undefined;
  return `this host has ${names.length} further resources, and may name ${MAX_FURTHER} (${names.sort().join(", ")}); leave out some --resource or --device`;
};

/** Sentences on a share that the machine cannot give. */
export const shareWarnings = (machine: Machine, share: Share): readonly string[] => {
  const measured = measuredCapacity(machine);
  const dimensions: readonly Dimension[] = ["cpuMillis", "memoryBytes", "pids"];
  return dimensions
    .filter((dimension) => (share[dimension] ?? 0) > measured[dimension])
    .map(
      (dimension) =>
        `the declared share of ${dimension} (${share[dimension]}) is more than this machine has (${measured[dimension]})`,
    );
};
