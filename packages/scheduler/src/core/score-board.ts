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
import { NO_VALUATION, ownSize, SCORE_UNITS, type Valuation } from "./score.ts";
import { CANNOT, createScorer, type Scorer, type Standings } from "./scorer.ts";

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
/** No number of hosts: all have to be looked at again. */
const NONE_SEEN = -1;

const standingsFor = (hosts: number, width: number, requests: number): Standings => ({
  free: new Float64Array(hosts * width),
  perUnit: new Float64Array(hosts * width),
  places: new Float64Array(hosts * requests),
  binding: new Int32Array(hosts),
});

/** Few sizes, so that a larger request than any before is rare. */
const roundedUp = (amount: number): number => {
  let size = 1;
  while (size < amount) size *= 2;
  return size;
};

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
  /**
   * The hosts as they were when last looked at, as narrow as can be: what was taken back in the meantime is no change, and
   * whoever scores reads from here.
   */
  let seen: Standings = standingsFor(0, 0, 0);
  let seenReady = new Uint8Array(0);
  /** No request that is asked about is larger than this. */
  const most = new Float64Array(stride);
  let journal = createChangeJournal(0);
  let behind = new Int32Array(journal.longest);
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
    hosts = NONE_SEEN;
  };

  const reset = (): void => {
    lanes.clear();
    hosts = table.ids.length;
    places.clear();
    partitions.clear();
    counts.forgetPlaces();
    seen = standingsFor(hosts, width, scorer.count);
    seenReady = new Uint8Array(hosts).fill(UNSEEN);
    journal = createChangeJournal(hosts);
    behind = new Int32Array(journal.longest);
    isRevalued = false;
    for (let slot = 0; slot < hosts; slot += 1) look(slot);
  };

  const isSame = (slot: number, free: Float64Array, ready: Uint8Array): boolean => {
    if (seenReady[slot] !== ready[slot]) return false;
    for (let at = 0, from = slot * stride, to = slot * width; at < width; at += 1) {
      if (seen.free[to + at] !== free[from + at]) return false;
    }
    return true;
  };

  const look = (slot: number): void => {
    const { free, perUnit, ready } = table.rows();
    if (isSame(slot, free, ready)) return;
    for (let at = 0, from = slot * stride, to = slot * width; at < width; at += 1) {
      seen.free[to + at] = free[from + at] as number;
      seen.perUnit[to + at] = perUnit[from + at] as number;
    }
    seenReady[slot] = ready[slot] as number;
    scorer.survey(seen, slot, most);
    journal.note(slot);
  };

  const catchUp = (): void => {
    if (hosts !== table.ids.length) reset();
    table.takeChanged(look);
    surveyAgain();
  };

  const surveyAgain = (): void => {
    if (!isRevalued) return;
    isRevalued = false;
    if (seen.places.length !== hosts * scorer.count) {
      seen = { ...seen, places: new Float64Array(hosts * scorer.count) };
    }
    for (let slot = 0; slot < hosts; slot += 1) scorer.survey(seen, slot, most);
  };

  const scoreOf = (lane: Lane, slot: number): number => {
    const { check } = lane;
    if (seenReady[slot] === 0 || (check !== null && check.allowed[slot] === 0)) return CANNOT;
    const score = scorer.units(seen, slot, lane);
    if (score < 0 || check === null) return score;
    if (againstHost(check, counts, slot) !== undefined) return CANNOT;
    // With rules, the weights that may be added leave less to the packing.
    if (check.total === 1) return score;
    return Math.round((score + (check.preferred[slot] as number) * SCORE_UNITS) / check.total);
  };

  /** Most hosts that have changed could not take the request before, and cannot take it now. */
  const rescore = (lane: Lane): void => {
    const { forest, inside, partition } = lane;
    const count = journal.since(lane.mark, behind);
    for (let at = 0; at < count; at += 1) {
      const slot = behind[at] as number;
      forest.set(inside, partition.positionOf[slot] as number, scoreOf(lane, slot));
    }
  };

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
    for (let at = 0; at < width; at += 1) {
      if ((request[at] as number) <= (most[at] as number)) continue;
      most[at] = roundedUp(request[at] as number);
      isRevalued = true;
    }
    surveyAgain();
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
        else rescore(lane);
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
