/**
 * Simulated annealing over shifts and swaps (Kirkpatrick, Gelatt and Vecchi 1983; for this problem Portal et al., "A
 * simulated annealing algorithm for the machine reassignment problem", 2016): a move that costs less is made, one that
 * costs more by d with probability exp(-d / temperature). Pure: the caller decides how many moves are tried at which
 * temperature, and so how long it takes; the same seed and calls give the same arrangement.
 */
import { arrange, FORBIDDEN, type Arrangement } from "./arrangement.ts";
import type { Reassignment } from "./reassignment.ts";

export interface Annealing {
  readonly arrangement: Arrangement;
  /** Cost now, kept up to date move by move. */
  readonly cost: () => number;
  /** Tries so many moves. */
  readonly run: (tries: number, temperature: number) => void;
  /** A temperature at which a typical move uphill is made about every second time. */
  readonly warm: () => number;
}

/** Of all tries, exchanges of two items; the rest are shifts. */
const SWAP_SHARE = 0.4;
/** Of the shifts of an item that has moved, those back home. */
const HOME_SHARE = 0.05;
const SAMPLES = 2_000;

/**
 * The temperature after a share `done` of all tries, 0 … 1. Most of the time goes into the two and a half powers of ten
 * below `warm` in which an arrangement takes shape; then it is quenched, and at the very end goes downhill only.
 */
export const coolingAt = (warm: number, done: number): number => {
  const [hot, cold] = [5 * warm, 0.015 * warm];
  if (done < 0.85) return hot * (cold / hot) ** (done / 0.85);
  return done < 0.97 ? cold * 1e-5 ** ((done - 0.85) / 0.12) : 0;
};

export const anneal = (problem: Reassignment, seed: number, start: Int32Array = problem.first): Annealing => {
  const { hosts, items, first } = problem;
  const arrangement = arrange(problem, start);
  const { hostOf, shiftCost, swapCost } = arrangement;
  let cost = arrangement.total();
  // Marsaglia's xorshift: a call a try through an interface would be a third of the work.
  let state = (Math.imul(seed, 0x9e3779b1) ^ 0x85ebca6b) | 0 || 1;
  const next = (): number => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };

  const shiftTarget = (item: number): number => {
    const home = first[item] as number;
    if (hostOf[item] !== home && next() < HOME_SHARE) return home;
    return Math.floor(next() * hosts);
  };

  const run = (tries: number, temperature: number): void => {
    if (items === 0 || hosts < 2) return;
    for (let at = 0; at < tries; at += 1) {
      const item = Math.floor(next() * items);
      const isSwap = next() < SWAP_SHARE;
      const target = isSwap ? Math.floor(next() * items) : shiftTarget(item);
      if (!isSwap && hostOf[item] === target) continue;
      const change = isSwap ? swapCost(item, target) : shiftCost(item, target);
      if (change === FORBIDDEN) continue;
      if (change > 0 && (temperature <= 0 || next() >= Math.exp(-change / temperature))) continue;
      if (isSwap) arrangement.swap(item, target);
      else arrangement.shift(item, target);
      cost += change;
    }
  };

  const warm = (): number => {
    const rises: number[] = [];
    for (let at = 0; at < SAMPLES && items > 0 && hosts > 1; at += 1) {
      const item = Math.floor(next() * items);
      const host = Math.floor(next() * hosts);
      if (hostOf[item] === host) continue;
      const change = shiftCost(item, host);
      if (change > 0 && change !== FORBIDDEN) rises.push(change);
    }
    rises.sort((a, b) => a - b);
    return Math.max(1, (rises[rises.length >> 1] ?? 1) / Math.LN2);
  };

  return { arrangement, cost: () => cost, run, warm };
};
