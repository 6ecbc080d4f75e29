/**
 * What is reserved on a host, read from the index, which has it booked already: the sum of the requests of all allocations
 * that have not ended there, those that are being stopped included, and of volumes. Room that is kept for tasks is not in it.
 */
import { DIMENSIONS, noResources, type HostId, type Resources } from "@berth/schema";
import { inside, type ClusterState } from "./state.ts";
import { addRow, padded, STRIDE } from "./vector.ts";

/** Nothing on a host that is not known. What is not there is not listed, so that equal sums look alike. */
export const reservedOn = (state: ClusterState, id: HostId): Resources => {
  const { dimensions, hosts, index } = inside(state);
  const host = hosts.get(id);
  const sum = noResources();
  if (host === undefined) return sum;
  const { allocatable, free } = index.rows();
  const [from, to] = [host.slot * STRIDE, (host.slot + 1) * STRIDE];
  const booked = padded(allocatable.subarray(from, to));
  addRow(booked, 0, free.subarray(from, to), -1);
  for (const { requestClass } of host.reservations) addRow(booked, 0, requestClass.request, -1);
  const more: Record<string, number> = {};
  dimensions.forEach((name, at) => {
    const amount = booked[at] as number;
    const own = DIMENSIONS[at];
    if (own !== undefined) sum[own] = amount;
    else if (amount !== 0) more[name] = amount;
  });
  return Object.keys(more).length === 0 ? sum : { ...sum, more };
};
