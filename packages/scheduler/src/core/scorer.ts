/**
 * The score, counted fast. What a host has is surveyed once for every change of it: how many places it has for each request
 * of the mix, and in which dimensions any request could cost it one. On most hosts these are one or two, so that a score is
 * a few multiplications, whatever the number of dimensions.
 */
import type { ScoreBreakdown } from "@berth/schema";
import { FULLNESS_WEIGHT, HAIR, ownSize, roundScore, SCORE_UNITS, type Valuation } from "./score.ts";

/** Hosts as a scorer sees them: flat arrays, one row for each. */
export interface Standings {
  /** What is free and 1 / all of it, by dimension. */
  readonly free: Float64Array;
  readonly perUnit: Float64Array;
  /** How often each request of the mix fits. */
  readonly places: Float64Array;
  /** The dimensions in which a request could cost a place, one bit each. */
  readonly binding: Int32Array;
}

/** A request as a scorer sees it. */
export interface Ask {
  readonly request: Float64Array;
  /** Its own size under the valuation. */
  readonly own: number;
}

/** Scores requests on hosts, for one valuation and so many dimensions. */
export interface Scorer {
  /** Rows of `places` have so many numbers. */
  readonly count: number;
  /** Fills `places` and `binding` of a host in; true for requests of at most `most` in each dimension. */
  readonly survey: (standings: Standings, slot: number, most: Float64Array) => void;
  /** 0 … SCORE_UNITS, higher is better; CANNOT when the request does not fit. */
  readonly units: (standings: Standings, slot: number, ask: Ask) => number;
  /** The same number, as a share, with its ingredients; for a request that fits. */
  readonly explain: (free: Float64Array, perUnit: Float64Array, from: number, request: Float64Array) => ScoreBreakdown;
}

/** Where a request does not fit. */
export const CANNOT = -1;

/** A dimension that a request does not ask for never limits it. */
const UNLIMITED = 1e15;

const lowestBit = (bits: number): number => 31 - Math.clz32(bits & -bits);

