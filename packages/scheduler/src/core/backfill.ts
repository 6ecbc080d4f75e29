/**
 * Keeps work that comes later from passing the one that waits first for ever. The first task in the order of service that
 * fits nowhere gets a promise: the host that will have room for it first, by the known ends of what runs there. Others may
 * run on that host only if they are over by then, or leave it enough (EASY backfill: Lifka, The ANL/IBM SP Scheduling
 * System, 1995). Where no end is known nothing can be promised; but whoever has waited HOLD_MS is kept a host on which
 * what has no limit ends some day. Where something of that has stood for long, it may be for ever: such a host is the last
 * choice, and whoever has no other is passed by a promise to the next.
 *
 * A promise is made anew with every plan from the same facts, so it needs no record: what runs there cannot grow later.
 */
import { earliestFor, endOf, NEVER, roomAt, SOME_DAY, standsSince, type Planned } from "./ends.ts";
import { firstShort } from "./feasibility.ts";
import { addRow, STRIDE } from "./vector.ts";
import { waitedMs } from "./queue-order.ts";
import type { RequestClass } from "./request-class.ts";
import type { MutableJob, MutableState } from "./state.ts";
import type { Chosen, Tentative } from "./tentative.ts";

export const HOLD_MS = 10 * 60_000;
/** So many may be kept hosts at once that perhaps never have room. */
const MAX_DOUBTFUL = 16;

export interface Promised {
  readonly job: MutableJob;
  readonly slot: number;
  /** From SOME_DAY on: nobody knows. */
  readonly atMs: number;
  /** Something that has to end there first has stood for long already. */
  readonly isDoubtful: boolean;
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
  /** On so many hosts there will be room at some time, and on so many of them at a time that is known. */
  hopeful: number;
  sure: number;
}
const memories = new WeakMap<RequestClass, Memory>();

/**
 * What stood before that time may be there for ever. It moves on by steps that double, so that between two of them more and more
 * hosts have seen all of theirs go, and the one that is kept stays the same until it is empty.
 */
const oldBefore = (nowMs: number, waited: number): number =>
  nowMs - waited + HOLD_MS * (2 ** Math.floor(Math.log2(Math.max(1, waited / HOLD_MS))) - 1);

const DOUBTFUL = SOME_DAY + 1;
/** Times in their order; of those that nobody knows there are two. */
const orderOf = (atMs: number, oldBeforeMs: number): number =>
  atMs < SOME_DAY || atMs >= NEVER ? atMs : standsSince(atMs) >= oldBeforeMs ? SOME_DAY : DOUBTFUL;

const count = (memory: Memory, atMs: number, by: 1 | -1): void => {
  if (atMs < NEVER) memory.hopeful += by;
  if (atMs < SOME_DAY) memory.sure += by;
};

const earliest = (
  state: MutableState,
  requestClass: RequestClass,
  planned: Planned,
  oldBeforeMs: number,
  latest: number,
  taken: readonly Promised[],
): Found | undefined => {
  const slots = state.index.inOrder();
  const news = state.ledger.news(requestClass);
  const known = memories.get(requestClass);
  const isKnown = known?.atMs.length === slots.length && news !== "all";
  const memory = isKnown ? known : { atMs: new Float64Array(slots.length).fill(NEVER), hopeful: 0, sure: 0 };
  const earliestOn = earliestFor(state, requestClass, planned);
  for (const slot of isKnown ? news : slots) {
    count(memory, memory.atMs[slot] as number, -1);
    const atMs = earliestOn(slot);
    memory.atMs[slot] = atMs;
    count(memory, atMs, 1);
  }
  memories.set(requestClass, memory);
  // Thousands of classes may ask for what none of them is promised: hosts are gone through only where one of them may do.
  const isTaken = (slot: number): boolean => taken.some((kept) => kept.slot === slot);
  const others = taken.filter(({ slot }) => (memory.atMs[slot] as number) < NEVER).length;
  if (memory.hopeful <= others || (latest < SOME_DAY && memory.sure === 0)) return undefined;
  let best: Found | undefined;
  let least = NEVER;
  const refusalOn = state.index.refusals(requestClass);
  for (const slot of slots) {
    const atMs = memory.atMs[slot] as number;
    const order = orderOf(atMs, oldBeforeMs);
    if (order >= least || isTaken(slot) || refusalOn(slot) !== undefined) continue;
    best = { slot, atMs };
    least = order;
  }
  return best;
};

/** Whether anything can be promised to it at all, beside what a plan itself places. */
export const mayBePromised = (state: MutableState, job: MutableJob, nowMs: number): boolean =>
  state.limited > 0 || waitedMs(job, nowMs) >= HOLD_MS;

