/**
 * The best host of a lane for a task whose image some hosts have. The lane knows nothing of images: classes are the same
 * whatever runs, and a change of what hosts keep costs nothing there. The few hosts that pack best are compared with those
 * that have all of it, so that a choice costs as much as there are holders, however many hosts there are.
 */
import type { HostId, ScoreBreakdown } from "@berth/schema";
import { bestFew, scoreOn, type Found } from "./choose-host.ts";
import type { GroupCounts } from "./group-counts.ts";
import type { Alignments } from "./host-ends.ts";
import type { HostTable } from "./host-table.ts";
import { soonness, type ImageNeed } from "./image-start.ts";
import { blended, explainBlended } from "./score.ts";
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

/** Of images as they are needed, each looked up once. */
export const imageSlots = ({
  ids,
  knownSlotOf,
}: Pick<HostTable, "ids" | "knownSlotOf">): ((image: ImageNeed) => ImageSlots) => {
  const known = new WeakMap<ImageNeed, ImageSlots>();
  return (image) => {
    const made = known.get(image) ?? {
      holders: Int32Array.from(image.holders.flatMap((id) => knownSlotOf(id) ?? [])),
      soonOn: (slot: number) => soonness(image.startOn(ids[slot] as HostId)),
    };
    known.set(image, made);
    return made;
  };
};

const withImage = (units: number, soon: number): number => blended(units, soon, IMAGE_WEIGHT);

/** With how soon it could start there. */
export const explainWithImage = (scored: ScoreBreakdown, soon: number): ScoreBreakdown =>
  explainBlended(scored, "image", soon, IMAGE_WEIGHT);

/** Visits those that have all of it and can take the task, with their scores; none where they are too many. */
const eachHolder = (
  lane: Lane,
  counts: GroupCounts,
  { holders }: ImageSlots,
  aligned: Alignments | undefined,
  visit: (slot: number, score: number) => void,
): void => {
  if (holders.length > MAX_HOLDERS) return;
  const unitsOn = scoreOn(lane, counts, aligned);
  for (let at = 0; at < holders.length; at += 1) {
    const slot = holders[at] as number;
    const units = unitsOn(slot);
    if (units >= 0) visit(slot, withImage(units, 1));
  }
};

/** The best host. What packs worse than a host by more than an image is worth is not looked at for its sake. */
const bestOne = (
  lane: Lane,
  counts: GroupCounts,
  rank: Int32Array,
  image: ImageSlots,
  aligned?: Alignments,
): Found | undefined => {
  let [slot, score] = [-1, -1];
  const consider = (other: number, total: number): void => {
    if (total < score || (total === score && (rank[other] as number) > (rank[slot] as number))) return;
    [slot, score] = [other, total];
  };
  // Those behind pack no better: if even a start at once would not make up for it, none of them is the best.
  bestFew(lane, counts, rank, NEAR, aligned, (near) => {
    const most = withImage(near.score, 1);
    if (most <= score) return true;
    const isTop = slot < 0;
    consider(near.slot, withImage(near.score, image.soonOn(near.slot)));
    if (isTop && score < most) eachHolder(lane, counts, image, aligned, consider);
    return most <= score;
  });
  return slot < 0 ? undefined : { slot, score };
};

/** The best hosts, best first, at most `limit`; equal scores by host id. The first is the same whatever the limit. */
export const bestForImage = (
  lane: Lane,
  counts: GroupCounts,
  rank: Int32Array,
  limit: number,
  image: ImageSlots,
  aligned?: Alignments,
): Found[] => {
  const best = bestOne(lane, counts, rank, image, aligned);
  if (best === undefined) return [];
  if (limit === 1) return [best];
  const found = new Map<number, number>();
  for (const { score, slot } of bestFew(lane, counts, rank, Math.max(limit, NEAR), aligned)) {
    found.set(slot, withImage(score, image.soonOn(slot)));
  }
  eachHolder(lane, counts, image, aligned, (slot, score) => found.set(slot, score));
  found.delete(best.slot);
  const rankOf = (slot: number): number => rank[slot] as number;
  const others = [...found]
    .map(([slot, score]) => ({ slot, score }))
    .sort((a, b) => b.score - a.score || rankOf(a.slot) - rankOf(b.slot));
  return [best, ...others].slice(0, limit);
};
