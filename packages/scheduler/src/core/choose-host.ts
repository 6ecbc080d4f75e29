/**
 * The best host of a lane. Without rules about places it is the lane's top. With them the best of every domain is compared:
 * what the rules say is the same for all hosts of a domain, so it is asked once for each. Which is the best of a domain is
 * remembered until one of its scores changes.
 */
import type { GroupCounts } from "./group-counts.ts";
import { evenness, mayStand, sightOf } from "./place-check.ts";
import type { RuleCheck } from "./rule-check.ts";
import { SCORE_UNITS } from "./score.ts";
import { CANNOT } from "./scorer.ts";
import { scoreAt, setScore, topIn, topOf, type Lane } from "./score-strip.ts";

export interface Found {
  readonly slot: number;
  /** 0 … SCORE_UNITS. */
  readonly score: number;
}

const inPlaces = (lane: Lane, check: RuleCheck, counts: GroupCounts, rank: Int32Array): Found | undefined => {
  const { partition } = lane.strip.sheet;
  const { slotAt, values } = partition;
  const width = check.places.length;
  const sight = sightOf(check, counts);
  let [bestSlot, bestScore] = [-1, -1];
  for (let domain = 0; domain < partition.domains; domain += 1) {
    const position = topIn(lane, domain);
    if (position < 0 || !mayStand(check, sight, values, domain * width)) continue;
    const even = Math.round((evenness(check, sight, values, domain * width) * SCORE_UNITS) / check.total);
    const score = scoreAt(lane, position) + even;
    if (score < bestScore) continue;
    const slot = slotAt[position] as number;
    if (score === bestScore && (rank[slot] as number) > (rank[bestSlot] as number)) continue;
    [bestSlot, bestScore] = [slot, score];
  }
  return bestSlot < 0 ? undefined : { slot: bestSlot, score: bestScore };
};

export const bestOf = (lane: Lane, counts: GroupCounts, rank: Int32Array): Found | undefined => {
  if (lane.check !== null && lane.check.places.length > 0) return inPlaces(lane, lane.check, counts, rank);
  const position = topOf(lane);
  if (position < 0) return undefined;
  return { slot: lane.strip.sheet.partition.slotAt[position] as number, score: scoreAt(lane, position) };
};

/** The best hosts, best first, at most `limit`. */
export const bestFew = (lane: Lane, counts: GroupCounts, rank: Int32Array, limit: number): Found[] => {
  const { positionOf } = lane.strip.sheet.partition;
  const found: Found[] = [];
  const kept: number[] = [];
  while (found.length < limit) {
    const best = bestOf(lane, counts, rank);
    if (best === undefined) break;
    found.push(best);
    kept.push(scoreAt(lane, positionOf[best.slot] as number));
    // Out of the race, so that the next best is found; put back below.
    setScore(lane, best.slot, CANNOT);
  }
  found.forEach(({ slot }, at) => setScore(lane, slot, kept[at] as number));
  return found;
};
