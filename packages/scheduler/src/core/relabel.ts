/** What it means to classes with rules that one host has other labels: no other host is asked again. */
import type { Lookup } from "@berth/schema";
import { changedBy, judge } from "./rule-check.ts";
import type { Lane } from "./score-strip.ts";

/** A host has other labels: returns the classes to which hosts share other places now, and has the others ask it again. */
export const relabelled = (
  lanes: Iterable<[number, Lane]>,
  slot: number,
  lookup: Lookup,
  differs: (path: string) => boolean,
): number[] => {
  const elsewhere: number[] = [];
  for (const [id, lane] of lanes) {
    const news = lane.check === null ? "nothing" : changedBy(lane.check, differs);
    if (news === "places") elsewhere.push(id);
    if (lane.check === null || news !== "verdict") continue;
    judge(lane.check, slot, lookup);
    lane.recounted.add(slot);
    // Which places count may be another thing.
    lane.readiness = -1;
  }
  return elsewhere;
};
