/**
 * How full the cluster is, and how large a hole is left. Free totals mislead: sixteen free CPUs in sixteen places do not
 * hold a task of two. The largest hole is the one host where most of both dimensions is free at once.
 */
import type { AllocationView, Dimension, HostId, HostView, Resources } from "@berth/schema";

export interface Fill {
  readonly allocatable: number;
  readonly reserved: number;
  readonly used: number;
}
export interface Hole {
  readonly hostId: HostId;
  readonly free: Resources;
}

/** What is booked and used on hosts that can be used: a lost host offers nothing. */
export const clusterFill = (hosts: Iterable<HostView>, dimension: Dimension): Fill => {
  const fill = { allocatable: 0, reserved: 0, used: 0 };
  for (const host of hosts) {
    if (host.state !== "ready") continue;
    fill.allocatable += host.capacity.allocatable[dimension];
    fill.reserved += host.reserved[dimension];
    fill.used += host.usage?.[dimension] ?? 0;
  }
  return fill;
};

/** What is not booked. A host that shrank may be booked beyond what it has: then nothing is free. */
export const freeOn = (host: Pick<HostView, "capacity" | "reserved">): Resources => {
  const free = (dimension: Dimension): number =>
    Math.max(0, host.capacity.allocatable[dimension] - host.reserved[dimension]);
  return { cpuMillis: free("cpuMillis"), memoryBytes: free("memoryBytes"), pids: free("pids") };
};

/** The hole whose smaller side (as a share of the cluster's largest host) is largest; undefined when nothing is free. */
export const largestHole = (hosts: Iterable<HostView>): Hole | undefined => {
  const ready = [...hosts].filter((host) => host.state === "ready");
  const most = (dimension: Dimension): number =>
    Math.max(1, ...ready.map((host) => host.capacity.allocatable[dimension]));
  const [cpu, memory] = [most("cpuMillis"), most("memoryBytes")];
  let best: Hole | undefined;
  let bestSide = 0;
  for (const host of ready) {
    const free = freeOn(host);
    const side = free.pids === 0 ? 0 : Math.min(free.cpuMillis / cpu, free.memoryBytes / memory);
    if (side > bestSide) [best, bestSide] = [{ hostId: host.id, free }, side];
  }
  return best;
};

/** The fuller of CPU and memory, 0 … 1 and beyond when a host shrank: what "fullest first" sorts by. */
export const fullness = (host: Pick<HostView, "capacity" | "reserved">): number => {
  const share = (dimension: Dimension): number =>
    host.reserved[dimension] / Math.max(1, host.capacity.allocatable[dimension]);
  return Math.max(share("cpuMillis"), share("memoryBytes"));
};

/** One allocation in a strip: where it begins and how long it is, as shares of the host's capacity. */
export interface Segment {
  readonly allocation: AllocationView;
  readonly start: number;
  readonly length: number;
  /** Used ÷ reserved, 0 … 1; 0 when nothing was measured. */
  readonly used: number;
}

/** Allocations side by side in the order given: the same order in each strip shows whose shape does not match. */
export const segments = (
  host: Pick<HostView, "capacity">,
  allocations: readonly AllocationView[],
  dimension: Dimension,
): Segment[] => {
  const whole = Math.max(1, host.capacity.capacity[dimension]);
  let start = 0;
  return allocations.map((allocation) => {
    const reserved = allocation.resources[dimension];
    const length = Math.min(reserved / whole, Math.max(0, 1 - start));
    const used = reserved === 0 ? 0 : Math.min(1, (allocation.usage?.[dimension] ?? 0) / reserved);
    const segment = { allocation, start, length, used };
    start += length;
    return segment;
  });
};
