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

/**
 * One host as the score sees it, arranged for scoring many requests on it one after the other: its row, and the requests of
 * the mix that fit there now, since only their places can be lost.
 */
export interface HostSight {
  readonly free: Float64Array;
  readonly perUnit: Float64Array;
  /** Requests of the mix that fit; the rows below hold one each. */
  count: number;
  /** What one place of each is worth. */
  readonly values: Float64Array;
  /** How often each fits by dimension alone, and how much of that one unit of the dimension is. */
  readonly times: Float64Array;
  readonly perOne: Float64Array;
  /** What all their places are worth. */
  worth: number;
}

export const createSight = (valuation: Valuation, size: number): HostSight => ({
  free: new Float64Array(size),
  perUnit: new Float64Array(size),
  count: 0,
  values: new Float64Array(valuation.count),
  times: new Float64Array(valuation.count * size),
  perOne: new Float64Array(valuation.count * size),
  worth: 0,
});

/** A dimension that a request does not ask for never limits it. */
const UNLIMITED = 1e15;

/** Looks at the host whose row begins at `from`. */
export const lookAt = (
  sight: HostSight,
  valuation: Valuation,
  free: Float64Array,
  perUnit: Float64Array,
  from: number,
): void => {
  const { times, perOne, values } = sight;
  const { inverse } = valuation;
  const size = sight.free.length;
  const stride = valuation.largest.length;
  for (let at = 0; at < size; at += 1) {
    sight.free[at] = free[from + at] as number;
    sight.perUnit[at] = perUnit[from + at] as number;
  }
  let count = 0;
  let worth = 0;
  for (let row = 0; row < valuation.count; row += 1) {
    const [asked, to] = [row * stride, count * size];
    let least = UNLIMITED;
    for (let at = 0; at < size; at += 1) {
      const each = inverse[asked + at] as number;
      const fits = each === 0 ? UNLIMITED : (free[from + at] as number) * each + HAIR;
      times[to + at] = fits;
      perOne[to + at] = each;
      if (fits < least) least = fits;
      if (fits < 1) break;
    }
    // A request for nothing fits no matter what, and loses nothing.
    if (least < 1 || least === UNLIMITED) continue;
    values[count] = valuation.values[row] as number;
    worth += (values[count] as number) * Math.floor(least);
    count += 1;
  }
  sight.count = count;
  sight.worth = worth;
};

/** 0: every dimension would stay empty … 1: all exactly full. The square rewards finishing a nearly full host. */
const fullnessOf = (sight: HostSight, asks: Float64Array, ask: number): number => {
  const { free, perUnit } = sight;
  const size = free.length;
  let empty = 0;
  for (let at = 0; at < size; at += 1) {
    // A dimension that the host does not have counts as full.
    const share = ((free[at] as number) - (asks[ask + at] as number)) * (perUnit[at] as number);
    empty += share * share;
  }
  return 1 - empty / size;
};

const keptOf = (sight: HostSight, asks: Float64Array, ask: number, own: number): number => {
  const { count, times, perOne, values } = sight;
  const size = sight.free.length;
  let left = 0;
  for (let row = 0, base = 0; row < count; row += 1, base += size) {
    let least = UNLIMITED;
    for (let at = 0; at < size; at += 1) {
      const fits = (times[base + at] as number) - (asks[ask + at] as number) * (perOne[base + at] as number);
      if (fits < least) least = fits;
    }
    if (least >= 1) left += (values[row] as number) * Math.floor(least);
  }
  const lost = sight.worth - left;
  return lost <= 0 ? 1 : own / (own + lost);
};

/**
 * 0 … SCORE_UNITS; higher is better. Callers have established fit first: an overfull host has no meaningful score. The
 * request is the row at `ask` of `asks` with its own size.
 */
export const scoreUnits = (
  valuation: Valuation,
  sight: HostSight,
  asks: Float64Array,
  ask: number,
  own: number,
): number => {
  const full = fullnessOf(sight, asks, ask);
  const score =
    valuation.count === 0 ? full : (1 - FULLNESS_WEIGHT) * keptOf(sight, asks, ask, own) + FULLNESS_WEIGHT * full;
  // Rounded: both are at least 0.
  return (score * SCORE_UNITS + 0.5) | 0;
};

/** The same number, as a share, with its ingredients. */
export const explainSight = (
  valuation: Valuation,
  sight: HostSight,
  request: Float64Array,
  own: number,
): ScoreBreakdown => {
  const total = scoreUnits(valuation, sight, request, 0, own) / SCORE_UNITS;
  const full = round(fullnessOf(sight, request, 0));
  if (valuation.count === 0) return { total, parts: [{ name: "fullness", value: full, weight: 1 }] };
  return {
    total,
    parts: [
      { name: "roomKept", value: round(keptOf(sight, request, 0, own)), weight: 1 - FULLNESS_WEIGHT },
      { name: "fullness", value: full, weight: FULLNESS_WEIGHT },
    ],
  };
};

/** For a host that is given by itself. */
export const explainFit = (
  valuation: Valuation,
  allocatable: Float64Array,
  free: Float64Array,
  request: Float64Array,
): ScoreBreakdown => {
  const sight = createSight(valuation, request.length);
  lookAt(sight, valuation, free, inverseOf(allocatable), 0);
  return explainSight(valuation, sight, request, ownSize(valuation, request));
};

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
