/**
 * How good a host is for a request. Two questions, each answered between 0 and 1:
 *
 * - `roomKept`: how much room for what is asked for lately (the mix) would be lost, compared with the request's own size?
 *   Counting how often each typical request still fits is what keeps memory from being stranded beside full CPUs, and the
 *   reverse. 1: none, it takes what nobody could use; 0.5: just its own size; towards 0: much more than it takes itself.
 * - fullness: how full would the host be in each dimension? It breaks ties, and decides alone while there is no mix.
 *
 * Multiplication, division and rounding only: these give the same on every machine (IEEE 754), so that a replay elsewhere
 * decides alike, which a power function does not promise. What depends on the host alone (its worth, the size of a unit) and
 * on the request alone (its own size) is given, because it is the same for thousands of pairs.
 */
import type { ScoreBreakdown } from "@berth/schema";
import type { Mix } from "./demand.ts";

/** A mix as the score uses it, in flat arrays. */
export interface Valuation {
  /** How many requests the mix has; 0: nothing is known yet. */
  readonly count: number;
  /** What one lost place of each request is worth, as a share of the largest host. */
  readonly values: Float64Array;
  /** One row of `largest.length` per request: 1 / amount in every dimension, 0 where it asks for nothing. */
  readonly inverse: Float64Array;
  /** The largest host in each dimension: sizes are shares of it. */
  readonly largest: ArrayLike<number>;
  /** 1 / that. */
  readonly perLargest: Float64Array;
}

export const NO_VALUATION: Valuation = {
  count: 0,
  values: new Float64Array(),
  inverse: new Float64Array(),
  largest: [],
  perLargest: new Float64Array(),
};

/** Beside a mix. Small: a tight fit must not outweigh a place that is lost. */
const FULLNESS_WEIGHT = 0.03;
/** Scores are whole millionths, so that equal means equal. */
export const SCORE_UNITS = 1_000_000;
/** Division by multiplication: an exact multiple may come out a hair below the whole number that it is. */
const HAIR = 1e-9;
const round = (value: number): number => Math.round(value * SCORE_UNITS) / SCORE_UNITS;

/** 1 / amount, 0 for nothing. */
export const inverseOf = (amounts: ArrayLike<number>): Float64Array =>
  Float64Array.from(amounts, (amount) => (amount > 0 ? 1 / amount : 0));

/** The mean of the shares that a request takes of the largest host, 0 … 1. */
export const ownSize = (valuation: Valuation, request: ArrayLike<number>): number => {
  let size = 0;
  for (let at = 0; at < request.length; at += 1) {
    size += Math.min(1, (request[at] as number) * (valuation.perLargest[at] ?? 0));
  }
  return size / Math.max(1, request.length);
};

/** The value of a place: how often it is asked for, times its size. */
export const valuate = (mix: Mix, largest: ArrayLike<number>): Valuation => {
  const count = mix.requests.length;
  const size = largest.length;
  const inverse = new Float64Array(count * size);
  mix.requests.forEach(({ request }, at) => inverse.set(inverseOf(request), at * size));
  const sized = { ...NO_VALUATION, perLargest: inverseOf(largest) };
  const values = Float64Array.from(mix.requests, ({ request, weight }) => weight * ownSize(sized, request));
  return { count, values, inverse, largest, perLargest: sized.perLargest };
};

/** A dimension that a request does not ask for never limits it. */
const UNLIMITED = 1e15;

/** Scores requests on hosts that are rows of a table, for one valuation and so many dimensions. */
export interface Scorer {
  /** What all places for the requests of the mix are worth that a host with this row of `free` has. */
  readonly worth: (free: Float64Array, from: number) => number;
  /**
   * 0 … SCORE_UNITS, higher is better; CANNOT when the request, the row at `ask` of `asks`, does not fit into the row at
   * `from` of `free`. `own` is the request's own size, `worth` what the host is worth without it.
   */
  readonly units: (
    free: Float64Array,
    perUnit: Float64Array,
    from: number,
    worth: number,
    asks: Float64Array,
    ask: number,
    own: number,
  ) => number;
  /** The same number, as a share, with its ingredients; for a request that fits. */
  readonly explain: (free: Float64Array, perUnit: Float64Array, from: number, request: Float64Array) => ScoreBreakdown;
}

