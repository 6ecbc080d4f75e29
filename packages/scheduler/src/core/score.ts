/**
 * How good a host is for a request. Two questions, each answered between 0 and 1:
 *
 * - `roomKept`: how much room for what is asked for lately (the mix) would be lost, compared with the request's own size?
 *   Counting how often each typical request still fits is what keeps memory from being stranded beside full CPUs, and the
 *   reverse. 1: none, it takes what nobody could use; 0.5: just its own size; towards 0: much more than it takes itself.
 *   On an idle host that could stay closed all its places count as lost, as far as room comes back (see returns.ts): it is
 *   opened for somebody who fits nowhere else.
 * - fullness: how full would the host be in each dimension? It breaks ties, and decides alone while there is no mix.
 *
 * Multiplication, division and rounding only: these give the same on every machine (IEEE 754), so that a replay elsewhere
 * decides alike, which a power function does not promise. What depends on the host alone (its worth, the size of a unit) and
 * on the request alone (its own size) is given, because it is the same for thousands of pairs.
 */
import type { ScoreBreakdown } from "@berth/schema";
import type { Mix } from "./demand.ts";
import { sizeOfWishes, wishesOf, type DeviceLayout, type Wish } from "./devices.ts";
import { BASE } from "./vector.ts";

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
  /** What each request needs of devices. */
  readonly wishes: readonly (readonly Wish[])[];
  /** How much of what is placed comes back, 0 … 1: see returns.ts. */
  readonly returns: number;
}

export const NO_VALUATION: Valuation = {
  count: 0,
  values: new Float64Array(),
  inverse: new Float64Array(),
  largest: [],
  perLargest: new Float64Array(),
  wishes: [],
  returns: 1,
};

/** Beside a mix. Small: a tight fit must not outweigh a place that is lost. */
export const FULLNESS_WEIGHT = 0.03;
/** Scores are whole millionths, so that equal means equal. */
export const SCORE_UNITS = 1_000_000;
/** Division by multiplication: an exact multiple may come out a hair below the whole number that it is. */
export const HAIR = 1e-9;
export const roundScore = (value: number): number => Math.round(value * SCORE_UNITS) / SCORE_UNITS;

/** How full a host would be, and how much room is kept, in one number, 0 … SCORE_UNITS; `weight` is that of the first. */
export const packed = (full: number, keeps: number, weight: number): number =>
  // Rounded: both are at least 0.
  (((1 - weight) * keeps + weight * full) * SCORE_UNITS + 0.5) | 0;

export const explainPacking = (full: number, keeps: number, weight: number): ScoreBreakdown => ({
  total: packed(full, keeps, weight) / SCORE_UNITS,
  parts: [
    { name: "roomKept", value: roundScore(keeps), weight: 1 - weight },
    { name: "fullness", value: roundScore(full), weight },
  ],
});

/** The same while there is no mix. */
export const explainFullness = (full: number): ScoreBreakdown => ({
  total: packed(full, 1, 1) / SCORE_UNITS,
  parts: [{ name: "fullness", value: roundScore(full), weight: 1 }],
});

/** 1 / amount, 0 for nothing. */
export const inverseOf = (amounts: ArrayLike<number>): Float64Array =>
  Float64Array.from(amounts, (amount) => (amount > 0 ? 1 / amount : 0));

/** The mean of the shares that a request takes of the largest host, 0 … 1. */
export const ownSize = (
  valuation: Pick<Valuation, "largest" | "perLargest">,
  request: ArrayLike<number>,
  wishes: readonly Wish[] = [],
): number => {
  // Whoever needs devices is as large as what it takes of them.
  if (wishes.length > 0) return sizeOfWishes(wishes, valuation.largest);
  let size = 0;
  // Columns of devices are in the totals already.
  const length = Math.min(request.length, BASE);
  for (let at = 0; at < length; at += 1) {
    size += Math.min(1, (request[at] as number) * (valuation.perLargest[at] ?? 0));
  }
  return size / Math.max(1, length);
};

/** The value of a place: how often it is asked for, times how scarce such places are, times its size. */
export const valuate = (mix: Mix, largest: ArrayLike<number>, layout?: DeviceLayout): Valuation => {
  const count = mix.requests.length;
  const size = largest.length;
  const inverse = new Float64Array(count * size);
  mix.requests.forEach(({ request }, at) => inverse.set(inverseOf(request), at * size));
  const sized = { largest, perLargest: inverseOf(largest) };
  const wishes = mix.requests.map((one) => (layout === undefined ? [] : wishesOf(layout, one)));
  const values = Float64Array.from(
    mix.requests,
    ({ request, weight, scarcity = 1 }, at) => weight * scarcity * ownSize(sized, request, wishes[at]),
  );
  return { count, values, inverse, largest, perLargest: sized.perLargest, wishes, returns: mix.returns };
};

/** A score of which something else makes up a share. `units` is 0 … SCORE_UNITS, `value` and `share` 0 … 1. */
export const blended = (units: number, value: number, share: number): number =>
  Math.round((1 - share) * units + share * value * SCORE_UNITS);

/** The same, with its ingredients. */
export const explainBlended = (scored: ScoreBreakdown, part: string, added: number, share: number): ScoreBreakdown => ({
  total: blended(Math.round(scored.total * SCORE_UNITS), added, share) / SCORE_UNITS,
  parts: [
    ...scored.parts.map(({ name, value, weight }) => ({ name, value, weight: roundScore(weight * (1 - share)) })),
    { name: part, value: roundScore(added), weight: share },
  ],
});

/** What the rules of placement add on a host, in shares of a packing score; the sum of all that may be added, and 1. */
export interface Ruled {
  readonly total: number;
  readonly preferred: number;
  readonly even: number;
}

export const UNRULED: Ruled = { total: 1, preferred: 0, even: 0 };

const ENDS_SHARE = 0.5;
/**
 * With the time at which a task ends at the latest, or how long others stayed: how well that goes with what stands there counts as
 * much as how well it packs, and both together as much as that did alone, so that what rules prefer weighs what it did before.
 * `units` are a packing score and what is preferred, over `total`, and evenness comes on top of all of it.
 */
export const withEnds = (units: number, aligned: number, total = 1, preferred = 0): number =>
  Math.round((1 - ENDS_SHARE) * units + (ENDS_SHARE * (aligned + preferred) * SCORE_UNITS) / total);

/** With the rules of placement, and what is known of ends. Rounded step by step as the packer does it. */
export const explainRuled = (
  packed: ScoreBreakdown,
  { even, preferred, total }: Ruled,
  ends?: { readonly name: string; readonly aligned: number },
): ScoreBreakdown => {
  const weightOf = (weight: number): number => roundScore(weight / total);
  const units = Math.round((packed.total * SCORE_UNITS + preferred * SCORE_UNITS) / total);
  const evenly = Math.round((even * SCORE_UNITS) / total);
  const share = ends === undefined ? 0 : ENDS_SHARE;
  const parts = packed.parts.map(({ name, value, weight }) => ({
    name,
    value,
    weight: weightOf(weight * (1 - share)),
  }));
  if (total > 1) {
    parts.push({ name: "prefer", value: roundScore(preferred), weight: weightOf(1) });
    parts.push({ name: "spread", value: roundScore(even), weight: weightOf(1) });
  }
  if (ends === undefined) return { total: (units + evenly) / SCORE_UNITS, parts };
  parts.push({ name: ends.name, value: roundScore(ends.aligned), weight: weightOf(share) });
  return { total: (withEnds(units, ends.aligned, total, preferred) + evenly) / SCORE_UNITS, parts };
};
