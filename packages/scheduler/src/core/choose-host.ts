/**
 * The best host of a lane. Without rules about places it is the lane's top. With them the best of every domain is compared:
 * what the rules say is the same for all hosts of a domain, so it is asked once for each. Which is the best of a domain is
 * remembered until one of its scores changes. Whoever has to end at a known time is looked for among all that may still win.
 */
import type { Alignments } from "./host-ends.ts";
import type { GroupCounts } from "./group-counts.ts";
import { evensOf, sightOf } from "./place-check.ts";
import { ended } from "./lane-rules.ts";
import type { RuleCheck } from "./rule-check.ts";
import { CANNOT } from "./scorer.ts";
import {
  BARRED,
  bestAligned,
  bestTop,
  LANES,
  leafOf,
  scoreAt,
  setScore,
  topIn,
  topOf,
  type Lane,
} from "./score-strip.ts";

export interface Found {
  readonly slot: number;
  /** 0 … SCORE_UNITS. */
  readonly score: number;
}

const foundBy = (best: ReturnType<typeof bestAligned>): Found | undefined =>
  best === undefined ? undefined : { slot: best.slot, score: best.total };

const alignedIn = (lane: Lane, domain: number, even: number, aligned: Alignments): ReturnType<typeof bestAligned> => {
  const { begins } = lane.strip.sheet.partition;
  return bestAligned(
    lane,
    [begins[domain] as number, begins[domain + 1] as number],
    even,
    aligned,
    topIn(lane, domain),
  );
};

/** The best of the best of each domain, by how well their ends go together. */
const alignedInPlaces = (lane: Lane, evens: Int32Array, rank: Int32Array, aligned: Alignments): Found | undefined => {
  const { domains } = lane.strip.sheet.partition;
  let [slot, score] = [-1, -1];
  for (let domain = 0; domain < domains; domain += 1) {
    const even = evens[domain] as number;
    if (even === BARRED || topIn(lane, domain) < 0) continue;
    const best = alignedIn(lane, domain, even, aligned);
    if (best === undefined || best.total < score) continue;
    if (best.total === score && (rank[best.slot] as number) > (rank[slot] as number)) continue;
    [slot, score] = [best.slot, best.total];
  }
  return slot < 0 ? undefined : { slot, score };
};

const inPlaces = (
  lane: Lane,
  check: RuleCheck,
  counts: GroupCounts,
  rank: Int32Array,
  aligned: Alignments | undefined,
): Found | undefined => {
  const evens = evensOf(check, sightOf(check, counts), lane.strip.sheet.partition);
  return aligned === undefined ? bestTop(lane, evens, rank) : alignedInPlaces(lane, evens, rank, aligned);
};

/** Without `aligned` nothing is known of when it ends. */
export const bestOf = (lane: Lane, counts: GroupCounts, rank: Int32Array, aligned?: Alignments): Found | undefined => {
  if (lane.check !== null && lane.check.places.length > 0) return inPlaces(lane, lane.check, counts, rank, aligned);
  const { length, slotAt } = lane.strip.sheet.partition;
  if (aligned !== undefined) return foundBy(bestAligned(lane, [0, length], 0, aligned, topOf(lane)));
  const position = topOf(lane);
  return position < 0 ? undefined : { slot: slotAt[position] as number, score: scoreAt(lane, position) };
};

/** Says the score of one host as `bestOf` would see it; negative where it cannot stand. To be asked at once, and not kept. */
export const scoreOn = (lane: Lane, counts: GroupCounts, aligned?: Alignments): ((slot: number) => number) => {
  const { check } = lane;
  const { kernel, partition } = lane.strip.sheet;
  const { domainOf, positionOf } = partition;
  const { i32 } = kernel;
  const first = leafOf(lane, 0);
  const hasPlaces = check !== null && check.places.length > 0;
  const evens = hasPlaces ? evensOf(check, sightOf(check, counts), partition) : null;
  return (slot) => {
    const score = i32[first + (positionOf[slot] as number) * LANES] as number;
    const even = evens === null ? 0 : (evens[domainOf[slot] as number] as number);
    if (score < 0 || even === BARRED) return CANNOT;
    return even + (aligned === undefined ? score : ended(lane, slot, score, aligned.of(slot)));
  };
};

/** The best hosts, best first, at most `limit`, and none from the first on at which `isEnough` says so. */
export const bestFew = (
  lane: Lane,
  counts: GroupCounts,
  rank: Int32Array,
  limit: number,
  aligned?: Alignments,
  isEnough?: (next: Found) => boolean,
): Found[] => {
  const { positionOf } = lane.strip.sheet.partition;
  const found: Found[] = [];
  const kept: number[] = [];
  while (found.length < limit) {
    const best = bestOf(lane, counts, rank, aligned);
    if (best === undefined || isEnough?.(best) === true) break;
    found.push(best);
    kept.push(scoreAt(lane, positionOf[best.slot] as number));
    // Out of the race, so that the next best is found; put back below.
    setScore(lane, best.slot, CANNOT);
  }
  found.forEach(({ slot }, at) => setScore(lane, slot, kept[at] as number));
  return found;
};
