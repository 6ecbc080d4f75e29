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

export interface Alignments {
  /** By slot; negative: nobody has asked since something came or went there. */
  readonly known: Float64Array;
  /** 1: all that stands there ends when the task does; 0: nothing does, or nothing stands there. */
  readonly of: (slot: number) => number;
}

export interface HostEnds {
  /** One that ends at `atMs` comes (1) or is gone (-1); NO_END: nobody knows when. */
  readonly count: (slot: number, atMs: number, sign: 1 | -1) => void;
  /** For tasks that begin about now and last so long, on slots 0 … `hosts` - 1. To be asked at once, and not kept. */
  readonly alignments: (nowMs: number, lastsMs: number, hosts: number) => Alignments;
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

const UNKNOWN = -1;

export const createHostEnds = (): HostEnds => {
  /** Ascending, so that sums come out the same however they came together. */
  const known: (number[] | undefined)[] = [];
  const others: number[] = [];

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

  return {
    count: (slot, atMs, sign) => {
      if (remembered.size > 0)
        for (const { found } of remembered.values()) if (slot < found.length) found[slot] = UNKNOWN;
      if (atMs < NO_END) change((known[slot] ??= []), atMs, sign);
      else others[slot] = (others[slot] ?? 0) + sign;
    },
    alignments: (nowMs, lastsMs, hosts) => {
      const momentMs = momentOf(nowMs, lastsMs);
      const kept = remembered.get(lastsMs) ?? { momentMs, found: new Float64Array(0) };
      if (kept.found.length !== hosts) kept.found = new Float64Array(hosts).fill(UNKNOWN);
      else if (kept.momentMs !== momentMs) kept.found.fill(UNKNOWN);
      kept.momentMs = momentMs;
      remembered.set(lastsMs, kept);
      const { found } = kept;
      return {
        known: found,
        of: (slot) => {
          const before = found[slot] ?? UNKNOWN;
          return before >= 0 ? before : (found[slot] = alignment(slot, momentMs, lastsMs));
        },
      };
    },
  };
};
