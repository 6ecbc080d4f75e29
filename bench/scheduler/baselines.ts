/**
 * The rules that others pack by, written again for comparison in the same run. Each picks a host for a request among
 * hosts given as rows of numbers. The best score wins, the lowest number among equals.
 */
import type { Random } from "../../packages/scheduler/sim/random.ts";

export interface Cell {
  readonly count: number;
  /** `dimensions` numbers per host. */
  readonly dimensions: number;
  readonly all: Float64Array;
  readonly free: Float64Array;
}

export const createCell = (hosts: readonly (readonly number[])[]): Cell => {
  const all = Float64Array.from(hosts.flat());
  return { count: hosts.length, dimensions: hosts[0]?.length ?? 0, all, free: all.slice() };
};

export const fits = (cell: Cell, host: number, request: readonly number[]): boolean => {
  for (let at = 0; at < cell.dimensions; at += 1) {
    if ((cell.free[host * cell.dimensions + at] as number) < (request[at] as number)) return false;
  }
  return true;
};

export const book = (cell: Cell, host: number, request: readonly number[]): void => {
  for (let at = 0; at < cell.dimensions; at += 1) {
    const position = host * cell.dimensions + at;
    cell.free[position] = (cell.free[position] as number) - (request[at] as number);
  }
};

/** The share of each dimension that would be left free after the placement. */
const leftShare = (cell: Cell, host: number, request: readonly number[], at: number): number => {
  const position = host * cell.dimensions + at;
  const all = cell.all[position] as number;
  return all === 0 ? 0 : ((cell.free[position] as number) - (request[at] as number)) / all;
};

type Score = (cell: Cell, host: number, request: readonly number[]) => number;
export type Pick = (cell: Cell, request: readonly number[]) => number;

const scan =
  (score: Score): Pick =>
  (cell, request) => {
    let [best, bestScore] = [-1, Number.NEGATIVE_INFINITY];
    for (let host = 0; host < cell.count; host += 1) {
      if (!fits(cell, host, request)) continue;
      const value = score(cell, host, request);
      if (value > bestScore) [best, bestScore] = [host, value];
    }
    return best;
  };

const meanLeft: Score = (cell, host, request) => {
  let sum = 0;
  for (let at = 0; at < cell.dimensions; at += 1) sum += leftShare(cell, host, request, at);
  return sum / cell.dimensions;
};

/** scheduler/structs funcs.go, ScoreFitBinPack: 20 - 10^freeCpu - 10^freeMemory, clamped to 0…18. */
const nomadScore: Score = (cell, host, request) => {
  const value = 20 - 10 ** leftShare(cell, host, request, 0) - 10 ** leftShare(cell, host, request, 1);
  return Math.min(18, Math.max(0, value)) / 18;
};

/** Hosts in random order; the first `limit` that fit are scored, up to three of a score of 0 or less are passed over. */
const nomadSample =
  (random: Random, limitOf: (count: number) => number): Pick =>
  (cell, request) => {
    const limit = limitOf(cell.count);
    const order = Array.from({ length: cell.count }, (_, at) => at);
    let [best, bestScore, seen] = [-1, Number.NEGATIVE_INFINITY, 0];
    for (let at = 0; at < order.length && seen < limit; at += 1) {
      // Fisher-Yates, only as far as it is walked.
      const other = at + random.below(order.length - at);
      const host = order[other] as number;
      order[other] = order[at] as number;
      if (!fits(cell, host, request)) continue;
      seen += 1;
      const value = nomadScore(cell, host, request);
      if (value > bestScore) [best, bestScore] = [host, value];
    }
    return best;
  };

const log2 = (count: number): number => Math.max(2, Math.ceil(Math.log2(count)));

/** Every baseline by name. `random` serves those that sample. */
export const baselines = (random: Random): Readonly<Record<string, Pick>> => ({
  "first fit": scan(() => 0),
  "best fit": scan((cell, host, request) => -meanLeft(cell, host, request)),
  "MostAllocated (cpu, memory)": scan(
    (cell, host, request) => 2 - leftShare(cell, host, request, 0) - leftShare(cell, host, request, 1),
  ),
  "LeastAllocated (cpu, memory)": scan(
    (cell, host, request) => leftShare(cell, host, request, 0) + leftShare(cell, host, request, 1),
  ),
  "Nomad, all hosts": scan(nomadScore),
  "Nomad service (log2 n)": nomadSample(random, log2),
  "Nomad batch (2)": nomadSample(random, () => 2),
});
