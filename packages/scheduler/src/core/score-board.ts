/**
 * The scores of all hosts for the request classes that are asked about. Changes of hosts are kept in a journal; a class that
 * is asked about scores again, in its own lane, what has changed since it was asked last. So a change costs the same however
 * many classes there are, a class that nobody asks about costs nothing, and one that was left behind too far is scored anew.
 */
import type { Lookup } from "@berth/schema";
import { LRUCache } from "lru-cache";
import { createChangeJournal } from "./change-journal.ts";
import type { GroupCounts } from "./group-counts.ts";
import type { HostTable } from "./host-table.ts";
import { partitionBy, placeBy, type Partition, type Place } from "./places.ts";
import type { RequestClass } from "./request-class.ts";
import { againstHost, checkOf, type RuleCheck } from "./rule-check.ts";
import { createScoreForest, type ScoreForest } from "./score-forest.ts";
import { CANNOT, createScorer, NO_VALUATION, ownSize, SCORE_UNITS, type Scorer, type Valuation } from "./score.ts";

/** The scores of one class. */
export interface Lane {
  /** Its number in its forest. */
  readonly inside: number;
  readonly forest: ScoreForest;
  readonly partition: Partition;
  readonly check: RuleCheck | null;
  readonly request: Float64Array;
  /** The size of its request, as the valuation has it. */
  own: number;
  /** True up to this mark of the journal, and under this valuation. */
  mark: number;
  scorer: Scorer;
}

export interface ScoreBoard {
  /** The lane of a class, true as of now. */
  readonly laneOf: (requestClass: RequestClass) => Lane;
  /** The scorer of now. */
  readonly scorer: () => Scorer;
  readonly setValuation: (valuation: Valuation) => void;
  /** The counters of this host have changed, perhaps without its room. */
  readonly recount: (slot: number) => void;
  /** Other labels, or hosts that come and go: what rules say of hosts and places is another thing. */
  readonly forgetRules: () => void;
  /** All that is known of classes is void. */
  readonly forget: () => void;
}

/** A host whose counters have changed is another one, whatever its room. */
const UNSEEN = 2;

