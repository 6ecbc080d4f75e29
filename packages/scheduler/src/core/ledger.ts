/**
 * What the allocations on each host would give back: by priority, for whoever may take their room, and over time, for whoever
 * waits for their ends. Nothing is kept until somebody asks; from then on a host that changed is noted and looked at again
 * before the next answer. A function of the facts: it can be dropped at any time.
 */
import { priorityOf, type AllocationId } from "@berth/schema";
import { allocationsOn } from "./allocations-on.ts";
import { addRow, STRIDE, widthOf, type Vector } from "./vector.ts";
import type { MutableState } from "./state.ts";

/** What stands on one host, by priority. `NOW`: what is being stopped already, and costs nothing more. */
export const NOW = -1;

export interface Ledger {
  /** Something else stands on this host, or something there is given up. */
  readonly touch: (slot: number) => void;
  /** It has other room: what stands there is the same. */
  readonly stir: (slot: number) => void;
  /** A plan stops (1) something of this priority on a host, or does so no longer (-1). */
  readonly move: (slot: number, request: Vector, priority: number, sign: 1 | -1) => void;
  /** Priorities that occur, ascending, NOW first. */
  readonly levels: () => readonly number[];
  /** Sums of what stands at a level or below it, a row of STRIDE for each slot. */
  readonly upTo: (level: number) => Float64Array;
  /** The same of all that is less important than this. */
  readonly below: (priority: number) => Float64Array;
  /** Brings every row up to date. `taken`: what a plan has stopped already. */
  readonly refresh: (state: MutableState, taken: ReadonlySet<AllocationId>) => void;
  /** Slots that changed since this reader asked the last time, each once; all of them at first. */
  readonly news: (reader: object) => readonly number[] | "all";
}

/** Of so many changes a reader is told; whoever asks later looks at everything. */
const MAX_NEWS = 4_096;

export const createLedger = (): Ledger => {
  let isUsed = false;
  let slots = 0;
  let levels: number[] = [];
  const rows = new Map<number, Float64Array>();
  const dirty = new Set<number>();
  let news: number[] = [];
  let newsFrom = 0;
  const readers = new WeakMap<object, number>();
  /** So far some reader knows. */
  let readTo = 0;

  const stir = (slot: number): void => {
    if (!isUsed || slot < 0) return;
    if (news.at(-1) === slot && readTo < newsFrom + news.length) return;
    news.push(slot);
    if (news.length > 2 * MAX_NEWS) {
      newsFrom += news.length - MAX_NEWS;
      news = news.slice(-MAX_NEWS);
    }
  };

  const reset = (state: MutableState): void => {
    slots = state.index.inOrder().length;
    levels = [NOW, ...[...state.priorities.keys()].sort((a, b) => a - b)];
    rows.clear();
    for (const level of levels) rows.set(level, new Float64Array(slots * STRIDE));
    for (let slot = 0; slot < slots; slot += 1) dirty.add(slot);
  };

  const recount = (state: MutableState, slot: number, taken: ReadonlySet<AllocationId>): void => {
    const from = slot * STRIDE;
    const width = widthOf(state);
    for (const row of rows.values()) row.fill(0, from, from + width);
    for (const { id, desired, spec, requestClass } of allocationsOn(state, state.index.idOf(slot))) {
      const own = desired === "stop" || taken.has(id) ? NOW : priorityOf(spec);
      const row = rows.get(own) as Float64Array;
      addRow(row, from, requestClass.request, 1, width);
    }
    let below: Float64Array | undefined;
    for (const level of levels) {
      const row = rows.get(level) as Float64Array;
      if (below !== undefined) {
        for (let at = from; at < from + width; at += 1) row[at] = (row[at] as number) + (below[at] as number);
      }
      below = row;
    }
  };

  return {
    touch: (slot) => {
      if (isUsed && slot >= 0) dirty.add(slot);
      stir(slot);
    },
    stir,
    move: (slot, request, priority, sign) => {
      stir(slot);
      // What is looked at again is counted with all that the plan stops.
      if (dirty.has(slot)) return;
      for (const level of levels)
        if (level < priority) addRow(rows.get(level) as Float64Array, slot * STRIDE, request, sign);
    },
    levels: () => levels,
    upTo: (level) => rows.get(level) as Float64Array,
    below: (priority) => rows.get(levels.findLast((level) => level < priority) as number) as Float64Array,
    refresh: (state, taken) => {
      isUsed = true;
      let isOther = rows.size === 0 || slots !== state.index.inOrder().length;
      for (const level of state.priorities.keys()) isOther ||= !rows.has(level);
      if (isOther) reset(state);
      for (const slot of dirty) recount(state, slot, taken);
      dirty.clear();
    },
    news: (reader) => {
      isUsed = true;
      const seen = readers.get(reader) ?? -1;
      readTo = newsFrom + news.length;
      readers.set(reader, readTo);
      // A plan touches each of its hosts a few times.
      return seen < newsFrom ? "all" : [...new Set(news.slice(seen - newsFrom))];
    },
  };
};
