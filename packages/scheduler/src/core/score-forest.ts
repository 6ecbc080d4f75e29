/**
 * The best host for each of many request classes. Each class has a lane: its scores by position, and above them, sixteen to
 * one, the highest of each group, so that a change mostly touches one or two numbers and the best is found by a few short
 * looks. A host that cannot take the request has a negative score and never wins; among equals the first position does.
 */
export interface ScoreForest {
  /** A lane to be filled, whose number was perhaps used before. */
  readonly open: () => number;
  readonly close: (lane: number) => void;
  /** The score at a position; negative: it cannot take the request. */
  readonly at: (lane: number, position: number) => number;
  /** False when it is the one that it was. */
  readonly set: (lane: number, position: number, score: number) => boolean;
  /** All of a lane at once. */
  readonly fill: (lane: number, scoreOf: (position: number) => number) => void;
  /** The best position, or -1 when none can take the request. */
  readonly top: (lane: number) => number;
  /** The best of the positions `from` … `to` - 1, both multiples of sixteen. */
  readonly topIn: (lane: number, from: number, to: number) => number;
}

const NOBODY = -1;
/** Sixteen scores of four bytes are one line of the processor's cache. */
const SHIFT = 4;
const GROUP = 1 << SHIFT;

/** For positions 0 … `count` - 1. */
export const createScoreForest = (count: number): ScoreForest => {
  // Where in a lane each level begins; whole groups, so that nobody looks beyond the end.
  const begins: number[] = [];
  let stride = 0;
  for (let length = Math.max(1, count); ; length = Math.ceil(length / GROUP)) {
    begins.push(stride);
    stride += Math.ceil(length / GROUP) * GROUP;
    if (length <= GROUP) break;
  }
  const last = begins.length - 1;
  const unused: number[] = [];
  let lanes = 0;
  let scores = new Int32Array(0);

  const highest = (from: number): number => {
    let best = scores[from] as number;
    for (let at = from + 1; at < from + GROUP; at += 1) {
      const score = scores[at] as number;
      if (score > best) best = score;
    }
    return best;
  };

  return {
    open: () => {
      const free = unused.pop();
      if (free !== undefined) return free;
      lanes += 1;
      if (lanes * stride > scores.length) {
        const more = new Int32Array(Math.max(lanes, Math.ceil(lanes * 1.5)) * stride).fill(NOBODY);
        more.set(scores);
        scores = more;
      }
      return lanes - 1;
    },
    close: (lane) => void unused.push(lane),
    at: (lane, position) => scores[lane * stride + position] as number,
    set: (lane, position, score) => {
      const base = lane * stride;
      let before = scores[base + position] as number;
      if (before === score) return false;
      scores[base + position] = score;
      let index = position;
      let now = score;
      for (let level = 1; level <= last; level += 1) {
        index >>= SHIFT;
        const at = base + (begins[level] as number) + index;
        const known = scores[at] as number;
        if (now < known) {
          // Only who held the group's highest can have lowered it.
          if (before !== known) return true;
          now = highest(base + (begins[level - 1] as number) + (index << SHIFT));
        }
        if (now === known) return true;
        before = known;
        scores[at] = now;
      }
      return true;
    },
    fill: (lane, scoreOf) => {
      const base = lane * stride;
      scores.fill(NOBODY, base, base + stride);
      for (let position = 0; position < count; position += 1) scores[base + position] = scoreOf(position);
      for (let level = 1; level <= last; level += 1) {
        const [from, below] = [base + (begins[level] as number), base + (begins[level - 1] as number)];
        const groups = ((begins[level] as number) - (begins[level - 1] as number)) >> SHIFT;
        for (let at = 0; at < groups; at += 1) scores[from + at] = highest(below + (at << SHIFT));
      }
    },
    top: (lane) => {
      const base = lane * stride;
      const wanted = highest(base + (begins[last] as number));
      if (wanted < 0) return NOBODY;
      let group = 0;
      for (let level = last; level >= 0; level -= 1) {
        const from = base + (begins[level] as number);
        group <<= SHIFT;
        while (scores[from + group] !== wanted) group += 1;
      }
      return group;
    },
    topIn: (lane, from, to) => {
      const base = lane * stride;
      // A forest so small that it has no groups is looked at itself.
      const above = last === 0 ? base : base + (begins[1] as number);
      const shift = last === 0 ? 0 : SHIFT;
      let [best, score] = [NOBODY, NOBODY];
      for (let at = from >> shift; at < to >> shift; at += 1) {
        if ((scores[above + at] as number) > score) [best, score] = [at, scores[above + at] as number];
      }
      if (best < 0) return NOBODY;
      let position = best << shift;
      while (scores[base + position] !== score) position += 1;
      return position;
    },
  };
};
