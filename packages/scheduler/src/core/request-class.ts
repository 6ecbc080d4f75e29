/**
 * Request classes: tasks that ask for the same are the same question to the packer. A class lives as long as a job
 * refers to it; its id is never used again, so that whatever is remembered under an id stays true.
 */
import { demandKeyOf } from "./demand.ts";
import { NO_WISHES, wishesOf, type DeviceLayout, type Wish } from "./devices.ts";
import { toVector, unknownIn } from "./feasibility.ts";
import { BASE, type Vector } from "./vector.ts";
import { groupsOf, rulesKey, rulesOf, type Asking, type Rules } from "./rules.ts";

export interface RequestClass {
  readonly id: number;
  /** The same for equal requests under equal rules. */
  readonly key: string;
  /** The same for what the demand takes for one. */
  readonly demandKey: string;
  readonly request: Vector;
  /** A dimension that is asked for and that no host has ever had. */
  readonly unknown: { readonly name: string; readonly amount: number } | null;
  readonly rules: Rules | null;
  /** The groups that a task of this class counts in. */
  readonly groups: readonly string[];
  /** What it needs of devices: any that will do. Empty once it is decided which, as in what is booked. */
  readonly wishes: readonly Wish[];
  /** Whether `request` says which devices: then it is what one task has, and not what is asked. */
  readonly columns: boolean;
  /** Tolerates hosts that are closed; what a daemon's rules say is known of its hosts before it is asked. */
  readonly daemon: boolean;
  /** For how long one runs at most, rounded up to a few steps between any two powers of two; null: nobody knows. */
  readonly lastsMs: number | null;
  /** What was asked, of what is booked for it. */
  readonly asked?: RequestClass;
}

/** The class that was asked for, of one that is booked. */
export const askedOf = (requestClass: RequestClass): RequestClass => requestClass.asked ?? requestClass;

/** As it is booked where it is decided which devices it has: `request` says it in columns. */
export const bookedAs = (requestClass: RequestClass, request: Vector): RequestClass => ({
  ...requestClass,
  request,
  wishes: NO_WISHES,
  columns: true,
  asked: askedOf(requestClass),
});

/** So many steps between two powers of two: limits that differ by little are the same question. */
const STEPS = 8;

const lastsOf = ({ kind, runTimeoutMs, stopTimeoutMs = 0 }: Asking): number | null => {
  if (kind !== "batch" || runTimeoutMs === null || runTimeoutMs === undefined) return null;
  const all = runTimeoutMs + stopTimeoutMs;
  let step = 1;
  while (step * 2 * STEPS <= all) step *= 2;
  return Math.ceil(all / step) * step;
};

/** Of a daemon only the groups that it counts in matter beside its request. */
const withoutRules = ({ project, name, requests, devices, ports, kind, placement }: Asking): Asking => ({
  ...{ project, name, requests, devices, ports },
  ...(kind !== undefined && { kind }),
  ...(placement?.groups !== undefined && { placement: { groups: placement.groups } }),
});

const saysPorts = ({ ports = [] }: Asking): boolean => ports.some(({ port }) => port !== null);

const describe = (id: number, names: readonly string[], whole: Asking, layout: DeviceLayout): RequestClass => {
  const daemon = whole.kind === "daemon";
  const asking = daemon ? withoutRules(whole) : whole;
  const request = toVector(names, asking.requests);
  const unknown = unknownIn(names, asking.requests);
  const demandKey = demandKeyOf(request, asking.devices);
  const lastsMs = lastsOf(asking);
  const exactly =
    asking.devices === undefined
      ? demandKey
      : `${request.subarray(0, BASE).join(",")}${JSON.stringify(asking.devices)}`;
  const missing = unknown === null ? "" : `|${unknown.name}=${unknown.amount}`;
  return {
    id,
    key: `${exactly}${missing}${rulesKey(asking)}${lastsMs === null ? "" : `|${lastsMs} ms`}${daemon ? "|daemon" : ""}`,
    demandKey,
    request,
    unknown,
    rules: daemon && !saysPorts(asking) && asking.placement === undefined ? null : rulesOf(asking),
    groups: groupsOf(asking),
    wishes: wishesOf(layout, asking),
    columns: false,
    daemon,
    lastsMs,
  };
};

export interface ClassTable {
  readonly size: number;
  /** `names` are the dimensions that are known. */
  readonly retain: (names: readonly string[], asking: Asking) => RequestClass;
  readonly release: (requestClass: RequestClass) => void;
  /** The living class for this, or one of its own for what is only asked about or has no job any more. */
  readonly passing: (names: readonly string[], asking: Asking) => RequestClass;
}

export const createClassTable = (layout: DeviceLayout): ClassTable => {
  const byKey = new Map<string, { readonly requestClass: RequestClass; users: number }>();
  let nextId = 1;
  const passing = (names: readonly string[], asking: Asking): RequestClass => {
    const described = describe(nextId, names, asking, layout);
    const known = byKey.get(described.key);
    if (known !== undefined) return known.requestClass;
    nextId += 1;
    return described;
  };
  return {
    get size() {
      return byKey.size;
    },
    retain: (names, asking) => {
      const requestClass = passing(names, asking);
      const known = byKey.get(requestClass.key);
      if (known === undefined) byKey.set(requestClass.key, { requestClass, users: 1 });
      else known.users += 1;
      return requestClass;
    },
    release: ({ key }) => {
      const known = byKey.get(key);
      if (known === undefined) return;
      known.users -= 1;
      if (known.users <= 0) byKey.delete(key);
    },
    passing,
  };
};
