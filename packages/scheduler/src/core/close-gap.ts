/**
 * Takes a pair out of a flat table of pairs, open addressing by linear probing, in which whoever has a place has a second
 * number other than 0. Those behind it that were pushed on move up, so that none is looked for beyond a gap (Knuth, The Art
 * of Computer Programming, volume 3, 6.4, algorithm R). `homeOf` says by the first number where a pair is looked for first.
 */
export const closeGap = (pairs: Int32Array, gap: number, homeOf: (first: number) => number): void => {
  const last = pairs.length - 1;
  let hole = gap;
  for (let at = (hole + 2) & last; pairs[at + 1] !== 0; at = (at + 2) & last) {
    const home = homeOf(pairs[at] as number);
    if (((at - home) & last) < ((at - hole) & last)) continue;
    pairs[hole] = pairs[at] as number;
    pairs[hole + 1] = pairs[at + 1] as number;
    hole = at;
  }
  pairs[hole] = 0;
  pairs[hole + 1] = 0;
};
