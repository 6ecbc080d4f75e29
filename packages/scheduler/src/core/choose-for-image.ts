/**
 * The best host of a lane for a task whose image some hosts have. The lane knows nothing of images: classes are the same
 * whatever runs, and a change of what hosts keep costs nothing there. The hosts that pack best are compared with those that
 * have all of it, so that a choice costs as much however many hosts there are.
 */
import type { ScoreBreakdown } from "@berth/schema";
import { bestFew, bestOf, scoreOn, type Found } from "./choose-host.ts";
import type { GroupCounts } from "./group-counts.ts";
import type { Alignments } from "./host-ends.ts";
import { roundScore, SCORE_UNITS } from "./score.ts";
import type { Lane } from "./score-strip.ts";

/** Of a score: hosts that pack worse by more than this are not better for an image. */
export const IMAGE_WEIGHT = 0.05;
/** So many of those that pack best. */
const NEAR = 8;
/** When more hosts have all of it, some of them are among those that pack best. */
const MAX_HOLDERS = 1_024;

/** An image as hosts of an index have it. */
export interface ImageSlots {
  /** Hosts that have all of it. */
  readonly holders: ArrayLike<number>;
  /** 0 … 1: how soon a task could start there; see soonness. */
  readonly soonOn: (slot: number) => number;
}

const withImage = (units: number, soon: number): number =>
  Math.round((1 - IMAGE_WEIGHT) * units + IMAGE_WEIGHT * soon * SCORE_UNITS);

/** With how soon it could start there. */
export const explainWithImage = (scored: ScoreBreakdown, soon: number): ScoreBreakdown => ({
  total: withImage(Math.round(scored.total * SCORE_UNITS), soon) / SCORE_UNITS,
  parts: [
    ...scored.parts.map(({ name, value, weight }) => ({
      ...{ name, value, weight: roundScore(weight * (1 - IMAGE_WEIGHT)) },
    })),
    { name: "image", value: roundScore(soon), weight: IMAGE_WEIGHT },
  ],
});

/** The best hosts, best first, at most `limit`; equal scores by host id. */
export const bestForImage = (
  lane: Lane,
  counts: GroupCounts,
  rank: Int32Array,
  limit: number,
  { holders, soonOn }: ImageSlots,
  aligned?: Alignments,
): Found[] => {
  const top = bestOf(lane, counts, rank, aligned);
  if (top === undefined) return [];
  // Nothing packs better, and nothing starts sooner.
  if (limit === 1 && soonOn(top.slot) === 1) return [{ slot: top.slot, score: withImage(top.score, 1) }];
  const found = new Map<number, number>();
  for (const { score, slot } of bestFew(lane, counts, rank, Math.max(limit, NEAR), aligned)) {
    found.set(slot, withImage(score, soonOn(slot)));
  }
  if (holders.length <= MAX_HOLDERS) {
    const score = scoreOn(lane, counts, aligned);
    for (let at = 0; at < holders.length; at += 1) {
      const slot = holders[at] as number;
      const units = score(slot);
      if (units >= 0) found.set(slot, withImage(units, 1));
    }
  }
  const rankOf = (slot: number): number => rank[slot] as number;
  return [...found]
    .map(([slot, score]) => ({ slot, score }))
    .sort((a, b) => b.score - a.score || rankOf(a.slot) - rankOf(b.slot))
    .slice(0, limit);
};
