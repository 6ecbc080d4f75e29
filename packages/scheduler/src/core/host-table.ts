/**
 * What every host has and what is left of it: flat arrays, one row per host, no object per host. Whose
 * row has changed is noted once, for whoever remembers something about hosts. Amounts are whole numbers, exact in doubles.
 */
import type { HostId } from "@berth/schema";
import { unfulfilled } from "./devices.ts";
import type { Request } from "./feasibility.ts";
import { inverseOf } from "./score.ts";
import { BASE } from "./vector.ts";

/** The rows. They are other arrays after a host was added. */
export interface Rows {
  readonly free: Float64Array;
  readonly allocatable: Float64Array;
  /** 1 / allocatable. */
  readonly perUnit: Float64Array;
  readonly ready: Uint8Array;
  /** 1 where daemons may stand, also while the host is closed for others. */
  readonly open: Uint8Array;
  /** Position of a host in the order of ids. */
  readonly rank: Int32Array;
  /** Models of devices, a row for each host, by column. */
  readonly models: Int32Array;
}

/** What is asked or booked; what of devices it needs, and whether the vector names columns of them. */
export type Amounts = Pick<Request, "request" | "wishes" | "daemon"> & { readonly columns: boolean };

const NO_MODELS = new Int32Array();

export interface HostTable {
  /** Amounts per row, and how many of them, from the first on, are in use. */
  readonly stride: number;
  readonly width: () => number;
  readonly setWidth: (width: number) => void;
  readonly ids: readonly HostId[];
  /** All slots, in the order of their host ids. */
  readonly ordered: readonly number[];
  readonly rows: () => Rows;
  /** The position of a host, given at its first sight and never to another. */
  readonly slotOf: (id: HostId) => number;
  /** The same of one that was seen already, or undefined: whoever only asks adds no host. */
  readonly knownSlotOf: (id: HostId) => number | undefined;
  readonly setHost: (
    slot: number,
    allocatable: Float64Array,
    ready: boolean,
    models?: Int32Array,
    open?: boolean,
  ) => void;
  readonly add: (slot: number, amounts: Amounts, sign: 1 | -1) => void;
  /** Whether it is ready and has the room; `given`: rows of what comes to that room. */
  readonly fits: (slot: number, amounts: Amounts, given?: Float64Array) => boolean;
  /** Calls with every slot that was changed since the last time. */
  readonly takeChanged: (each: (slot: number) => void) => void;
}

const FIRST_CAPACITY = 4;

const longer = <T extends Float64Array | Int32Array | Uint8Array>(array: T, to: T): T => {
  to.set(array);
  return to;
};

export const createHostTable = (stride: number, firstWidth: number): HostTable => {
  const slots = new Map<HostId, number>();
  const ids: HostId[] = [];
  const ordered: number[] = [];
  let width = firstWidth;
  let capacity = FIRST_CAPACITY;
  let free = new Float64Array(capacity * stride);
  let allocatable = new Float64Array(capacity * stride);
  let perUnit = new Float64Array(capacity * stride);
  let rank = new Int32Array(capacity);
  const columns = stride - BASE;
  let models = new Int32Array(capacity * columns);
  let ready = new Uint8Array(capacity);
  let open = new Uint8Array(capacity);
  let isChanged = new Uint8Array(capacity);
  let changed = new Int32Array(capacity);
  let changedCount = 0;
  let rows: Rows = { free, allocatable, perUnit, ready, open, rank, models };

  const grow = (): void => {
    capacity *= 2;
    free = longer(free, new Float64Array(capacity * stride));
    allocatable = longer(allocatable, new Float64Array(capacity * stride));
    perUnit = longer(perUnit, new Float64Array(capacity * stride));
    rank = longer(rank, new Int32Array(capacity));
    models = longer(models, new Int32Array(capacity * columns));
    ready = longer(ready, new Uint8Array(capacity));
    open = longer(open, new Uint8Array(capacity));
    isChanged = longer(isChanged, new Uint8Array(capacity));
    changed = longer(changed, new Int32Array(capacity));
    rows = { free, allocatable, perUnit, ready, open, rank, models };
  };

  const note = (slot: number): void => {
    if (isChanged[slot] === 1) return;
    isChanged[slot] = 1;
    changed[changedCount] = slot;
    changedCount += 1;
  };

  return {
    stride,
    width: () => width,
    setWidth: (next) => {
      width = next;
      for (let slot = 0; slot < ids.length; slot += 1) note(slot);
    },
    ids,
    ordered,
    rows: () => rows,
    knownSlotOf: (id) => slots.get(id),
    slotOf: (id) => {
      const known = slots.get(id);
      if (known !== undefined) return known;
      const slot = ids.length;
      if (slot >= capacity) grow();
      slots.set(id, slot);
      ids.push(id);
      // Everyone behind moves up by one.
      let at = ordered.length;
      while (at > 0 && (ids[ordered[at - 1] as number] as HostId) > id) {
        rank[ordered[at - 1] as number] = at;
        at -= 1;
      }
      ordered.splice(at, 0, slot);
      rank[slot] = at;
      note(slot);
      return slot;
    },
    setHost: (slot, all, isReady, itsModels = NO_MODELS, isOpen = isReady) => {
      const from = slot * stride;
      for (let at = 0; at < stride; at += 1) {
        const more = (all[at] as number) - (allocatable[from + at] as number);
        free[from + at] = (free[from + at] as number) + more;
      }
      allocatable.set(all, from);
      perUnit.set(inverseOf(all), from);
      models.fill(0, slot * columns, (slot + 1) * columns);
      models.set(itsModels, slot * columns);
      ready[slot] = isReady ? 1 : 0;
      open[slot] = isOpen ? 1 : 0;
      note(slot);
    },
    add: (slot, { request, columns: hasColumns }, sign) => {
      const from = slot * stride;
      for (let at = 0; at < width; at += 1) {
        free[from + at] = (free[from + at] as number) + sign * (request[at] as number);
      }
      for (let at = BASE; hasColumns && at < stride; at += 1) {
        free[from + at] = (free[from + at] as number) + sign * (request[at] as number);
      }
      note(slot);
    },
    fits: (slot, { request, wishes, columns: hasColumns, daemon }, given) => {
      if ((daemon ? open : ready)[slot] === 0) return false;
      const from = slot * stride;
      const isShort = (at: number): boolean => {
        const wanted = request[at] as number;
        return (
          wanted > 0 && wanted > (free[from + at] as number) + (given === undefined ? 0 : (given[from + at] as number))
        );
      };
      for (let at = 0; at < width; at += 1) if (isShort(at)) return false;
      for (let at = BASE; hasColumns && at < stride; at += 1) if (isShort(at)) return false;
      if (wishes.length === 0) return true;
      return unfulfilled({ free, from, models, modelsFrom: slot * columns, given }, wishes) === undefined;
    },
    takeChanged: (each) => {
      for (let at = 0; at < changedCount; at += 1) {
        const slot = changed[at] as number;
        isChanged[slot] = 0;
        each(slot);
      }
      changedCount = 0;
    },
  };
};
