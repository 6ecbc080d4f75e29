/**
 * Smaller sets of the same use: all of one, of two, … as long as they are not too many. Which of those that are enough is the
 * best, others say.
 */

export interface Trial<T> {
  /** False: this one may not be taken as well, and is not. Who may not be by itself may not be beside others either. */
  readonly take: (one: T) => boolean;
  readonly giveBack: (one: T) => void;
  /** Whether what is taken is enough. */
  readonly isEnough: () => boolean;
}

/** Larger ones are not looked for. */
const MAX_SIZE = 4;
/** Nor more of one size, counted with those that came to nothing because one of them may not be taken beside the others. */
const MAX_TRIES = 128;

/** `found` hears of sets smaller than `size` that are enough, of the least size only. Those that come first are tried first. */
export const smallerSets = <T>(
  all: readonly T[],
  size: number,
  { take, giveBack, isEnough }: Trial<T>,
  found: (set: readonly T[]) => void,
): void => {
  if (size <= 1) return;
  const able = all.filter((one) => {
    const may = take(one);
    if (may) giveBack(one);
    return may;
  });
  const set: T[] = [];
  let left = 0;
  let isFound = false;
  const search = (from: number, more: number): void => {
    for (let at = from; at <= able.length - more && left > 0; at += 1) {
      const one = able[at] as T;
      if (!take(one)) {
        left -= 1;
        continue;
      }
      set.push(one);
      if (more > 1) search(at + 1, more - 1);
      else {
        left -= 1;
        if (isEnough()) {
          isFound = true;
          found([...set]);
        }
      }
      set.pop();
      giveBack(one);
    }
  };
  for (let many = 1; many < size && many <= MAX_SIZE && !isFound; many += 1) {
    left = MAX_TRIES;
    search(0, many);
  }
};
