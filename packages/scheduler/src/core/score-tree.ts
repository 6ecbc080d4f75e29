/**
 * A tournament over all hosts for one request class: every inner node names the better of its two children, so the best host
 * is at the root and a change of one host costs one path to it. Better is the higher score, then the lower rank; a host
 * that cannot take the request has a negative score and never wins.
 */
export interface ScoreTree {
  /** Leaves; a tree for more hosts is a new tree. */
  readonly capacity: number;
  /** Position in the log of changes up to which this tree knows the hosts. */
  seen: number;
  readonly set: (slot: number, score: number) => void;
  /** Fills all leaves at once. */
  readonly build: (count: number, scoreOf: (slot: number) => number) => void;
  /** The best slots, best first, at most `limit`, with their scores. */
  readonly best: (limit: number) => { readonly slot: number; readonly score: number }[];
}

const NOBODY = -1;

/** `capacity` is a power of two. `rank` says who wins among equals; the order of two hosts in it never changes. */
export const createScoreTree = (capacity: number, rank: readonly number[]): ScoreTree => {
  const winner = new Int32Array(2 * capacity).fill(NOBODY);
  const scores = new Float64Array(capacity).fill(NOBODY);

  const better = (left: number, right: number): number => {
    if (left === NOBODY || right === NOBODY) return left === NOBODY ? right : left;
    const difference = (scores[left] as number) - (scores[right] as number);
    if (difference !== 0) return difference > 0 ? left : right;
    return (rank[left] as number) < (rank[right] as number) ? left : right;
  };

  const set = (slot: number, score: number): void => {
    scores[slot] = score;
    let at = capacity + slot;
    winner[at] = score < 0 ? NOBODY : slot;
    while (at > 1) {
      at >>= 1;
      const best = better(winner[2 * at] as number, winner[2 * at + 1] as number);
      // Above a node whose winner stays, and is not the changed one, nothing changes.
      if (winner[at] === best && best !== slot) return;
      winner[at] = best;
    }
  };

  return {
    capacity,
    seen: 0,
    set,
    build: (count, scoreOf) => {
      for (let slot = 0; slot < count; slot += 1) {
        const score = scoreOf(slot);
        scores[slot] = score;
        winner[capacity + slot] = score < 0 ? NOBODY : slot;
      }
      for (let at = capacity - 1; at >= 1; at -= 1) {
        winner[at] = better(winner[2 * at] as number, winner[2 * at + 1] as number);
      }
    },
    best: (limit) => {
      const found: { readonly slot: number; readonly score: number }[] = [];
      while (found.length < limit) {
        const slot = winner[1] as number;
        if (slot === NOBODY) break;
        found.push({ slot, score: scores[slot] as number });
        // Out of the race, so that the next best comes to the root; put back below.
        if (limit > 1) set(slot, NOBODY);
      }
      if (limit > 1) for (const { slot, score } of found) set(slot, score);
      return found;
    },
  };
};
