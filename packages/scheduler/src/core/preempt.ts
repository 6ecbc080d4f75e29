/**
 * Whose room a task may take. Only what is less important, only within the disruption budgets of its owners, and only where
 * the task then fits. Of all such ways the one that does least harm: the least important victims first, then the fewest,
 * then those that lose the least work.
 *
 * Every host is asked by sums alone, level by level; only on the few that promise most are victims picked one by one.
 */
import { LRUCache } from "lru-cache";
import { priorityOf, type AllocationId, type JobKey } from "@berth/schema";
import { allocationsOn } from "./allocations-on.ts";
import { mayStop } from "./disruption.ts";
import { unfulfilled } from "./devices.ts";
import { firstShort } from "./feasibility.ts";
import { LeastList } from "./least-list.ts";
import { NOW } from "./ledger.ts";
import type { RequestClass } from "./request-class.ts";
import type { MutableAllocation, MutableState } from "./state.ts";
import { byLoss, isLesser, victimsOn, type Budgets, type Eviction, type Taken } from "./victims-on.ts";
import { addRow, BASE, STRIDE } from "./vector.ts";

export const nothingTaken = (): Taken => ({
  slots: new Set(),
  ids: new Set(),
  perJob: new Map(),
  gangs: new Set(),
  evictions: [],
});

/** So many hosts are looked at closely when one of them would do with one victim, so many when none would, and so many in all. */
const CLOSE_LOOKS = 4;
const CLOSER_LOOKS = 8;
const MAX_LOOKS = 256;

/** Anything less important than this runs somewhere. */
export const hasLesser = (state: MutableState, priority: number): boolean => {
  for (const level of state.priorities.keys()) if (level < priority) return true;
  return false;
};

/** Where all that stands at a level and below would make room, remembered while what stands there is the same. */
interface Memory {
  readonly level: number;
  readonly levels: readonly number[];
  /** By the order of hosts: what is missing there as a share of what the host has, the largest of the dimensions; NOWHERE: too much. */
  readonly missing: LeastList;
}
const NOWHERE = Number.POSITIVE_INFINITY;
const memories = new WeakMap<RequestClass, Map<number, Memory>>();
/** Hosts remembered over all of them, eight bytes each; who is dropped is looked for anew. */
const MAX_REMEMBERED = 2 ** 23;
const remembered = new LRUCache<Memory, Map<number, Memory>>({
  maxSize: MAX_REMEMBERED,
  sizeCalculation: (_byLevel, { missing }) => Math.max(1, missing.length),
  dispose: (byLevel, memory) => {
    if (byLevel.get(memory.level) === memory) byLevel.delete(memory.level);
  },
});

const missingAt = (state: MutableState, { request, wishes }: RequestClass, level: number) => {
  const { free, perUnit, ready, models } = state.index.rows();
  const given = state.ledger.upTo(level);
  const going = state.ledger.upTo(NOW);
  const width = state.dimensions.length;
  return (slot: number): number => {
    if (ready[slot] === 0) return NOWHERE;
    const from = slot * STRIDE;
    let missing = 0;
    for (let at = 0; at < width; at += 1) {
      const asked = request[at] as number;
      if (asked === 0) continue;
      const here = free[from + at] as number;
      if (here + (given[from + at] as number) < asked) return NOWHERE;
      const lacks = (asked - here - (going[from + at] as number)) * (perUnit[from + at] as number);
      if (lacks > missing) missing = lacks;
    }
    if (wishes.length === 0) return missing;
    const room = { free, from, models, modelsFrom: slot * (STRIDE - BASE), given };
    return unfulfilled(room, wishes) === undefined ? missing : NOWHERE;
  };
};

/** What is missing on every host, true as of now: only those that have changed are looked at again. */
const missingOn = (state: MutableState, requestClass: RequestClass, level: number): LeastList => {
  const byLevel = memories.get(requestClass) ?? new Map<number, Memory>();
  memories.set(requestClass, byLevel);
  const slots = state.index.inOrder();
  const levels = state.ledger.levels();
  const known = byLevel.get(level);
  const isUsable = known !== undefined && known.levels === levels && known.missing.length === slots.length;
  const memory = isUsable ? known : { level, levels, missing: new LeastList(slots.length) };
  if (!isUsable) {
    if (known !== undefined) remembered.delete(known);
    byLevel.set(level, memory);
    remembered.set(memory, byLevel);
  } else remembered.get(memory);
  const news = state.ledger.news(memory);
  const look = missingAt(state, requestClass, level);
  const { rank } = state.index.rows();
  for (const slot of isUsable && news !== "all" ? news : slots) memory.missing.set(rank[slot] as number, look(slot));
  return memory.missing;
};

/**
 * On which hosts the budgets for certain leave too little. A sum and no choice, so that many such hosts are no reason to give
 * up before one that would do.
 */
