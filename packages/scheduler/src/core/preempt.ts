/**
 * Whose room a task may take. Only what is less important, only within the disruption budgets of its owners, and only where
 * the task then fits. Of all such ways the one that does least harm: the least important victims first, then the fewest,
 * then those that lose the least work.
 *
 * Every host is asked by sums alone, level by level; only on the few that promise most are victims picked one by one.
 */
import { priorityOf, type AllocationId, type HostId, type JobKey } from "@berth/schema";
import { mayStop } from "./disruption.ts";
import { unfulfilled } from "./devices.ts";
import { firstShort } from "./feasibility.ts";
import { gangNeed } from "./gang.ts";
import type { Granted } from "./host-index.ts";
import { NOW } from "./ledger.ts";
import type { RequestClass } from "./request-class.ts";
import type { MutableAllocation, MutableState } from "./state.ts";
import { addRow, BASE, STRIDE } from "./vector.ts";

export interface Eviction {
  readonly slot: number;
  readonly hostId: HostId;
  readonly victims: readonly MutableAllocation[];
  /** What is booked there for the task. */
  readonly granted: Granted;
}

/** What one plan has taken already. */
export interface Taken {
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

/** Slots, and what is missing on each as a share of what the host has: the largest of the dimensions. */
interface Candidates {
  readonly slots: number[];
  readonly missing: number[];
}

/** Hosts on which all that stands at `level` and below would make room. */
const candidatesAt = (state: MutableState, requestClass: RequestClass, level: number): Candidates => {
  const { free, perUnit, ready, models } = state.index.rows();
  const given = state.ledger.upTo(level);
  const going = state.ledger.upTo(NOW);
  const { request, wishes } = requestClass;
  const width = state.dimensions.length;
  const found: Candidates = { slots: [], missing: [] };
  for (const slot of state.index.inOrder()) {
    if (ready[slot] === 0) continue;
    const from = slot * STRIDE;
    let missing = 0;
    let at = 0;
    for (; at < width; at += 1) {
      const asked = request[at] as number;
      if (asked === 0) continue;
      const here = free[from + at] as number;
      if (here + (given[from + at] as number) < asked) break;
      const lacks = (asked - here - (going[from + at] as number)) * (perUnit[from + at] as number);
      if (lacks > missing) missing = lacks;
    }
    if (at < width) continue;
    if (wishes.length > 0) {
      const room = { free, from, models, modelsFrom: slot * (STRIDE - BASE), given };
      if (unfulfilled(room, wishes) !== undefined) continue;
    }
    found.slots.push(slot);
    found.missing.push(missing);
  }
  return found;
};

/** Takes out the one that lacks least, of equals the first; -1 when none is left. */
const nextOf = ({ slots, missing }: Candidates): number => {
  let best = -1;
  let least = Number.POSITIVE_INFINITY;
  for (let at = 0; at < missing.length; at += 1) {
    if ((missing[at] as number) >= least) continue;
    least = missing[at] as number;
    best = at;
  }
  if (best < 0) return -1;
  missing[best] = Number.POSITIVE_INFINITY;
  return slots[best] as number;
};

/** Whoever loses a member of a gang loses what the gang cannot do without it. */
const harmOf = (state: MutableState, { key }: MutableAllocation): number => {
  const job = state.jobs.get(key);
  return job === undefined ? 1 : Math.max(1, gangNeed(job));
};

const evictable = (state: MutableState, slot: number, level: number, taken: Taken): MutableAllocation[] => {
  const host = state.hosts.get(state.index.idOf(slot));
  const found: MutableAllocation[] = [];
  for (const id of host?.allocations ?? []) {
    const allocation = state.allocations.get(id);
    if (allocation === undefined || allocation.desired === "stop" || taken.ids.has(id)) continue;
    if (taken.gangs.has(allocation.key)) continue;
    if (priorityOf(allocation.spec) <= level) found.push(allocation);
  }
  // The least important first; of equals those that came last, which have done the least.
  return found.sort(
    (a, b) => priorityOf(a.spec) - priorityOf(b.spec) || b.placedAtMs - a.placedAtMs || (a.id < b.id ? 1 : -1),
  );
};

/** The victims on one host, or undefined when the budgets leave too few of them. */
const victimsOn = (
  state: MutableState,
  slot: number,
  requestClass: RequestClass,
  level: number,
  taken: Taken,
): { readonly victims: MutableAllocation[]; readonly granted: Granted } | undefined => {
  const { request } = requestClass;
  const room = state.index.room(slot).free.slice();
  addRow(room, 0, state.ledger.upTo(NOW).subarray(slot * STRIDE, (slot + 1) * STRIDE));
  const isShort = (): boolean => firstShort(room, 0, request) >= 0 || !state.index.hasDevices(slot, room, requestClass);
  const give = ({ requestClass: other }: MutableAllocation, sign: 1 | -1): void => addRow(room, 0, other.request, sign);
  const isOf = (at: number, { requestClass: other }: MutableAllocation): boolean =>
    (request[at] as number) > (room[at] as number) && (request[at] as number) > 0 && (other.request[at] as number) > 0;
  const helps = (victim: MutableAllocation): boolean => {
    for (let at = 0; at < BASE; at += 1) if (isOf(at, victim)) return true;
    // In all there is enough: whoever holds a device may hold the one that is needed.
    return victim.requestClass.columns && firstShort(room, 0, request) < 0;
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
      if (job !== undefined && victim.jobVersion === job.version && mayStop(job, so) < 1) continue;
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
 * The least harmful way to make room for a task of this class and priority, or undefined when there is none. Hosts of `except`
 * are left alone.
 */
export const findEviction = (
  state: MutableState,
  requestClass: RequestClass,
  priority: number,
  taken: Taken,
  except: (slot: number) => boolean = () => false,
): Eviction | undefined => {
  if (requestClass.unknown !== null || !hasLesser(state, priority)) return undefined;
  state.ledger.refresh(state, taken.ids);
  for (const level of state.ledger.levels()) {
    if (level >= priority) break;
    let best: Eviction | undefined;
    let successes = 0;
    const candidates = candidatesAt(state, requestClass, level);
    for (let looks = 0; looks < MAX_LOOKS && successes < CLOSE_LOOKS;) {
      const slot = nextOf(candidates);
      if (slot < 0) break;
      if (except(slot)) continue;
      if (requestClass.rules !== null && state.index.refusal(slot, requestClass) !== undefined) continue;
      // Where it may not stand is no look: those hosts may be many, and the same ones every time.
      looks += 1;
      const made = victimsOn(state, slot, requestClass, level, taken);
      if (made === undefined) continue;
      const { victims } = made;
      const found = { slot, hostId: state.index.idOf(slot), ...made };
      // What is being stopped already will do: the room is kept, and nobody is stopped for it.
      if (victims.length === 0) return found;
      successes += 1;
      if (best === undefined || better(state, victims, best.victims) < 0) best = found;
    }
    if (best !== undefined) return best;
  }
  return undefined;
};

/** Notes what a plan takes, until `giveBack`. */
export const take = (state: MutableState, taken: Taken, eviction: Eviction): void => {
  const { slot, victims } = eviction;
  taken.evictions.push(eviction);
  for (const { id, key } of victims) {
    taken.ids.add(id);
    taken.perJob.set(key, (taken.perJob.get(key) ?? 0) + 1);
  }
  taken.slots.add(slot);
  state.ledger.touch(slot);
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
  for (const { id, key } of victims) {
    taken.ids.delete(id);
    taken.perJob.set(key, (taken.perJob.get(key) ?? 0) - 1);
  }
  state.ledger.touch(slot);
};

/** The plan is over: what it took is there as before. */
export const giveBack = (state: MutableState, taken: Taken): void => {
  for (const slot of taken.slots) state.ledger.touch(slot);
};