export const createScorer = (valuation: Valuation, size: number): Scorer => {
  const { count, values } = valuation;
  const stride = valuation.largest.length;
  // The mix again, narrowed to the dimensions in use, one row per dimension. `idle` lifts those that nobody asks for.
  const inverse = new Float64Array(size * count);
  const idle = new Float64Array(size * count).fill(HAIR);
  for (let row = 0; row < count; row += 1) {
    for (let at = 0; at < size; at += 1) {
      const each = valuation.inverse[row * stride + at] as number;
      inverse[at * count + row] = each;
      if (each === 0) idle[at * count + row] = UNLIMITED;
    }
  }
  /** What would be left of the host, and of its places. */
  const rest = new Float64Array(size);
  const left = new Float64Array(count);
  /** The one host that is explained. */
  const alone: Standings = {
    free: new Float64Array(size),
    perUnit: rest,
    places: new Float64Array(count),
    binding: new Int32Array(1),
  };

  const survey = ({ free, places, binding }: Standings, slot: number, most: Float64Array): void => {
    const [from, to] = [slot * size, slot * count];
    left.fill(UNLIMITED);
    for (let at = 0, base = 0; at < size; at += 1, base += count) {
      const has = free[from + at] as number;
      for (let row = 0; row < count; row += 1) {
        const fits = has * (inverse[base + row] as number) + (idle[base + row] as number);
        if (fits < (left[row] as number)) left[row] = fits;
      }
    }
    // A place that is begun is none.
    for (let row = 0; row < count; row += 1) places[to + row] = Math.max(0, Math.floor(left[row] as number));
    let bits = 0;
    for (let at = 0, base = 0; at < size; at += 1, base += count) {
      const least = (free[from + at] as number) - (most[at] as number);
      for (let row = 0; row < count; row += 1) {
        if (least * (inverse[base + row] as number) + (idle[base + row] as number) < (places[to + row] as number)) {
          bits |= 1 << at;
          break;
        }
      }
    }
    binding[slot] = bits;
  };

  /** What the places are worth that the host has now and would not have with what is in `rest`. */
  const loss = (places: Float64Array, from: number, binding: number): number => {
    if (binding === 0) return 0;
    // Mostly one or two bind: one is looked at twice then.
    const one = lowestBit(binding);
    const others = binding & (binding - 1);
    const two = others === 0 ? one : lowestBit(others);
    const [inOne, inTwo] = [rest[one] as number, rest[two] as number];
    const [baseOne, baseTwo] = [one * count, two * count];
    const further = others & (others - 1);
    let sum = 0;
    for (let row = 0; row < count; row += 1) {
      const before = places[from + row] as number;
      if (before === 0) continue;
      let least = inOne * (inverse[baseOne + row] as number) + (idle[baseOne + row] as number);
      const second = inTwo * (inverse[baseTwo + row] as number) + (idle[baseTwo + row] as number);
      if (second < least) least = second;
      for (let bits = further; bits !== 0; bits &= bits - 1) {
        const at = lowestBit(bits);
        const fits = (rest[at] as number) * (inverse[at * count + row] as number) + (idle[at * count + row] as number);
        if (fits < least) least = fits;
      }
      if (least < before) sum += (values[row] as number) * (before - Math.floor(least));
    }
    return sum;
  };

  /** 0: every dimension would stay empty … 1: all exactly full. The square rewards finishing a nearly full host. */
  const fullness = (perUnit: Float64Array, from: number): number => {
    let empty = 0;
    for (let at = 0; at < size; at += 1) {
      // A dimension that the host does not have counts as full.
      const share = (rest[at] as number) * (perUnit[from + at] as number);
      empty += share * share;
    }
    return 1 - empty / size;
  };

  /** Whoever has no place to lose loses none. */
  const kept = (lost: number, own: number): number => (lost === 0 ? 1 : own / (own + lost));

  // Rounded: both are at least 0.
  const unitsOf = (full: number, keeps: number): number =>
    ((count === 0 ? full : (1 - FULLNESS_WEIGHT) * keeps + FULLNESS_WEIGHT * full) * SCORE_UNITS + 0.5) | 0;

  /** False when the request is more than there is. */
  const take = (free: Float64Array, from: number, request: Float64Array): boolean => {
    for (let at = 0; at < size; at += 1) {
      const wanted = request[at] as number;
      const remains = (free[from + at] as number) - wanted;
      if (remains >= 0) rest[at] = remains;
      else if (wanted > 0) return false;
      // Overbooked already, which whoever asks for nothing of it does not make worse: it counts as full.
      else rest[at] = 0;
    }
    return true;
  };

  return {
    count,
    survey,
    units: ({ free, perUnit, places, binding }, slot, { request, own }) => {
      if (!take(free, slot * size, request)) return CANNOT;
      return unitsOf(fullness(perUnit, slot * size), kept(loss(places, slot * count, binding[slot] as number), own));
    },
    explain: (free, perUnit, from, request) => {
      for (let at = 0; at < size; at += 1) alone.free[at] = free[from + at] as number;
      survey(alone, 0, request);
      take(free, from, request);
      const full = fullness(perUnit, from);
      if (count === 0) {
        const parts = [{ name: "fullness", value: roundScore(full), weight: 1 }];
        return { total: unitsOf(full, 1) / SCORE_UNITS, parts };
      }
      const keeps = kept(loss(alone.places, 0, alone.binding[0] as number), ownSize(valuation, request));
      return {
        total: unitsOf(full, keeps) / SCORE_UNITS,
        parts: [
          { name: "roomKept", value: roundScore(keeps), weight: 1 - FULLNESS_WEIGHT },
          { name: "fullness", value: roundScore(full), weight: FULLNESS_WEIGHT },
        ],
      };
    },
  };
};
