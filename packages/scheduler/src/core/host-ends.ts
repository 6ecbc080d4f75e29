/**
 * When what stands on each host ends at the latest, as far as that is known, and how well a task that ends at a certain time
 * goes with it. Tasks that end together give their host back as a whole; one that ends long after the others keeps it busy
 * for itself, and one that ends long before leaves a hole (the departure alignment of lifetime-aware allocation: Barbalho et
 * al., Virtual Machine Allocation with Lifetime Predictions, MLSys 2023).
 *
 * Every host is asked for every placement, so that answers are remembered: time passes in steps, a small part of how long
 * the task lasts, and within one step only a host on which something came or went is looked at again.
 */
import { LRUCache } from "lru-cache";
import { companyOf } from "./company.ts";
import type { Survival } from "./lifetimes.ts";

export interface Alignments {
  /** As a part of the score. */
  readonly name: "endsTogether" | "inCompany";
  /** How many hosts are looked at beside the one that packs best, of those that could be better. */
  readonly limit: number;
  /** By slot; negative: nobody has asked since something came or went there. */
  readonly known: Float64Array;
  /** 1: all that stands there ends when the task does, or something stays as long; 0: nothing does, or nothing stands there. */
  readonly of: (slot: number) => number;
}

/** What is known of when one ends that stands on a host. */
export interface Stay {
  /** At the latest; NO_END: nobody knows. */
  readonly atMs: number;
  /** Since when it stands there, where that says something; null: it is always there, as a daemon is, and keeps no host busy. */
  readonly sinceMs: number | null;
}

export interface HostEnds {
  /** One comes (1) or is gone (-1). */
  readonly count: (slot: number, stay: Stay, sign: 1 | -1) => void;
  /** For tasks that begin about now and last so long, on slots 0 … `hosts` - 1. To be asked at once, and not kept. */
  readonly alignments: (nowMs: number, lastsMs: number, hosts: number) => Alignments;
  /** The same for tasks of which nobody knows for how long they stay, by how long others did. */
  readonly company: (nowMs: number, survival: Survival, hosts: number) => Alignments;
}

export const NO_END = Number.POSITIVE_INFINITY;

/** So many steps at least while a task lasts. */
const STEPS = 32;
/** Lengths of tasks for which answers are kept. */
const MAX_REMEMBERED = 32;

/** The beginning of the step of `nowMs`. */
export const momentOf = (nowMs: number, lastsMs: number): number => {
  let step = 1;
  while (step * 2 * STEPS <= lastsMs) step *= 2;
  return Math.floor(nowMs / step) * step;
};

interface Remembered {
  momentMs: number;
  found: Float64Array;
}

/** Of what is asked about every host for every task: enough to find one that is about as good as the best. */
const LOOKED_AT = 128;

const UNKNOWN = -1;

export const createHostEnds = (): HostEnds => {
  /** Ascending, so that sums come out the same however they came together. */
  const known: (number[] | undefined)[] = [];
  const others: number[] = [];
  /** When those began of which nobody knows when they end, ascending. */
  const begun: (number[] | undefined)[] = [];

  const change = (ends: number[], atMs: number, sign: 1 | -1): void => {
    let at = ends.length;
    while (at > 0 && (ends[at - 1] as number) > atMs) at -= 1;
    if (sign === 1) ends.splice(at, 0, atMs);
    else if (ends[at - 1] === atMs) ends.splice(at - 1, 1);
  };

  const remembered = new LRUCache<number, Remembered>({ max: MAX_REMEMBERED });

  const alignment = (slot: number, momentMs: number, lastsMs: number): number => {
    const ends = known[slot];
    if (ends === undefined || ends.length === 0) return 0;
    const mine = Math.max(1, lastsMs);
    let sum = 0;
    for (const end of ends) {
      // What is overdue ends now.
      const its = Math.max(1, end - momentMs);
      sum += its < mine ? its / mine : mine / its;
    }
    return sum / (ends.length + Math.max(0, others[slot] ?? 0));
  };

  /** For what comes by `survival`, to be asked as of one moment. */
  let kept: (Remembered & { readonly survival: Survival }) | undefined;

  const refresh = (one: Remembered, momentMs: number, hosts: number): Float64Array => {
    if (one.found.length !== hosts) one.found = new Float64Array(hosts).fill(UNKNOWN);
    else if (one.momentMs !== momentMs) one.found.fill(UNKNOWN);
    one.momentMs = momentMs;
    return one.found;
  };

  const asking = (found: Float64Array, look: (slot: number) => number): Pick<Alignments, "known" | "of"> => ({
    known: found,
    of: (slot) => {
      const before = found[slot] ?? UNKNOWN;
      return before >= 0 ? before : (found[slot] = look(slot));
    },
  });

  return {
    count: (slot, { atMs, sinceMs }, sign) => {
      if (remembered.size > 0)
        for (const { found } of remembered.values()) if (slot < found.length) found[slot] = UNKNOWN;
      if (kept !== undefined && slot < kept.found.length) kept.found[slot] = UNKNOWN;
      if (atMs < NO_END) change((known[slot] ??= []), atMs, sign);
      else others[slot] = (others[slot] ?? 0) + sign;
      if (atMs === NO_END && sinceMs !== null) change((begun[slot] ??= []), sinceMs, sign);
    },
    alignments: (nowMs, lastsMs, hosts) => {
      const momentMs = momentOf(nowMs, lastsMs);
      const one = remembered.get(lastsMs) ?? { momentMs, found: new Float64Array(0) };
      remembered.set(lastsMs, one);
      const found = refresh(one, momentMs, hosts);
      const look = (slot: number): number => alignment(slot, momentMs, lastsMs);
      return { name: "endsTogether", limit: Number.POSITIVE_INFINITY, ...asking(found, look) };
    },
    company: (nowMs, survival, hosts) => {
      const momentMs = momentOf(nowMs, survival.meanMs);
      if (kept?.survival !== survival) kept = { survival, momentMs, found: new Float64Array(0) };
      const found = refresh(kept, momentMs, hosts);
      const look = (slot: number): number => companyOf(survival, momentMs, known[slot] ?? [], begun[slot] ?? []);
      return { name: "inCompany", limit: LOOKED_AT, ...asking(found, look) };
    },
  };
};