export const createScoreBoard = (
  table: HostTable,
  counts: GroupCounts,
  lookups: readonly Lookup[],
  maxScores: number,
): ScoreBoard => {
  const { stride } = table;
  let valuation = NO_VALUATION;
  let width = table.width();
  let scorer = createScorer(valuation, width);
  let hosts = 0;
  const places = new Map<string, Place>();
  const partitions = new Map<string, { readonly partition: Partition; readonly forest: ScoreForest }>();
  /** The rows as they were when last looked at: what was taken back in the meantime is no change. */
  let seen = new Float64Array(0);
  let seenReady = new Uint8Array(0);
  /** What each host is worth under the valuation. */
  let worths = new Float64Array(0);
  let journal = createChangeJournal(0);
  let isRevalued = false;

  const lanes = new LRUCache<number, Lane>({
    maxSize: maxScores,
    sizeCalculation: () => Math.max(1, hosts),
    dispose: ({ inside, forest }) => forest.close(inside),
  });

  const forget = (): void => {
    lanes.clear();
    if (width === table.width()) return;
    width = table.width();
    scorer = createScorer(valuation, width);
    isRevalued = true;
  };

  const reset = (): void => {
    forget();
    hosts = table.ids.length;
    places.clear();
    partitions.clear();
    counts.forgetPlaces();
    seen = new Float64Array(hosts * stride).fill(Number.NaN);
    seenReady = new Uint8Array(hosts);
    worths = new Float64Array(hosts);
    journal = createChangeJournal(hosts);
    isRevalued = true;
  };

  const isSame = (slot: number, free: Float64Array, ready: Uint8Array): boolean => {
    if (seenReady[slot] !== ready[slot]) return false;
    for (let at = slot * stride; at < slot * stride + width; at += 1) if (seen[at] !== free[at]) return false;
    return true;
  };

  const look = (slot: number): void => {
    const { free, ready } = table.rows();
    if (isSame(slot, free, ready)) return;
    const from = slot * stride;
    for (let at = from; at < from + width; at += 1) seen[at] = free[at] as number;
    seenReady[slot] = ready[slot] as number;
    worths[slot] = scorer.worth(free, from);
    journal.note(slot);
  };

  const catchUp = (): void => {
    if (hosts !== table.ids.length) reset();
    table.takeChanged(look);
    if (!isRevalued) return;
    isRevalued = false;
    const { free } = table.rows();
    for (let slot = 0; slot < hosts; slot += 1) worths[slot] = scorer.worth(free, slot * stride);
  };

  const scoreOf = (lane: Lane, slot: number): number => {
    const { free, perUnit, ready } = table.rows();
    const { check } = lane;
    if (ready[slot] === 0 || (check !== null && check.allowed[slot] === 0)) return CANNOT;
    const score = scorer.units(free, perUnit, slot * stride, worths[slot] as number, lane.request, 0, lane.own);
    if (score < 0 || check === null) return score;
    if (againstHost(check, counts, slot) !== undefined) return CANNOT;
    // With rules, the weights that may be added leave less to the packing.
    if (check.total === 1) return score;
    return Math.round((score + (check.preferred[slot] as number) * SCORE_UNITS) / check.total);
  };

  const rescore = (lane: Lane, slot: number): void =>
    lane.forest.set(lane.inside, lane.partition.positionOf[slot] as number, scoreOf(lane, slot));

  const scoreAll = (lane: Lane): void => {
    lane.scorer = scorer;
    lane.own = ownSize(valuation, lane.request);
    lane.forest.fill(lane.inside, (position) => {
      const slot = lane.partition.slotAt[position] as number;
      return slot < 0 ? CANNOT : scoreOf(lane, slot);
    });
  };

  const placeOf = (path: string): Place => {
    const known = places.get(path) ?? placeBy(path, lookups);
    places.set(path, known);
    return known;
  };

  const partitionOf = (check: RuleCheck | null) => {
    const key = check?.rules.places.join("\n") ?? "";
    const known = partitions.get(key);
    if (known !== undefined) return known;
    const partition = partitionBy(check?.places ?? [], table.ordered);
    const made = { partition, forest: createScoreForest(partition.length) };
    partitions.set(key, made);
    return made;
  };

  const open = ({ id, request, rules }: RequestClass): Lane => {
    const { ready } = table.rows();
    const check = rules === null ? null : checkOf(rules, { lookups, ready, counts, placeOf });
    const { partition, forest } = partitionOf(check);
    const lane: Lane = { inside: forest.open(), forest, partition, check, request, own: 0, mark: 0, scorer };
    scoreAll(lane);
    lanes.set(id, lane);
    // More hosts than may be remembered: the answer is right, and gone with the next change.
    if (!lanes.has(id)) forest.close(lane.inside);
    return lane;
  };

  return {
    laneOf: (requestClass) => {
      catchUp();
      const known = lanes.get(requestClass.id);
      const lane = known ?? open(requestClass);
      if (known !== undefined) {
        if (lane.scorer !== scorer || !journal.reaches(lane.mark)) scoreAll(lane);
        else journal.since(lane.mark, (slot) => rescore(lane, slot));
      }
      lane.mark = journal.mark();
      return lane;
    },
    scorer: () => scorer,
    setValuation: (next) => {
      valuation = next;
      scorer = createScorer(next, width);
      isRevalued = true;
    },
    recount: (slot) => {
      if (slot < seenReady.length) seenReady[slot] = UNSEEN;
    },
    forgetRules: () => {
      for (const [id, { check }] of lanes) if (check !== null) lanes.delete(id);
      places.clear();
      counts.forgetPlaces();
      for (const key of partitions.keys()) if (key !== "") partitions.delete(key);
    },
    forget,
  };
};