const barredBy = (
  state: MutableState,
  { request }: RequestClass,
  level: number,
  taken: Taken,
  budgets: Budgets,
): ((slot: number) => boolean) => {
  const width = state.dimensions.length;
  const going = state.ledger.upTo(NOW);
  const { free } = state.index.rows();
  const known = new Map<JobKey, boolean>();
  const mayGo = ({ jobVersion, key }: MutableAllocation): boolean => {
    const job = state.jobs.get(key);
    if (job === undefined || job.version !== jobVersion) return true;
    const may = known.get(key) ?? budgets(job, taken.perJob.get(key) ?? 0) >= 1;
    known.set(key, may);
    return may;
  };
  const room = new Float64Array(width);
  return (slot) => {
    const from = slot * STRIDE;
    for (let at = 0; at < width; at += 1) room[at] = (free[from + at] as number) + (going[from + at] as number);
    for (const one of allocationsOn(state, state.index.idOf(slot))) {
      if (isLesser(one, level, taken) && mayGo(one)) addRow(room, 0, one.requestClass.request, 1, width);
    }
    return firstShort(room, 0, request.subarray(0, width)) >= 0;
  };
};

/**
 * The least harmful way to make room for a task of this class and priority, or undefined when there is none. Hosts of `except`
 * are left alone; `budgets` other than those of the jobs tell what they stand in the way of.
 */
export const findEviction = (
  state: MutableState,
  requestClass: RequestClass,
  priority: number,
  taken: Taken,
  except: (slot: number) => boolean = () => false,
  budgets: Budgets = mayStop,
): Eviction | undefined => {
  if (requestClass.unknown !== null || !hasLesser(state, priority)) return undefined;
  state.ledger.refresh(state, taken.ids);
  const order = state.index.inOrder();
  const refusalOn = state.index.refusals(requestClass);
  for (const level of state.ledger.levels()) {
    if (level >= priority) break;
    let best: Eviction | undefined;
    let successes = 0;
    let wanted = CLOSER_LOOKS;
    const missing = missingOn(state, requestClass, level);
    // Each is looked at once, and is remembered again afterwards.
    const looked: { readonly position: number; readonly was: number }[] = [];
    const putBack = (): void => {
      for (const { position, was } of looked) missing.set(position, was);
    };
    const isBarred = barredBy(state, requestClass, level, taken, budgets);
    let isWary = false;
    for (let looks = 0; looks < MAX_LOOKS && successes < wanted;) {
      // Of equals the first by id.
      const position = missing.first();
      if (position < 0) break;
      looked.push({ position, was: missing.at(position) });
      missing.set(position, NOWHERE);
      const slot = order[position] as number;
      if (except(slot)) continue;
      if (refusalOn(slot) !== undefined) continue;
      // Where it may not stand is no look: those hosts may be many, and the same ones every time. Nor is where nobody may go.
      if (isWary && isBarred(slot)) continue;
      looks += 1;
      const made = victimsOn(state, slot, requestClass, level, taken, budgets);
      isWary ||= made === undefined;
      if (made === undefined) continue;
      const { victims } = made;
      const found = { slot, hostId: state.index.idOf(slot), ...made };
      // What is being stopped already will do: the room is kept, and nobody is stopped for it.
      if (victims.length === 0) {
        putBack();
        return found;
      }
      successes += 1;
      if (victims.length === 1) wanted = CLOSE_LOOKS;
      if (best === undefined || byLoss(state, victims, best.victims) < 0) best = found;
    }
    putBack();
    if (best !== undefined) return best;
  }
  return undefined;
};

/** The same on one host alone. */
export const findEvictionAt = (
  state: MutableState,
  slot: number,
  requestClass: RequestClass,
  priority: number,
  taken: Taken,
  budgets: Budgets = mayStop,
): Eviction | undefined => {
  const { open, ready } = state.index.rows();
  if ((requestClass.daemon ? open : ready)[slot] === 0) return undefined;
  if (state.index.refusal(slot, requestClass) !== undefined) return undefined;
  if (requestClass.unknown !== null || !hasLesser(state, priority)) return undefined;
  state.ledger.refresh(state, taken.ids);
  for (const level of state.ledger.levels()) {
    if (level >= priority) break;
    const made = victimsOn(state, slot, requestClass, level, taken, budgets);
    if (made !== undefined) return { slot, hostId: state.index.idOf(slot), ...made };
  }
  return undefined;
};

/** Notes what a plan takes, until `giveBack`. */
export const take = (state: MutableState, taken: Taken, eviction: Eviction): void => {
  const { slot, victims } = eviction;
  taken.evictions.push(eviction);
  for (const { id, key, requestClass, spec } of victims) {
    taken.ids.add(id);
    taken.perJob.set(key, (taken.perJob.get(key) ?? 0) + 1);
    state.ledger.move(slot, requestClass.request, priorityOf(spec), 1);
  }
};

/** This one is stopped anyway. */
export const passOver = (state: MutableState, taken: Taken, id: AllocationId, slot: number): void => {
  taken.ids.add(id);
  taken.slots.add(slot);
  state.ledger.touch(slot);
};

/** Gives the newest back. */
export const untake = (state: MutableState, taken: Taken): void => {
  const newest = taken.evictions.pop();
  if (newest === undefined) return;
  const { slot, victims } = newest;
  for (const { id, key, requestClass, spec } of victims) {
    taken.ids.delete(id);
    taken.perJob.set(key, (taken.perJob.get(key) ?? 0) - 1);
    state.ledger.move(slot, requestClass.request, priorityOf(spec), -1);
  }
};

/** The plan is over: what it took is there as before. */
export const giveBack = (state: MutableState, taken: Taken): void => {
  while (taken.evictions.length > 0) untake(state, taken);
  for (const slot of taken.slots) state.ledger.touch(slot);
};
