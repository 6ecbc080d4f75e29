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

const eachEnding = (
  state: MutableState,
  slot: number,
  planned: Planned,
  visit: (atMs: number, request: Vector) => void,
): void => {
  for (const { atMs, request } of planned.ends.get(slot) ?? []) visit(atMs, request);
  for (const allocation of allocationsOn(state, state.index.idOf(slot))) {
    const atMs = planned.stopped.has(allocation.id) ? 0 : endOfAllocation(allocation);
    if (atMs < NEVER) visit(atMs, allocation.requestClass.request);
  }
};

const endingsOn = (state: MutableState, slot: number, planned: Planned): Ending[] => {
  const found: Ending[] = [];
  eachEnding(state, slot, planned, (atMs, request) => found.push({ atMs, request }));
  return found.sort((a, b) => a.atMs - b.atMs);
};

/** The earliest time at which the request fits on this host as it is booked now: 0 when it does so already. */
export const earliestOn = (state: MutableState, slot: number, requestClass: RequestClass, planned: Planned): number => {
  const { request } = requestClass;
  const { free, allocatable, ready } = state.index.rows();
  const from = slot * STRIDE;
  if (ready[slot] === 0 || firstShort(allocatable, from, request) >= 0) return NEVER;
  const room = free.slice(from, from + STRIDE);
  const fits = (some: Vector): boolean =>
    firstShort(some, 0, request) < 0 && state.index.hasDevices(slot, some, requestClass);
  if (fits(room)) return 0;
  const width = widthOf(state);
  const inTheEnd = room.slice();
  let [first, last] = [NEVER, 0];
  eachEnding(state, slot, planned, (atMs, given) => {
    addRow(inTheEnd, 0, given, 1, width);
    first = Math.min(first, atMs);
    last = Math.max(last, atMs);
  });
  // Mostly that is too little, or all of it ends at the same time: nobody need know what ends before what.
  if (first === NEVER || !fits(inTheEnd)) return NEVER;
  if (first === last) return first;
  for (const { atMs, request: given } of endingsOn(state, slot, planned)) {
    addRow(room, 0, given, 1, width);
    if (fits(room)) return atMs;
  }
  return NEVER;
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
