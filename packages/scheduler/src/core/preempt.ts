/**
 * Whose room a task may take. Only what is less important, only within the disruption budgets of its owners, and only where
 * the task then fits. Of all such ways the one that does least harm: the least important victims first, then the fewest,
 * then those that lose the least work.
 *
 * Every host is asked by sums alone, level by level; only on the few that promise most are victims picked one by one.
 */
import { LRUCache } from "lru-cache";
import { priorityOf, type AllocationId, type HostId, type JobKey } from "@berth/schema";
import { allocationsOn } from "./allocations-on.ts";
import { mayStop } from "./disruption.ts";
import { unfulfilled } from "./devices.ts";
import { firstShort } from "./feasibility.ts";
import { gangNeed } from "./gang.ts";
import type { Granted } from "./host-index.ts";
import { LeastList } from "./least-list.ts";
import { NOW } from "./ledger.ts";
import type { RequestClass } from "./request-class.ts";
import type { MutableAllocation, MutableState } from "./state.ts";
import { addRow, BASE, STRIDE, widthOf } from "./vector.ts";

export interface Eviction {
  readonly slot: number;
  readonly hostId: HostId;
  readonly victims: readonly MutableAllocation[];
  /** What is booked there for the task. */
  readonly granted: Granted;
}

/** What one plan has taken already. */
export interface Taken {
  /** Hosts on which something is stopped anyway. */
  readonly slots: Set<number>;
  readonly ids: Set<AllocationId>;
  readonly perJob: Map<JobKey, number>;
  /** Gangs that it has placed: none of them is broken again in the same breath. */
  readonly gangs: Set<JobKey>;
  readonly evictions: Eviction[];
}

export const nothingTaken = (): Taken => ({
  slots: new Set(),
  ids: new Set(),
  perJob: new Map(),
  gangs: new Set(),
  evictions: [],
});

/** So many hosts are looked at closely when all of them succeed, and so many when budgets stand in the way. */
const CLOSE_LOOKS = 4;
const MAX_LOOKS = 256;
const MAX_VICTIMS = 256;

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

/** Whoever loses a member of a gang loses what the gang cannot do without it. */
const harmOf = (state: MutableState, { key }: MutableAllocation): number => {
  const job = state.jobs.get(key);
  return job === undefined ? 1 : Math.max(1, gangNeed(job));
};

/** The least important first; of equals those that came last, which have done the least. */
const byHarm = (a: MutableAllocation, b: MutableAllocation): number =>
  priorityOf(a.spec) - priorityOf(b.spec) || b.placedAtMs - a.placedAtMs || (a.id < b.id ? 1 : -1);

/** Less important, and nobody has stopped it yet. */
const isLesser = ({ desired, id, spec }: MutableAllocation, level: number, { ids }: Taken): boolean =>
  desired !== "stop" && priorityOf(spec) <= level && !ids.has(id);

const evictable = (state: MutableState, slot: number, level: number, taken: Taken): MutableAllocation[] => {
  const found: MutableAllocation[] = [];
  for (const one of allocationsOn(state, state.index.idOf(slot))) {
    if (isLesser(one, level, taken) && !taken.gangs.has(one.key)) found.push(one);
  }
  return found.sort(byHarm);
};

/** How many of a job may be stopped when so many have been. */
type Budgets = typeof mayStop;
export const NO_BUDGETS: Budgets = () => Number.POSITIVE_INFINITY;

/** The victims on one host, or undefined when the budgets leave too few of them. */
const victimsOn = (
  state: MutableState,
  slot: number,
  requestClass: RequestClass,
  level: number,
  taken: Taken,
  budgets: Budgets,
): { readonly victims: MutableAllocation[]; readonly granted: Granted } | undefined => {
  const { request } = requestClass;
  const from = slot * STRIDE;
  const width = widthOf(state);
  const asked = request.subarray(0, width);
  const room = state.index.rows().free.slice(from, from + STRIDE);
  const going = state.ledger.upTo(NOW);
  for (let at = 0; at < width; at += 1) room[at] = (room[at] as number) + (going[from + at] as number);
  const isShort = (): boolean => firstShort(room, 0, asked) >= 0 || !state.index.hasDevices(slot, room, requestClass);
  const give = ({ requestClass: other }: MutableAllocation, sign: 1 | -1): void =>
    addRow(room, 0, other.request, sign, width);
  const isOf = (at: number, { requestClass: other }: MutableAllocation): boolean =>
    (request[at] as number) > (room[at] as number) && (request[at] as number) > 0 && (other.request[at] as number) > 0;
  const helps = (victim: MutableAllocation): boolean => {
    for (let at = 0; at < state.dimensions.length; at += 1) if (isOf(at, victim)) return true;
    // In all there is enough: whoever holds a device may hold the one that is needed.
    return victim.requestClass.columns && firstShort(room, 0, asked) < 0;
  };
  const chosen: MutableAllocation[] = [];
  const perJob = new Map<JobKey, number>();
  if (isShort()) {
    for (const victim of evictable(state, slot, level, taken)) {
      if (!isShort() || chosen.length >= MAX_VICTIMS) break;
      if (!helps(victim)) continue;
      const job = state.jobs.get(victim.key);
      const so = (taken.perJob.get(victim.key) ?? 0) + (perJob.get(victim.key) ?? 0);
      // Of an old version that is being replaced nobody is left to say no.
      if (job !== undefined && victim.jobVersion === job.version && budgets(job, so) < 1) continue;
      perJob.set(victim.key, (perJob.get(victim.key) ?? 0) + 1);
      chosen.push(victim);
      give(victim, 1);
    }
  }
  if (isShort()) return undefined;
  // Whoever turned out not to be needed is spared, the most important first.
  for (let at = chosen.length - 1; at >= 0; at -= 1) {
    const victim = chosen[at] as MutableAllocation;
    give(victim, -1);
    if (isShort()) give(victim, 1);
    else chosen.splice(at, 1);
  }
  const granted = state.index.grant(slot, requestClass, room);
  return granted === undefined ? undefined : { victims: chosen, granted };
};

const better = (state: MutableState, left: readonly MutableAllocation[], right: readonly MutableAllocation[]) => {
  const sum = (victims: readonly MutableAllocation[], of: (one: MutableAllocation) => number): number =>
    victims.reduce((total, victim) => total + of(victim), 0);
  const top = (victims: readonly MutableAllocation[]): number =>
    victims.reduce((most, { spec }) => Math.max(most, priorityOf(spec)), NOW);
  return (
    top(left) - top(right) ||
    sum(left, (one) => harmOf(state, one)) - sum(right, (one) => harmOf(state, one)) ||
    // The later they came, the less is lost.
    sum(right, ({ placedAtMs }) => placedAtMs) - sum(left, ({ placedAtMs }) => placedAtMs)
  );
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
    const missing = missingOn(state, requestClass, level);
    // Each is looked at once, and is remembered again afterwards.
    const looked: { readonly position: number; readonly was: number }[] = [];
    const putBack = (): void => {
      for (const { position, was } of looked) missing.set(position, was);
    };
    const isBarred = barredBy(state, requestClass, level, taken, budgets);
    let isWary = false;
    for (let looks = 0; looks < MAX_LOOKS && successes < CLOSE_LOOKS;) {
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
      if (best === undefined || better(state, victims, best.victims) < 0) best = found;
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
