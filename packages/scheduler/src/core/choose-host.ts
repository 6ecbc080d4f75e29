/**
 * The best host of a lane. Without rules about places it is the lane's top. With them the best of every domain is compared:
 * what the rules say is the same for all hosts of a domain, so it is asked once for each.
 */
import type { GroupCounts } from "./group-counts.ts";
import { againstPlace, evenness, firstOf, sightOf } from "./rule-check.ts";
import type { Lane } from "./score-board.ts";
import { SCORE_UNITS } from "./score.ts";

export interface Found {
  readonly slot: number;
  /** 0 … SCORE_UNITS. */
  readonly score: number;
}

const inPlaces = (lane: Lane, counts: GroupCounts, rank: Int32Array): Found | undefined => {
  const { forest, inside, partition } = lane;
  const check = lane.check as NonNullable<Lane["check"]>;
  const sight = sightOf(check, counts);
  let best: Found | undefined;
  for (let domain = 0; domain < partition.domains; domain += 1) {
    const position = forest.topIn(inside, partition.begins[domain] as number, partition.begins[domain + 1] as number);
    if (position < 0) continue;
    const stands = firstOf(partition, domain);
    if (againstPlace(check, sight, stands) !== undefined) continue;
    const even = Math.round((evenness(check, sight, stands) * SCORE_UNITS) / check.total);
    const score = forest.at(inside, position) + even;
    const slot = partition.slotAt[position] as number;
    const isBetter =
      best === undefined ||
      score > best.score ||
      (score === best.score && (rank[slot] as number) < (rank[best.slot] as number));
    if (isBetter) best = { slot, score };
  }
  return best;
};

export const bestOf = (lane: Lane, counts: GroupCounts, rank: Int32Array): Found | undefined => {
  if (lane.check !== null && lane.check.places.length > 0) return inPlaces(lane, counts, rank);
  const position = lane.forest.top(lane.inside);
  if (position < 0) return undefined;
  return { slot: lane.partition.slotAt[position] as number, score: lane.forest.at(lane.inside, position) };
};

/** The best hosts, best first, at most `limit`. */
export const bestFew = (lane: Lane, counts: GroupCounts, rank: Int32Array, limit: number): Found[] => {
  const { forest, inside, partition } = lane;
  const found: Found[] = [];
  const kept: number[] = [];
  while (found.length < limit) {
    const best = bestOf(lane, counts, rank);
    if (best === undefined) break;
    const position = partition.positionOf[best.slot] as number;
    found.push(best);
    kept.push(forest.at(inside, position));
    // Out of the race, so that the next best is found; put back below.
    forest.set(inside, position, -1);
  }
  found.forEach(({ slot }, at) => forest.set(inside, partition.positionOf[slot] as number, kept[at] as number));
  return found;
};
