/**
 * How good a host is for a request. Two questions, each answered between 0 and 1:
 *
 * - `roomKept`: how much room for what is asked for lately (the mix) would be lost, compared with the request's own size?
 *   Counting how often each typical request still fits is what keeps memory from being stranded beside full CPUs, and the
 *   reverse. 1: none, it takes what nobody could use; 0.5: just its own size; towards 0: much more than it takes itself.
 * - fullness: how full would the host be in each dimension? It breaks ties, and decides alone while there is no mix.
 *
 * Multiplication, division and rounding only: these give the same on every machine (IEEE 754), so that a replay elsewhere
 * decides alike, which a power function does not promise.
 */
import { DIMENSIONS, type ScoreBreakdown } from "@berth/schema";
import type { Mix } from "./demand.ts";

/** A mix as the score uses it: what one lost place of each request is worth, as a share of the largest host. */
export interface Valuation {
  /** The largest host there is, dimension by dimension: what sizes are shares of. */
  readonly largest: ArrayLike<number>;
  readonly requests: readonly ArrayLike<number>[];
  readonly values: readonly number[];
}

export const NO_VALUATION: Valuation = { largest: [], requests: [], values: [] };

/** Beside a mix. Small: a tight fit must not outweigh a place that is lost. */
const FULLNESS_WEIGHT = 0.03;
const PRECISION = 1_000_000;
const round = (value: number): number => Math.round(value * PRECISION) / PRECISION;

/** The mean of the shares that a request takes of the largest host, 0 … 1. */
const sizeOf = (request: ArrayLike<number>, largest: ArrayLike<number>): number => {
  let size = 0;
  for (let at = 0; at < request.length; at += 1) {
    const all = largest[at] as number;
    if (all > 0) size += Math.min(1, (request[at] as number) / all);
  }
  return size / Math.max(1, request.length);
};

/** The value of a place: how often it is asked for, times its size. */
export const valuate = (mix: Mix, largest: ArrayLike<number>): Valuation => ({
  largest,
  requests: mix.requests.map(({ request }) => request),
  values: mix.requests.map(({ request, weight }) => weight * sizeOf(request, largest)),
});

/** 0: this dimension would stay empty … 1: it would be exactly full. The square rewards finishing a nearly full host. */
const fullness = (allocatable: number, freeAfter: number): number => {
  if (allocatable <= 0) return 1;
  const empty = freeAfter / allocatable;
  return 1 - empty * empty;
};

/** How often `wanted` fits into what is free after `taken` has been taken. A request for nothing fits no matter what. */
const places = (
  free: ArrayLike<number>,
  from: number,
  taken: ArrayLike<number> | undefined,
  wanted: ArrayLike<number>,
): number => {
  let least = Number.POSITIVE_INFINITY;
  for (let at = 0; at < wanted.length; at += 1) {
    const each = wanted[at] as number;
    if (each === 0) continue;
    const left = (free[from + at] as number) - (taken === undefined ? 0 : (taken[at] as number));
    const times = left <= 0 ? 0 : left / each;
    if (times < least) least = times;
  }
  return least === Number.POSITIVE_INFINITY ? 0 : Math.floor(least);
};

const roomKept = (valuation: Valuation, free: ArrayLike<number>, from: number, request: ArrayLike<number>): number => {
  let lost = 0;
  for (let at = 0; at < valuation.requests.length; at += 1) {
    const wanted = valuation.requests[at] as ArrayLike<number>;
    const before = places(free, from, undefined, wanted);
    // Where none fits now, none can be lost.
    if (before > 0) lost += (valuation.values[at] as number) * (before - places(free, from, request, wanted));
  }
  const own = sizeOf(request, valuation.largest);
  return lost === 0 ? 1 : own / (own + lost);
};

/**
 * 0 … 1 in millionths; higher is better. Callers have established fit first: an overfull host has no meaningful score.
 * Costs a division for every request of the mix and dimension.
 */
export const scoreFit = (
  valuation: Valuation,
  allocatable: ArrayLike<number>,
  free: ArrayLike<number>,
  from: number,
  request: ArrayLike<number>,
): number => {
  let sum = 0;
  for (let at = 0; at < request.length; at += 1) {
    sum += fullness(allocatable[from + at] as number, (free[from + at] as number) - (request[at] as number));
  }
  const full = sum / request.length;
  if (valuation.requests.length === 0) return round(full);
  return round((1 - FULLNESS_WEIGHT) * roomKept(valuation, free, from, request) + FULLNESS_WEIGHT * full);
};

/** The same number with its ingredients. */
export const explainFit = (
  valuation: Valuation,
  allocatable: ArrayLike<number>,
  free: ArrayLike<number>,
  request: ArrayLike<number>,
): ScoreBreakdown => {
  const hasMix = valuation.requests.length > 0;
  const each = (hasMix ? FULLNESS_WEIGHT : 1) / DIMENSIONS.length;
  const full = DIMENSIONS.map((name, at) => ({
    name,
    value: round(fullness(allocatable[at] as number, (free[at] as number) - (request[at] as number))),
    weight: round(each),
  }));
  const kept = { name: "roomKept", value: round(roomKept(valuation, free, 0, request)), weight: 1 - FULLNESS_WEIGHT };
  return { total: scoreFit(valuation, allocatable, free, 0, request), parts: hasMix ? [kept, ...full] : full };
};
