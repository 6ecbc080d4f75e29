/**
 * When what stands on each host ends at the latest, as far as that is known, and how well a task that ends at a certain time
 * goes with it. Tasks that end together give their host back as a whole; one that ends long after the others keeps it busy
 * for itself, and one that ends long before leaves a hole (the departure alignment of lifetime-aware allocation: Barbalho et
 * al., Virtual Machine Allocation with Lifetime Predictions, MLSys 2023).
 */

export interface HostEnds {
  /** One that ends at `atMs` comes (1) or is gone (-1); NO_END: nobody knows when. */
  readonly count: (slot: number, atMs: number, sign: 1 | -1) => void;
  /** 1: all that stands there ends at `atMs`; 0: nothing does, or nothing stands there. */
  readonly alignment: (slot: number, nowMs: number, atMs: number) => number;
}

export const NO_END = Number.POSITIVE_INFINITY;

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

  return {
    count: (slot, atMs, sign) => {
      if (atMs < NO_END) change((known[slot] ??= []), atMs, sign);
      else others[slot] = (others[slot] ?? 0) + sign;
    },
    alignment: (slot, nowMs, atMs) => {
      const ends = known[slot];
      if (ends === undefined || ends.length === 0) return 0;
      const mine = Math.max(1, atMs - nowMs);
      let sum = 0;
      for (const end of ends) {
        // What is overdue ends now.
        const its = Math.max(1, end - nowMs);
        sum += its < mine ? its / mine : mine / its;
      }
      return sum / (ends.length + Math.max(0, others[slot] ?? 0));
    },
  };
};
