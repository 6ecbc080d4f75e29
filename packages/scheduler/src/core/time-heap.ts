/**
 * Which tasks wait for which time. A binary heap whose entries are never moved out when a task changes its mind: an entry
 * counts only while `find` finds whoever waits. The heap can be read without changing it, because planning must not.
 */
import type { JobKey } from "@berth/schema";

export interface Waiting {
  readonly atMs: number;
  readonly key: JobKey;
  readonly index: number;
}

/** Who waits for what an entry says; undefined: nobody does any more. */
type Find<T> = (entry: Waiting) => T | undefined;

export interface TimeHeap {
  readonly length: number;
  readonly push: (entry: Waiting) => void;
  /**
   * Takes out and visits what is due at `nowMs`, and drops entries that no longer count: at once those in front, the others
   * whenever the heap has doubled.
   */
  readonly take: <T>(nowMs: number, find: Find<T>, visit: (found: T, entry: Waiting) => void) => void;
  /** Visits every entry due at `nowMs`, in no order; returns the time of the next one that counts, or null. */
  readonly due: <T>(nowMs: number, find: Find<T>, visit: (found: T, entry: Waiting) => void) => number | null;
}

const SLACK = 64;

export const createTimeHeap = (): TimeHeap => {
  let heap: Waiting[] = [];
  let keptAtPrune = 0;
  const timeAt = (at: number): number => heap[at]?.atMs ?? Number.POSITIVE_INFINITY;

  const push = (entry: Waiting): void => {
    let at = heap.length;
    heap.push(entry);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = heap[parent] as Waiting;
      if (above.atMs <= entry.atMs) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = entry;
  };

  const pop = (): void => {
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (timeAt(child + 1) < timeAt(child)) child += 1;
      if (timeAt(child) >= last.atMs) break;
      heap[at] = heap[child] as Waiting;
      at = child;
    }
    heap[at] = last;
  };

  return {
    get length() {
      return heap.length;
    },
    push,
    take: (nowMs, find, visit) => {
      for (let first = heap[0]; first !== undefined; first = heap[0]) {
        const found = find(first);
        if (found !== undefined && first.atMs > nowMs) break;
        pop();
        if (found !== undefined) visit(found, first);
      }
      if (heap.length <= 2 * keptAtPrune + SLACK) return;
      const kept = heap.filter((entry) => find(entry) !== undefined);
      heap = [];
      for (const entry of kept) push(entry);
      keptAtPrune = kept.length;
    },
    due: (nowMs, find, visit) => {
      let next: number | null = null;
      const open = [0];
      for (let at = open.pop(); at !== undefined; at = open.pop()) {
        const entry = heap[at];
        if (entry === undefined) continue;
        if (entry.atMs > nowMs) {
          // Everything below is later still; only a current entry may set the alarm.
          if (next !== null && entry.atMs >= next) continue;
          if (find(entry) !== undefined) {
            next = entry.atMs;
            continue;
          }
        } else {
          const found = find(entry);
          if (found !== undefined) visit(found, entry);
        }
        open.push(2 * at + 1, 2 * at + 2);
      }
      return next;
    },
  };
};
