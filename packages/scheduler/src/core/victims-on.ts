/**
 * Whom it would take on one host to make room for a task: first the least important, then the fewest, gangs counted with all
 * that they cannot do without, then those that came last.
 */
import { priorityOf, type AllocationId, type HostId, type JobKey } from "@berth/schema";
import { allocationsOn } from "./allocations-on.ts";
import type { mayStop } from "./disruption.ts";
import { firstShort } from "./feasibility.ts";
import { gangNeed } from "./gang.ts";
import type { Granted } from "./host-index.ts";
import { NOW } from "./ledger.ts";
import type { RequestClass } from "./request-class.ts";
import { smallerSets } from "./smaller-sets.ts";
import type { MutableAllocation, MutableState } from "./state.ts";
import { addRow, STRIDE, widthOf } from "./vector.ts";

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

const MAX_VICTIMS = 256;

/** How many tasks lose their work: whoever loses members of a gang loses what the gang cannot do without them. */
const harmOf = (state: MutableState, victims: readonly MutableAllocation[]): number => {
  const perJob = new Map<JobKey, number>();
  for (const { key } of victims) perJob.set(key, (perJob.get(key) ?? 0) + 1);
  let harm = 0;
  for (const [key, many] of perJob) {
    const job = state.jobs.get(key);
    harm += job === undefined ? many : Math.max(many, gangNeed(job));
  }
  return harm;
};

/** The least important first; of equals those that came last, which have done the least. */
const byHarm = (a: MutableAllocation, b: MutableAllocation): number =>
  priorityOf(a.spec) - priorityOf(b.spec) || b.placedAtMs - a.placedAtMs || (a.id < b.id ? 1 : -1);

/** Less important, and nobody has stopped it yet. */
export const isLesser = ({ desired, id, spec }: MutableAllocation, level: number, { ids }: Taken): boolean =>
  desired !== "stop" && priorityOf(spec) <= level && !ids.has(id);

const evictable = (state: MutableState, slot: number, level: number, taken: Taken): MutableAllocation[] => {
  const found: MutableAllocation[] = [];
  for (const one of allocationsOn(state, state.index.idOf(slot))) {
    if (isLesser(one, level, taken) && !taken.gangs.has(one.key)) found.push(one);
  }
  return found.sort(byHarm);
};

/**
 * Of each group that it has to be together with: how many of those that are where this host is go on. Undefined: none of
 * some group, so that it might not stand there once there is room.
 */
const companionsOn = (
  state: MutableState,
  slot: number,
  requestClass: RequestClass,
  { ids }: Taken,
): Map<string, number> | undefined => {
  const left = new Map<string, number>();
  const { hostTogether = [], together = [] } = requestClass.rules ?? {};
  if (hostTogether.length + together.length === 0) return left;
  for (const { group, there } of state.index.companions(slot, requestClass)) {
    // Where there is none anywhere, it is the first.
    if (there > 0) left.set(group, Math.min(there, left.get(group) ?? there));
  }
  for (const { desired, id, requestClass: other } of allocationsOn(state, state.index.idOf(slot)))
    if (desired === "stop" || ids.has(id)) leave(left, other, 1);
  return [...left.values()].includes(0) ? undefined : left;
};

/** Somebody goes (1), or stays after all (-1). */
const leave = (left: Map<string, number>, { groups }: RequestClass, many: 1 | -1): void => {
  for (const group of groups) {
    const there = left.get(group);
    if (there !== undefined) left.set(group, there - many);
  }
};

/** How many of a job may be stopped when so many have been. */
export type Budgets = typeof mayStop;
export const NO_BUDGETS: Budgets = () => Number.POSITIVE_INFINITY;

/** Negative: the left ones are the lesser loss. */
export const byLoss = (
  state: MutableState,
  left: readonly MutableAllocation[],
  right: readonly MutableAllocation[],
) => {
  const sum = (victims: readonly MutableAllocation[], of: (one: MutableAllocation) => number): number =>
    victims.reduce((total, victim) => total + of(victim), 0);
  const top = (victims: readonly MutableAllocation[]): number =>
    victims.reduce((most, { spec }) => Math.max(most, priorityOf(spec)), NOW);
  return (
    top(left) - top(right) ||
    harmOf(state, left) - harmOf(state, right) ||
    // The later they came, the less is lost.
    sum(right, ({ placedAtMs }) => placedAtMs) - sum(left, ({ placedAtMs }) => placedAtMs)
  );
};

/** What is short, and by how much. */
const lacksOf = (asked: Float64Array, room: Float64Array): { readonly at: number; readonly lack: number }[] => {
  const lacking: { readonly at: number; readonly lack: number }[] = [];
  for (let at = 0; at < asked.length; at += 1) {
    const lack = (asked[at] as number) - (room[at] as number);
    if ((asked[at] as number) > 0 && lack > 0) lacking.push({ at, lack });
  }
  return lacking;
};

