/**
 * Which hosts have changed since when: a ring of the newest changes, in which only the last change of each host counts.
 * Whoever has not looked for so long that half of all hosts may have changed is told to look at all of them.
 */
export interface ChangeJournal {
  readonly note: (slot: number) => void;
  /** Now. */
  readonly mark: () => number;
  /** False when what has changed since this mark is no longer known, or is not worth telling. */
  readonly reaches: (mark: number) => boolean;
  /** Writes each host that has changed since the mark into `into`, once, and returns how many they are. */
  readonly since: (mark: number, into: Int32Array) => number;
  /** As long as `into` must be. */
  readonly longest: number;
}

const LEAST = 64;

/** For slots 0 … `hosts` - 1. */
export const createChangeJournal = (hosts: number): ChangeJournal => {
  let capacity = LEAST;
  while (capacity < hosts / 2) capacity *= 2;
  const ring = new Int32Array(capacity);
  /** The newest mark of each host. */
  const lastOf = new Float64Array(hosts).fill(-1);
  let now = 0;
  return {
    note: (slot) => {
      ring[now & (capacity - 1)] = slot;
      lastOf[slot] = now;
      now += 1;
    },
    mark: () => now,
    reaches: (mark) => now - mark <= capacity,
    longest: capacity,
    since: (mark, into) => {
      let count = 0;
      for (let at = mark; at < now; at += 1) {
        const slot = ring[at & (capacity - 1)] as number;
        if (lastOf[slot] !== at) continue;
        into[count] = slot;
        count += 1;
      }
      return count;
    },
  };
};