/** Whether another may be promised room beside these: nobody is to wait for what may never be. */
export const mayPromiseMore = (promised: readonly Promised[]): boolean =>
  promised.every(({ isDoubtful }) => isDoubtful) && promised.length < MAX_DOUBTFUL;

/**
 * Promises room to so many tasks of a job that just found none, and books it, on other hosts than those that are promised
 * already. Undefined, and nothing booked, when no time can be named.
 */
export const promise = (
  state: MutableState,
  tentative: Tentative,
  job: MutableJob,
  tasks: number,
  nowMs: number,
  planned: Planned,
  before: readonly Promised[],
): Promised[] | undefined => {
  const { requestClass } = job;
  // The first end that is known may be that of what this plan has placed.
  const isHopeful = planned.ends.size > 0 || mayBePromised(state, job, nowMs);
  if (requestClass.unknown !== null || !isHopeful) return undefined;
  const waited = waitedMs(job, nowMs);
  const latest = waited >= HOLD_MS ? Number.MAX_VALUE : SOME_DAY - 1;
  const oldBeforeMs = oldBefore(nowMs, waited);
  const mark = tentative.bookings;
  const slots: { readonly slot: number; booked: RequestClass }[] = [];
  let untilMs = 0;
  for (let at = 0; at < tasks; at += 1) {
    const found = earliest(state, requestClass, planned, oldBeforeMs, latest, before);
    if (found === undefined || found.atMs > latest) {
      tentative.undoTo(mark);
      return undefined;
    }
    untilMs = Math.max(untilMs, found.atMs);
    const room = roomAt(state, found.slot, found.atMs, planned);
    const booked = state.index.grant(found.slot, requestClass, room)?.requestClass ?? requestClass;
    slots.push({ slot: found.slot, booked });
    tentative.bookAt(found.slot, booked);
  }
  // It does not stand there yet: no rule of others counts it.
  tentative.undoTo(mark);
  for (const one of slots) {
    one.booked = { ...one.booked, groups: [] };
    tentative.bookAt(one.slot, one.booked);
  }
  const promised = new Map<number, Promised>();
  for (const { slot, booked } of slots) {
    let at = promised.get(slot);
    if (at === undefined) {
      // What is booked for it is not spare: `roomAt` sees these bookings.
      const spare = roomAt(state, slot, untilMs, planned);
      const isDoubtful = orderOf(untilMs, oldBeforeMs) === DOUBTFUL;
      const kept = new Float64Array(STRIDE);
      promised.set(slot, (at = { job, slot, atMs: untilMs, isDoubtful, classes: [], kept, spare }));
    }
    at.classes.push(booked);
    addRow(at.kept, 0, booked.request);
  }
  return [...promised.values()];
};

/** Asks while what is booked for these promises is free: what a host lacks by itself. */
export const withoutPromises = <T>(tentative: Tentative, promised: readonly Promised[], ask: () => T): T => {
  const mark = tentative.bookings;
  for (const { slot, classes } of promised) for (const booked of classes) tentative.setAside(slot, booked);
  const answer = ask();
  tentative.undoTo(mark);
  return answer;
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
  const { free, ready } = state.index.room(slot);
  if (!ready) return "no_room";
  const room = free.slice();
  addRow(room, 0, kept);
  if (firstShort(room, 0, request) >= 0 || !state.index.hasDevices(slot, room, job.requestClass)) return "no_room";
  if (rules !== null && state.index.refusal(slot, job.requestClass) !== undefined) return "no_room";
  // Where no end is known, even short work would keep the room from ever adding up.
  if (isOverBefore(job, atMs, nowMs)) return "may";
  // Of devices it may have what is both spare and free.
  const both = room.map((all, at) => Math.min(all, spare[at] as number));
  return firstShort(spare, 0, request) < 0 && state.index.hasDevices(slot, both, job.requestClass) ? "may" : "kept";
};

const isOverBefore = (job: Pick<Asking, "spec">, atMs: number, nowMs: number): boolean =>
  atMs < SOME_DAY && endOf(job.spec, nowMs) <= atMs;

/** Places a task that may run on a promised host; what it has beyond the time of the promise is not spare any more. */
export const backfill = (tentative: Tentative, promised: Promised, job: Asking, nowMs: number): Chosen => {
  const { slot, atMs, classes, spare } = promised;
  const isShort = isOverBefore(job, atMs, nowMs);
  const chosen = tentative.placeBeside(slot, job.requestClass, classes, isShort ? undefined : spare);
  if (!isShort) addRow(spare, 0, chosen.granted.requestClass.request, -1);
  return chosen;
};
