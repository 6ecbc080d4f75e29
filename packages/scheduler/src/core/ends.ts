/**
 * When hosts will have room, by what is known of the ends of what runs there: a batch task ends at the latest when its run
 * limit is reached and it has been given its time to stop. One without a limit ends some day; a service or a daemon never does.
 */
import type { AllocationId } from "@berth/schema";
import { allocationsOn } from "./allocations-on.ts";
import { firstShort } from "./feasibility.ts";
import { NO_END, type Stay } from "./host-ends.ts";
import type { RequestClass } from "./request-class.ts";
import { addRow, STRIDE, widthOf, type Vector } from "./vector.ts";
import type { MutableAllocation, MutableState } from "./state.ts";

/** Later than every time that is known, and earlier than never; what came later is taken to end earlier. */
export const SOME_DAY = 2 ** 52;
export const NEVER = Number.POSITIVE_INFINITY;
/** Later than anybody comes. */
const LAST_MS = 2 ** 44;

const someDay = (placedAtMs: number): number => SOME_DAY + Math.max(0, LAST_MS - placedAtMs);
/** Since when there has been whoever ends at such a time. */
export const standsSince = (atMs: number): number => LAST_MS - (atMs - SOME_DAY);

/** The latest end of a task that is placed at `placedAtMs`. */
export const endOf = ({ kind, runTimeoutMs, stopTimeoutMs }: MutableAllocation["spec"], placedAtMs: number): number => {
  if (kind !== "batch") return NEVER;
  return runTimeoutMs === null ? someDay(placedAtMs) : placedAtMs + runTimeoutMs + stopTimeoutMs;
};

const endOfAllocation = ({ desired, spec, startedAtMs, placedAtMs }: MutableAllocation): number =>
  desired === "stop" ? 0 : endOf(spec, spec.runTimeoutMs === null ? placedAtMs : (startedAtMs ?? placedAtMs));

/** The same as far as it is known. */
export const stayOf = ({ spec, startedAtMs, placedAtMs }: MutableAllocation): Stay => ({
  atMs: spec.kind === "batch" && spec.runTimeoutMs !== null ? endOf(spec, startedAtMs ?? placedAtMs) : NO_END,
  sinceMs: spec.kind === "daemon" ? null : placedAtMs,
});

export interface Ending {
  readonly atMs: number;
  readonly request: Vector;
}

/** What a plan has changed already, beside what it has booked. */
export interface Planned {
  readonly stopped: ReadonlySet<AllocationId>;
  /** Ends of what it has placed, by slot. */
  readonly ends: ReadonlyMap<number, readonly Ending[]>;
}

const byTime = (a: Ending, b: Ending): number => a.atMs - b.atMs;

/** What is over on a host at some time, beside what a plan has placed there, in that order. */
const standingOn = (state: MutableState, slot: number, { stopped }: Planned): Ending[] => {
  const found: Ending[] = [];
  for (const allocation of allocationsOn(state, state.index.idOf(slot))) {
    const atMs = stopped.has(allocation.id) ? 0 : endOfAllocation(allocation);
    if (atMs < NEVER) found.push({ atMs, request: allocation.requestClass.request });
  }
  return found.sort(byTime);
};

const endingsOn = (state: MutableState, slot: number, planned: Planned): Ending[] => {
  const news = planned.ends.get(slot);
  const found = standingOn(state, slot, planned);
  return news === undefined ? found : [...found, ...news].sort(byTime);
};

/** What ends on one host, one after the other, and all of it together. */
interface Ends {
  readonly times: Float64Array;
  readonly given: readonly Vector[];
  readonly all: Vector;
}

const inOrder = (endings: readonly Ending[], width: number): Ends => {
  const all = new Float64Array(width);
  for (const { request } of endings) addRow(all, 0, request, 1, width);
  return { times: Float64Array.from(endings, ({ atMs }) => atMs), given: endings.map(({ request }) => request), all };
};

/** By slot, for all classes alike, remembered while what stands there is the same. */
type EndsBySlot = (Ends | undefined)[];
const remembered = new WeakMap<MutableState["ledger"], EndsBySlot>();

/** True as of now: before the first of many hosts is asked about. */
const endsNow = ({ ledger }: MutableState): EndsBySlot => {
  const known = remembered.get(ledger) ?? [];
  remembered.set(ledger, known);
  const news = ledger.news(known);
  if (news === "all") known.length = 0;
  else for (const slot of news) known[slot] = undefined;
  return known;
};

/** Says of hosts the earliest time at which the request fits there as they are booked now: 0 when it does so already. */
export const earliestFor = (
  state: MutableState,
  requestClass: RequestClass,
  planned: Planned,
): ((slot: number) => number) => {
  const { request } = requestClass;
  const { free, allocatable, ready } = state.index.rows();
  const width = widthOf(state);
  const asked = request.subarray(0, width);
  const known = endsNow(state);
  const fits = (slot: number, room: Vector): boolean =>
    firstShort(room, 0, asked) < 0 && state.index.hasDevices(slot, room, requestClass);
  return (slot) => {
    const from = slot * STRIDE;
    if (ready[slot] === 0 || firstShort(allocatable, from, asked) >= 0) return NEVER;
    const isShort = firstShort(free, from, asked) >= 0;
    if (!isShort && fits(slot, free.slice(from, from + STRIDE))) return 0;
    const { all, given, times } = planned.ends.has(slot)
      ? inOrder(endingsOn(state, slot, planned), width)
      : (known[slot] ??= inOrder(standingOn(state, slot, planned), width));
    if (times.length === 0) return NEVER;
    const room = free.slice(from, from + STRIDE);
    const inTheEnd = room.slice();
    addRow(inTheEnd, 0, all, 1, width);
    // Mostly that is too little, or all of it ends at the same time: nobody need know what ends before what.
    if (!fits(slot, inTheEnd)) return NEVER;
    if (times[0] === times.at(-1)) return times[0] as number;
    for (let at = 0; at < times.length; at += 1) {
      addRow(room, 0, given[at] as Vector, 1, width);
      if (fits(slot, room)) return times[at] as number;
    }
    return NEVER;
  };
};

/** What is free on a host once everything has ended that does so until `atMs`. */
export const roomAt = (state: MutableState, slot: number, atMs: number, planned: Planned): Float64Array => {
  const from = slot * STRIDE;
  const room = state.index.rows().free.slice(from, from + STRIDE);
  for (const ending of endingsOn(state, slot, planned)) {
    if (ending.atMs > atMs) break;
    addRow(room, 0, ending.request, 1, widthOf(state));
  }
  return room;
};
