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

const endingsOn = (state: MutableState, slot: number, planned: Planned): Ending[] => {
  const found: Ending[] = [...(planned.ends.get(slot) ?? [])];
  for (const allocation of allocationsOn(state, state.index.idOf(slot))) {
    const atMs = planned.stopped.has(allocation.id) ? 0 : endOfAllocation(allocation);
    if (atMs < NEVER) found.push({ atMs, request: allocation.requestClass.request });
  }
  return found.sort((a, b) => a.atMs - b.atMs);
};

/** The earliest time at which the request fits on this host as it is booked now: 0 when it does so already. */
export const earliestOn = (state: MutableState, slot: number, requestClass: RequestClass, planned: Planned): number => {
  const { request } = requestClass;
  const { free, allocatable, ready } = state.index.rows();
  const from = slot * STRIDE;
  if (ready[slot] === 0 || firstShort(allocatable, from, request) >= 0) return NEVER;
  const room = free.slice(from, from + STRIDE);
  const fits = (): boolean => firstShort(room, 0, request) < 0 && state.index.hasDevices(slot, room, requestClass);
  if (fits()) return 0;
  const end = oneEnd(state, slot, planned, room);
  if (end !== undefined) return end < NEVER && fits() ? end : NEVER;
  for (const { atMs, request: given } of endingsOn(state, slot, planned)) {
    addRow(room, 0, given);
    if (fits()) return atMs;
  }
  return NEVER;
};

/**
 * Where all that ends at some time does so at the same, as where nobody knows when, that time, with `room` as it is then;
 * NEVER: nothing ends. Undefined where there are several times, and `room` is as it was.
 */
const oneEnd = (state: MutableState, slot: number, planned: Planned, room: Vector): number | undefined => {
  if (planned.ends.has(slot)) return undefined;
  const there = allocationsOn(state, state.index.idOf(slot));
  const timeOf = (one: MutableAllocation): number => (planned.stopped.has(one.id) ? 0 : endOfAllocation(one));
  let end = NEVER;
  for (const one of there) {
    const atMs = timeOf(one);
    if (atMs >= NEVER || atMs === end) continue;
    if (end < NEVER) return undefined;
    end = atMs;
  }
  const width = widthOf(state);
  for (const one of there) if (timeOf(one) < NEVER) addRow(room, 0, one.requestClass.request, 1, width);
  return end;
};

/** What is free on a host once everything has ended that does so until `atMs`. */
export const roomAt = (state: MutableState, slot: number, atMs: number, planned: Planned): Float64Array => {
  const from = slot * STRIDE;
  const room = state.index.rows().free.slice(from, from + STRIDE);
  for (const ending of endingsOn(state, slot, planned)) {
    if (ending.atMs > atMs) break;
    addRow(room, 0, ending.request);
  }
  return room;
};
