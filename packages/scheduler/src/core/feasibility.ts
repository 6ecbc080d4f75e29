/**
 * The one question of fit. Planning, validation, dry run and every explanation ask it here, so that they cannot disagree.
 * Amounts are vectors: integers, exact in doubles, in the order in which dimensions became known, DIMENSIONS first.
 */
import {
  amountIn,
  deviceAskText,
  DIMENSIONS,
  KEPT,
  MAX_COUNTED,
  noResources,
  PORTS,
  portsIn,
  type Capacity,
  type HostId,
  type HostRejection,
  type Resources,
} from "@berth/schema";
import { unfulfilled, type Wish } from "./devices.ts";
import { BASE, STRIDE, type Vector } from "./vector.ts";

/** `names` says which dimension stands where. A new vector costs more than all that is done with most: `into` is used again. */
export const toVector = (names: readonly string[], resources: Resources, into?: Vector): Vector => {
  const vector = into?.fill(0) ?? new Float64Array(STRIDE);
  DIMENSIONS.forEach((dimension, at) => (vector[at] = resources[dimension]));
  for (const [name, amount] of Object.entries(resources.more ?? {})) {
    const at = names.indexOf(name);
    // What has a field of its own is not said here.
    if (at >= DIMENSIONS.length) vector[at] = amount;
  }
  return vector;
};

/** The first dimension that is asked for and not known, by name. */
export const unknownIn = (
  names: readonly string[],
  { more }: Resources,
): { readonly name: string; readonly amount: number } | null => {
  const unknown = Object.keys(more ?? {})
    .filter((name) => amountIn(more, name) > 0 && !names.includes(name))
    .sort()[0];
  return unknown === undefined ? null : { name: unknown, amount: amountIn(more, unknown) };
};

/** There is no place left for it, whatever hosts may have of it. */
export const isCrowdedOut = (names: readonly string[], name: string): boolean =>
  names.length + (KEPT.includes(name) ? 0 : KEPT.filter((kept) => !names.includes(kept)).length) >= BASE;

/**
 * The dimensions that are known after these were added; the same array when there is nothing new. Where there is no place left,
 * one gets the first that is idle, in the place of the name that it had.
 */
export const learnNames = (
  names: readonly string[],
  more: readonly string[],
  isIdle: (name: string) => boolean,
): readonly string[] =>
  more
    .filter((name) => !names.includes(name))
    .sort((a, b) => Number(KEPT.includes(b)) - Number(KEPT.includes(a)) || (a < b ? -1 : 1))
    .reduce((known, name) => {
      if (!isCrowdedOut(known, name)) return [...known, name];
      const idle = madeOf(known).find((one) => !more.includes(one) && isIdle(one));
      return idle === undefined ? known : known.with(known.indexOf(idle), name);
    }, names);

/** Those that hosts and jobs have made up. */
const madeOf = (names: readonly string[]): string[] =>
  names.slice(DIMENSIONS.length).filter((name) => !KEPT.includes(name));

/** Who has taken the places. */
export const crowdedBy = (names: readonly string[]): string =>
  `a cluster counts ${MAX_COUNTED} such amounts, taken by ${madeOf(names).join(", ")}`;

const combined = (names: Iterable<string>, amountOf: (name: string) => number): Pick<Resources, "more"> => {
  const more: Record<string, number> = {};
  for (const name of names) {
    const amount = amountOf(name);
    if (amount !== 0) more[name] = amount;
  }
  return Object.keys(more).length === 0 ? {} : { more };
};

/** `left` plus (`sign` 1) or minus (-1) `right`. */
export const addResources = (left: Resources, right: Resources, sign: 1 | -1): Resources => {
  const sum = {
    cpuMillis: left.cpuMillis + sign * right.cpuMillis,
    memoryBytes: left.memoryBytes + sign * right.memoryBytes,
    pids: left.pids + sign * right.pids,
  };
  if (right.more === undefined) return left.more === undefined ? sum : { ...sum, more: left.more };
  const more: Record<string, number> = { ...left.more };
  for (const name in right.more) {
    const amount = amountIn(more, name) + sign * amountIn(right.more, name);
    // What is not there is not listed, so that equal sums look alike.
    if (amount === 0) delete more[name];
    else more[name] = amount;
  }
  return Object.keys(more).length === 0 ? sum : { ...sum, more };
};

