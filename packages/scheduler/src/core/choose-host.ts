/**
 * The best host of a lane. Without rules about places it is the lane's top. With them the best of every domain is compared:
 * what the rules say is the same for all hosts of a domain, so it is asked once for each. Which is the best of a domain is
 * remembered until one of its scores changes.
 */
import type { GroupCounts } from "./group-counts.ts";
import { evenness, mayStand, sightOf } from "./place-check.ts";
import type { RuleCheck } from "./rule-check.ts";
import type { Lane } from "./score-board.ts";
import { SCORE_UNITS } from "./score.ts";

export interface Found {
  readonly slot: number;
  /** 0 … SCORE_UNITS. */
  readonly score: number;
}

const inPlaces = (lane: Lane, check: RuleCheck, counts: GroupCounts, rank: Int32Array): Found | undefined => {
  const { forest, inside, partition, tops } = lane;
  const { slotAt, begins, values } = partition;
  const width = check.places.length;
  const sight = sightOf(check, counts);
  let [bestSlot, bestScore] = [-1, -1];
  for (let domain = 0; domain < partition.domains; domain += 1) {
    if (tops[domain] === UNKNOWN_TOP) {
      tops[domain] = forest.topIn(inside, begins[domain] as number, begins[domain + 1] as number);
    }
    const position = tops[domain] as number;
    if (position < 0 || !mayStand(check, sight, values, domain * width)) continue;
    const even = Math.round((evenness(check, sight, values, domain * width) * SCORE_UNITS) / check.total);
    const score = forest.at(inside, position) + even;
    if (score < bestScore) continue;
    const slot = slotAt[position] as number;
    if (score === bestScore && (rank[slot] as number) > (rank[bestSlot] as number)) continue;
    [bestSlot, bestScore] = [slot, score];
  }
  return bestSlot < 0 ? undefined : { slot: bestSlot, score: bestScore };
};

/** In `tops`: has to be found again. */
export const UNKNOWN_TOP = -2;

export const bestOf = (lane: Lane, counts: GroupCounts, rank: Int32Array): Found | undefined => {
  if (lane.check !== null && lane.check.places.length > 0) return inPlaces(lane, lane.check, counts, rank);
  const position = lane.forest.top(lane.inside);
  if (position < 0) return undefined;
  return { slot: lane.partition.slotAt[position] as number, score: lane.forest.at(lane.inside, position) };
};

/** Sets the score at a position of a lane. */
export const setScore = ({ forest, inside, partition, tops }: Lane, slot: number, score: number): void => {
  if (forest.set(inside, partition.positionOf[slot] as number, score)) {
    tops[partition.domainOf[slot] as number] = UNKNOWN_TOP;
  }
};

/** The best hosts, best first, at most `limit`. */
export const bestFew = (lane: Lane, counts: GroupCounts, rank: Int32Array, limit: number): Found[] => {
  const { forest, inside, partition } = lane;
  const found: Found[] = [];
  const kept: number[] = [];
  while (found.length < limit) {
    const best = bestOf(lane, counts, rank);
    if (best === undefined) break;
    found.push(best);
    kept.push(forest.at(inside, partition.positionOf[best.slot] as number));
    // Out of the race, so that the next best is found; put back below.
    setScore(lane, best.slot, -1);
  }
  found.forEach(({ slot }, at) => setScore(lane, slot, kept[at] as number));
  return found;
};
