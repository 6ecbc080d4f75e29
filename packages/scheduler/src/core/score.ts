/**
 * How well a request fills what is left on a host. Multiplication and division only: these are rounded the same way on
 * every machine (IEEE 754), so that a replay elsewhere decides alike, which a power function does not promise.
 */
import { DIMENSIONS, type ScoreBreakdown } from "@berth/schema";

const PRECISION = 1_000_000;
const round = (value: number): number => Math.round(value * PRECISION) / PRECISION;

/** 0: this dimension would stay empty … 1: it would be exactly full. The square rewards finishing a nearly full host. */
const fullness = (allocatable: number, freeAfter: number): number => {
  if (allocatable <= 0) return 1;
  const empty = freeAfter / allocatable;
  return 1 - empty * empty;
};

/**
 * Best fit: the mean fullness over all dimensions after the placement, 0 (host would stay empty) … 1 (every dimension
 * exactly full), in millionths. Callers have established fit first. Costs a few nanoseconds per dimension.
 */
export const scoreBestFit = (
  allocatable: ArrayLike<number>,
  free: ArrayLike<number>,
  from: number,
  request: ArrayLike<number>,
): number => {
  let sum = 0;
  for (let at = 0; at < request.length; at += 1) {
    sum += fullness(allocatable[from + at] as number, (free[from + at] as number) - (request[at] as number));
  }
  return round(sum / request.length);
};

/** The same number with its ingredients: one per dimension, of equal weight. */
export const explainBestFit = (
  allocatable: ArrayLike<number>,
  free: ArrayLike<number>,
  request: ArrayLike<number>,
): ScoreBreakdown => ({
  total: scoreBestFit(allocatable, free, 0, request),
  parts: DIMENSIONS.map((name, at) => ({
    name,
    value: round(fullness(allocatable[at] as number, (free[at] as number) - (request[at] as number))),
    weight: round(1 / DIMENSIONS.length),
  })),
});