/** Where a request does not fit. */
export const CANNOT = -1;

export const createScorer = (valuation: Valuation, size: number): Scorer => {
  const { count, values } = valuation;
  const stride = valuation.largest.length;
  // The mix again, narrowed to the dimensions in use. `idle` lifts those that a row does not ask for.
  const inverse = new Float64Array(count * size);
  const idle = new Float64Array(count * size).fill(HAIR);
  for (let row = 0; row < count; row += 1) {
    for (let at = 0; at < size; at += 1) {
      const each = valuation.inverse[row * stride + at] as number;
      inverse[row * size + at] = each;
      if (each === 0) idle[row * size + at] = UNLIMITED;
    }
  }
  /** What would be left of the host. */
  const rest = new Float64Array(size);

  /** Counts how often each request of the mix fits into what starts at `from`; a place that is begun is none. */
  const worth = (free: Float64Array, from: number): number => {
    let sum = 0;
    for (let row = 0, base = 0; row < count; row += 1, base += size) {
      let least = UNLIMITED;
      for (let at = 0; at < size; at += 1) {
        const fits = (free[from + at] as number) * (inverse[base + at] as number) + (idle[base + at] as number);
        if (fits < least) {
          least = fits;
          if (fits < 1) break;
        }
      }
      if (least >= 1) sum += (values[row] as number) * Math.floor(least);
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

  const kept = (before: number, own: number): number => {
    // Whoever has no place to lose loses none.
    const lost = before === 0 ? 0 : before - worth(rest, 0);
    return lost <= 0 ? 1 : own / (own + lost);
  };

  // Rounded: both are at least 0.
  const unitsOf = (full: number, keeps: number): number =>
    ((count === 0 ? full : (1 - FULLNESS_WEIGHT) * keeps + FULLNESS_WEIGHT * full) * SCORE_UNITS + 0.5) | 0;

  /** False when the request is more than there is. */
  const take = (free: Float64Array, from: number, asks: Float64Array, ask: number): boolean => {
    for (let at = 0; at < size; at += 1) {
      const left = (free[from + at] as number) - (asks[ask + at] as number);
      if (left < 0) return false;
      rest[at] = left;
    }
    return true;
  };

  return {
    worth,
    units: (free, perUnit, from, before, asks, ask, own) => {
      if (!take(free, from, asks, ask)) return CANNOT;
      return unitsOf(fullness(perUnit, from), count === 0 ? 1 : kept(before, own));
    },
    explain: (free, perUnit, from, request) => {
      take(free, from, request, 0);
      const full = fullness(perUnit, from);
      if (count === 0) {
        return { total: unitsOf(full, 1) / SCORE_UNITS, parts: [{ name: "fullness", value: round(full), weight: 1 }] };
      }
      const keeps = kept(worth(free, from), ownSize(valuation, request));
      return {
        total: unitsOf(full, keeps) / SCORE_UNITS,
        parts: [
          { name: "roomKept", value: round(keeps), weight: 1 - FULLNESS_WEIGHT },
          { name: "fullness", value: round(full), weight: FULLNESS_WEIGHT },
        ],
      };
    },
  };
};

/** For a host that is given by itself. */
export const explainFit = (
  valuation: Valuation,
  allocatable: Float64Array,
  free: Float64Array,
  request: Float64Array,
): ScoreBreakdown => createScorer(valuation, request.length).explain(free, inverseOf(allocatable), 0, request);

/** With the rules of placement: `prefer` and evenness are added in shares of a packing score, and the sum is 1 at most. */
export const explainWithRules = (
  packed: ScoreBreakdown,
  total: number,
  preferred: number,
  even: number,
): ScoreBreakdown => ({
  // Rounded step by step as the packer does it.
  total:
    (Math.round((packed.total * SCORE_UNITS + preferred * SCORE_UNITS) / total) +
      Math.round((even * SCORE_UNITS) / total)) /
    SCORE_UNITS,
  parts: [
    ...packed.parts.map(({ name, value, weight }) => ({ name, value, weight: round(weight / total) })),
    { name: "prefer", value: round(preferred), weight: round(1 / total) },
    { name: "spread", value: round(even), weight: round(1 / total) },
  ],
});
