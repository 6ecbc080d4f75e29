/**
 * The one question of fit. Planning, validation, dry run and every explanation ask it here, so that they cannot disagree.
 * Amounts are vectors in the order of DIMENSIONS: integers, exact in doubles. A new dimension is a line in the schema.
 */
import {
  DIMENSIONS,
  noResources,
  type Capacity,
  type Dimension,
  type HostId,
  type HostRejection,
  type Resources,
} from "@berth/schema";

export type Vector = Float64Array;

export const toVector = (resources: Resources): Vector => {
  const vector = new Float64Array(DIMENSIONS.length);
  DIMENSIONS.forEach((dimension, at) => (vector[at] = resources[dimension]));
  return vector;
};

/** `left` plus (`sign` 1) or minus (-1) `right`. */
export const addResources = (left: Resources, right: Resources, sign: 1 | -1): Resources => {
  const result = noResources();
  for (const dimension of DIMENSIONS) result[dimension] = left[dimension] + sign * right[dimension];
  return result;
};

/**
 * What may be booked on a host that reports this. A host that claims more allocatable than its capacity leaves after the
 * system's share is believed in the smaller number; a host without anything is a host on which nothing fits.
 */
export const bookable = (reported: Capacity): Resources => {
  const result = noResources();
  for (const dimension of DIMENSIONS) {
    const left = reported.capacity[dimension] - reported.systemReserved[dimension];
    result[dimension] = Math.max(0, Math.min(reported.allocatable[dimension], left));
  }
  return result;
};

/** The first dimension in which `request` exceeds what is at `from` in `available`, or -1 when all of it fits. */
export const firstShort = (available: ArrayLike<number>, from: number, request: ArrayLike<number>): number => {
  for (let at = 0; at < request.length; at += 1) {
    if ((request[at] as number) > (available[from + at] as number)) return at;
  }
  return -1;
};

/** What the question needs to know of a host. `free` may be negative: a host may shrink below what is booked on it. */
export interface HostRoom {
  readonly hostId: HostId;
  readonly ready: boolean;
  readonly allocatable: Vector;
  readonly free: Vector;
}

/**
 * Why this host cannot take the request: its first failing check, or undefined when it can. `too_small` comes before
 * `exhausted`, because no amount of waiting helps there. `short` is how much would have to be added or freed.
 */
export const rejection = (host: HostRoom, request: ArrayLike<number>): HostRejection | undefined => {
  if (!host.ready) return { hostId: host.hostId, reason: "lost" };
  const small = firstShort(host.allocatable, 0, request);
  const at = small >= 0 ? small : firstShort(host.free, 0, request);
  if (at < 0) return undefined;
  const requested = request[at] as number;
  const room = ((small >= 0 ? host.allocatable : host.free)[at] as number) || 0;
  return {
    hostId: host.hostId,
    reason: small >= 0 ? "too_small" : "exhausted",
    dimension: DIMENSIONS[at] as Dimension,
    requested,
    free: Math.max(0, room),
    short: requested - room,
  };
};
