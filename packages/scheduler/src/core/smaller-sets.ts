/**
 * Smaller sets of the same use: all of one, of two, … as long as they are not too many. Which of those that are enough is the
 * best, others say.
 */

export interface Trial<T> {
  /** False: this one may not be taken as well, and is not. */
  readonly take: (one: T) => boolean;
  readonly giveBack: (one: T) => void;
  /** Whether what is taken is enough. */
  readonly isEnough: () => boolean;
}

/** Larger ones are not looked for, nor more of one size. */
const MAX_SIZE = 4;
const MAX_SETS = 128;

/** `found` hears of sets smaller than `size` that are enough, of the least size only. Those that come first are tried first. */
export const smallerSets = <T>(
  all: readonly T[],
  size: number,
  { take, giveBack, isEnough }: Trial<T>,
  found: (set: readonly T[]) => void,
): void => {
  const set: T[] = [];
  let left = 0;
  let isFound = false;
  const search = (from: number, more: number): void => {
    for (let at = from; at <= all.length - more && left > 0; at += 1) {
      const one = all[at] as T;
      if (!take(one)) continue;
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
    left = MAX_SETS;
    search(0, many);
  }
};