/** The victims on one host, or undefined when the budgets, and whom it has to be together with, leave too few of them. */
export const victimsOn = (
  state: MutableState,
  slot: number,
  requestClass: RequestClass,
  level: number,
  taken: Taken,
  budgets: Budgets,
): { readonly victims: readonly MutableAllocation[]; readonly granted: Granted } | undefined => {
  const { request } = requestClass;
  const companions = companionsOn(state, slot, requestClass, taken);
  if (companions === undefined) return undefined;
  const from = slot * STRIDE;
  const width = widthOf(state);
  const asked = request.subarray(0, width);
  const room = state.index.rows().free.slice(from, from + STRIDE);
  const going = state.ledger.upTo(NOW);
  for (let at = 0; at < width; at += 1) room[at] = (room[at] as number) + (going[from + at] as number);
  const isShort = (): boolean => firstShort(room, 0, asked) >= 0 || !state.index.hasDevices(slot, room, requestClass);
  const give = ({ requestClass: other }: MutableAllocation, sign: 1 | -1): void => {
    addRow(room, 0, other.request, sign, width);
    leave(companions, other, sign);
  };
  const isOf = (at: number, { requestClass: other }: MutableAllocation): boolean =>
    (request[at] as number) > (room[at] as number) && (request[at] as number) > 0 && (other.request[at] as number) > 0;
  const helps = (victim: MutableAllocation): boolean => {
    for (let at = 0; at < state.dimensions.length; at += 1) if (isOf(at, victim)) return true;
    // In all there is enough: whoever holds a device may hold the one that is needed.
    return victim.requestClass.columns && firstShort(room, 0, asked) < 0;
  };
  const perJob = new Map<JobKey, number>();
  /** Its room is there, unless its job may lose no more, or it is the last that somebody has to be together with. */
  const stop = (victim: MutableAllocation): boolean => {
    if (victim.requestClass.groups.some((group) => companions.get(group) === 1)) return false;
    const job = state.jobs.get(victim.key);
    const so = perJob.get(victim.key) ?? 0;
    // Of an old version that is being replaced nobody is left to say no.
    const isFree = job === undefined || victim.jobVersion !== job.version;
    if (!isFree && budgets(job, (taken.perJob.get(victim.key) ?? 0) + so) < 1) return false;
    perJob.set(victim.key, so + 1);
    give(victim, 1);
    return true;
  };
  const spare = (victim: MutableAllocation): void => {
    perJob.set(victim.key, (perJob.get(victim.key) ?? 1) - 1);
    give(victim, -1);
  };
  /** In this order as many as it takes; undefined: all are too few. All are spared again. */
  const pick = (candidates: readonly MutableAllocation[]): MutableAllocation[] | undefined => {
    const chosen: MutableAllocation[] = [];
    for (const victim of candidates) {
      if (!isShort() || chosen.length >= MAX_VICTIMS) break;
      if (helps(victim) && stop(victim)) chosen.push(victim);
    }
    const isEnough = !isShort();
    // Whoever turned out not to be needed is spared, the last first.
    for (let at = chosen.length - 1; at >= 0 && isEnough; at -= 1) {
      const victim = chosen[at] as MutableAllocation;
      spare(victim);
      if (!isShort()) chosen.splice(at, 1);
      else stop(victim);
    }
    chosen.forEach(spare);
    return isEnough ? chosen : undefined;
  };
  let chosen: readonly MutableAllocation[] = [];
  if (isShort()) {
    const candidates = evictable(state, slot, level, taken);
    const first = pick(candidates);
    if (first === undefined) return undefined;
    chosen = first;
    if (chosen.length > 1) {
      const choose = (other: readonly MutableAllocation[]): void => {
        if (byLoss(state, other, chosen) < 0) chosen = other;
      };
      const lacking = lacksOf(asked, room);
      const isOne = ({ requestClass: { request: its } }: MutableAllocation): boolean =>
        lacking.every(({ at, lack }) => (its[at] as number) >= lack);
      const trial = { take: stop, giveBack: spare, isEnough: () => !isShort() };
      smallerSets(candidates.filter(isOne), 2, trial, choose);
      if (chosen.length > 2) {
        const use = ({ requestClass: { request: its } }: MutableAllocation): number =>
          lacking.reduce((sum, { at, lack }) => sum + Math.min(1, (its[at] as number) / lack), 0);
        const helpful = candidates.filter(helps).map((victim) => ({ victim, use: use(victim) }));
        const largest = helpful.sort((one, other) => other.use - one.use).map(({ victim }) => victim);
        choose(pick(largest) ?? chosen);
        smallerSets(largest, chosen.length, trial, choose);
      }
    }
    for (const victim of chosen) stop(victim);
  }
  const granted = state.index.grant(slot, requestClass, room);
  return granted === undefined ? undefined : { victims: chosen, granted };
};
