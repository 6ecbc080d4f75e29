/**
 * Keeps work that comes later from passing the one that waits first for ever. The first task in the order of service that
 * fits nowhere gets a promise: the host that will have room for it first, by the known ends of what runs there. Others may
 * run on that host only if they are over by then, or leave it enough (EASY backfill: Lifka, The ANL/IBM SP Scheduling
 * System, 1995). Where no end is known nothing can be promised; but whoever has waited HOLD_MS is kept a host on which
 * what has no limit ends some day.
 *
 * A promise is made anew with every plan from the same facts, so it needs no record: what runs there cannot grow later.
 */
import { earliestOn, endOf, NEVER, roomAt, SOME_DAY, type Planned } from "./ends.ts";
import { firstShort, STRIDE } from "./feasibility.ts";
import { waitedMs } from "./queue-order.ts";
import type { RequestClass } from "./request-class.ts";
import type { MutableJob, MutableState } from "./state.ts";
import type { Tentative } from "./tentative.ts";

export const HOLD_MS = 10 * 60_000;

export interface Promised {
  readonly job: MutableJob;
  readonly slot: number;
  /** SOME_DAY: nobody knows. */
  readonly atMs: number;
  /** What is booked there for it meanwhile, by task and in all. */
  readonly classes: RequestClass[];
  readonly kept: Float64Array;
  /** What others may still use beyond that time. */
  readonly spare: Float64Array;
}

interface Found {
  readonly slot: number;
  readonly atMs: number;
}

/** The times at which hosts have room for a class, remembered while their allocations do not change. */
interface Memory {
  readonly atMs: Float64Array;
  /** On so many hosts there will be room at some time. */
  hopeful: number;
}
const memories = new WeakMap<RequestClass, Memory>();

const earliest = (state: MutableState, requestClass: RequestClass, planned: Planned): Found | undefined => {
  const slots = state.index.inOrder();
  const news = state.ledger.news(requestClass);
  const known = memories.get(requestClass);
  const isKnown = known?.atMs.length === slots.length && news !== "all";
  const memory = isKnown ? known : { atMs: new Float64Array(slots.length).fill(NEVER), hopeful: 0 };
  for (const slot of isKnown ? news : slots) {
    if ((memory.atMs[slot] as number) < NEVER) memory.hopeful -= 1;
    const atMs = earliestOn(state, slot, requestClass, planned);
    memory.atMs[slot] = atMs;
    if (atMs < NEVER) memory.hopeful += 1;
  }
  memories.set(requestClass, memory);
  if (memory.hopeful === 0) return undefined;
  let best: Found | undefined;
  for (const slot of slots) {
    const atMs = memory.atMs[slot] as number;
    if (atMs >= (best?.atMs ?? NEVER)) continue;
    if (requestClass.rules !== null && state.index.refusal(slot, requestClass) !== undefined) continue;
    best = { slot, atMs };
  }
  return best;
};

/** Whether anything can be promised to it at all. */
export const mayBePromised = (state: MutableState, job: MutableJob, nowMs: number): boolean =>
  state.limited > 0 || waitedMs(job, nowMs) >= HOLD_MS;

/**
 * Promises room to so many tasks of a job that just found none, and books it. Undefined, and nothing booked, when no time
 * can be named.
 */
export const promise = (
  state: MutableState,
  tentative: Tentative,
  job: MutableJob,
  tasks: number,
  nowMs: number,
  planned: Planned,
): Promised[] | undefined => {
  const { requestClass } = job;
  if (requestClass.unknown !== null || !mayBePromised(state, job, nowMs)) return undefined;
  const latest = waitedMs(job, nowMs) >= HOLD_MS ? SOME_DAY : SOME_DAY - 1;
  const mark = tentative.bookings;
  const slots: number[] = [];
  let untilMs = 0;
  for (let at = 0; at < tasks; at += 1) {
    const found = earliest(state, requestClass, planned);
    if (found === undefined || found.atMs > latest) {
      tentative.undoTo(mark);
      return undefined;
    }
    untilMs = Math.max(untilMs, found.atMs);
    slots.push(found.slot);
    tentative.bookAt(found.slot, requestClass);
  }
  const promised = new Map<number, Promised>();
  for (const slot of slots) {
    let at = promised.get(slot);
    if (at === undefined) {
      // What is booked for it is not spare: `roomAt` sees these bookings.
      const spare = roomAt(state, slot, untilMs, planned);
      promised.set(slot, (at = { job, slot, atMs: untilMs, classes: [], kept: new Float64Array(STRIDE), spare }));
    }
    at.classes.push(requestClass);
    for (let of = 0; of < STRIDE; of += 1) at.kept[of] = (at.kept[of] as number) + (requestClass.request[of] as number);
  }
  return [...promised.values()];
};

/** What a promise is kept from. */
export type Asking = Pick<MutableJob, "spec" | "requestClass">;

/** Whether a later task may run on a host that is promised to another, and how much it takes of what is spare. */
export const mayBackfill = (
  state: MutableState,
  promised: Promised,
  job: Asking,
  nowMs: number,
): "no_room" | "kept" | "may" => {
  const { slot, atMs, spare, kept } = promised;
  const { request, rules, unknown } = job.requestClass;
  if (unknown !== null) return "no_room";
  const { free, ready } = state.index.rows();
  if (ready[slot] === 0) return "no_room";
  for (let at = 0; at < STRIDE; at += 1) {
    const asked = request[at] as number;
    if (asked > 0 && asked > (free[slot * STRIDE + at] as number) + (kept[at] as number)) return "no_room";
  }
  if (rules !== null && state.index.refusal(slot, job.requestClass) !== undefined) return "no_room";
  // Where no end is known, even short work would keep the room from ever adding up.
  if (atMs < SOME_DAY && endOf(job.spec, nowMs) <= atMs) return "may";
  return firstShort(spare, 0, request) < 0 ? "may" : "kept";
};

/** Another has taken some of what is spare. */
export const useSpare = ({ atMs, spare }: Promised, job: Asking, nowMs: number): void => {
  if (atMs < SOME_DAY && endOf(job.spec, nowMs) <= atMs) return;
  const { request } = job.requestClass;
  for (let at = 0; at < STRIDE; at += 1) spare[at] = (spare[at] as number) - (request[at] as number);
};