/**
 * What may be booked on a host that reports this. A host that claims more allocatable than its capacity leaves after the
 * system's share is believed in the smaller number; a host without anything is a host on which nothing fits.
 */
export const bookable = ({ capacity, systemReserved, allocatable, ports }: Capacity): Resources => {
  const least = (claimed: number, all: number, reserved: number): number =>
    Math.max(0, Math.min(claimed, all - reserved));
  const result = noResources();
  for (const dimension of DIMENSIONS) {
    result[dimension] = least(allocatable[dimension], capacity[dimension], systemReserved[dimension]);
  }
  if (allocatable.more === undefined) return result;
  const further = combined(Object.keys(allocatable.more), (name) => {
    const most = least(
      amountIn(allocatable.more, name),
      amountIn(capacity.more, name),
      amountIn(systemReserved.more, name),
    );
    // Of a port that is booked somebody has the number.
    return name === PORTS ? Math.min(most, ports === undefined ? 0 : portsIn(ports)) : most;
  });
  return { ...result, ...further };
};

/**
 * The first dimension in which `request` exceeds what is at `from` in `available`, or -1 when all of it fits. Nothing always
 * fits: where volumes hold more than a host that has shrunk has left, work that asks for no disk goes on.
 */
export const firstShort = (available: ArrayLike<number>, from: number, request: ArrayLike<number>): number => {
  for (let at = 0; at < request.length; at += 1) {
    const wanted = request[at] as number;
    if (wanted > 0 && wanted > (available[from + at] as number)) return at;
  }
  return -1;
};

/** What the question needs to know of a host. `free` may be negative: a host may shrink below what is booked on it. */
export interface HostRoom {
  readonly hostId: HostId;
  readonly ready: boolean;
  /** It is, for daemons. */
  readonly open: boolean;
  readonly allocatable: Vector;
  readonly free: Vector;
  /** Models of its devices, by column. */
  readonly models: Int32Array;
}

/** What is asked of a host, as the question of fit has to know it. */
export interface Request {
  readonly request: Vector;
  readonly unknown: { readonly name: string; readonly amount: number } | null;
  /** What it needs of devices. */
  readonly wishes: readonly Wish[];
  /** It tolerates a host that is closed for others. */
  readonly daemon: boolean;
}

type Refused =
  | Extract<HostRejection, { reason: "lost" | "exhausted" | "too_small" }>
  | (Extract<HostRejection, { rule: string }> & { readonly reason: "device" | "uncounted" });

/**
 * Why this host cannot take the request: its first failing check, or undefined when it can. `too_small` comes before
 * `exhausted`, because no amount of waiting helps there. `short` is how much would have to be added or freed.
 */
export const rejection = (
  host: HostRoom,
  { daemon, request, unknown, wishes }: Request,
  names: readonly string[],
): Refused | undefined => {
  const { hostId } = host;
  if (!(daemon ? host.open : host.ready)) return { hostId, reason: "lost" };
  if (unknown !== null) {
    const { name, amount } = unknown;
    if (isCrowdedOut(names, name)) return { hostId, reason: "uncounted", rule: name, actual: crowdedBy(names) };
    return { hostId, reason: "too_small", dimension: name, requested: amount, free: 0, short: amount };
  }
  const small = firstShort(host.allocatable, 0, request);
  const at = small >= 0 ? small : firstShort(host.free, 0, request);
  if (at < 0) return wishes.length === 0 ? undefined : deviceRejection(host, wishes);
  const requested = request[at] as number;
  const room = ((small >= 0 ? host.allocatable : host.free)[at] as number) || 0;
  return {
    hostId,
    reason: small >= 0 ? "too_small" : "exhausted",
    dimension: names[at] ?? "",
    requested,
    free: Math.max(0, room),
    short: requested - room,
  };
};

/** There is enough of everything in all, and not on single devices. */
const deviceRejection = ({ hostId, allocatable, free, models }: HostRoom, wishes: readonly Wish[]) => {
  const lacks = unfulfilled({ free, from: 0, models, modelsFrom: 0 }, wishes);
  if (lacks === undefined) return undefined;
  const isEver = unfulfilled({ free: allocatable, from: 0, models, modelsFrom: 0 }, [lacks]) === undefined;
  const actual = isEver ? "its devices are taken or begun" : "it has no such devices";
  return { hostId, reason: "device", rule: deviceAskText(lacks.ask), actual } as const;
};
