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
import { setScore, UNKNOWN_TOP } from "./choose-host.ts";
import { againstOthers, checkOf, eligibleIn, hostSightOf, type HostSight, type RuleCheck } from "./rule-check.ts";
import { createScoreForest, type ScoreForest } from "./score-forest.ts";
import { NO_VALUATION, ownSize, SCORE_UNITS, type Valuation } from "./score.ts";
import { BASE } from "./vector.ts";
import { CANNOT, createScorer, type Scorer, type Standings } from "./scorer.ts";

/** The scores of one class. */
export interface Lane {
  /** Its number in its forest. */
  readonly inside: number;
  readonly forest: ScoreForest;
  readonly partition: Partition;
  readonly check: RuleCheck | null;
  readonly request: Float64Array;
  readonly wishes: RequestClass["wishes"];
  readonly columns: boolean;
  /** The size of its request, as the valuation has it. */
  own: number;
  /** True up to this mark of the journal, and under this valuation. */
  mark: number;
  scorer: Scorer;
  /** The best position of each domain: -1 for none, UNKNOWN_TOP for one that has to be found again. */
  readonly tops: Int32Array;
  /** Hosts whose counters have changed. */
  readonly recounted: Set<number>;
  /** All scores are void. */
  isVoid: boolean;
  /** Which hosts were ready is known up to this change. */
  readiness: number;
}

export interface ScoreBoard {
  /** The lane of a class, true as of now. */
  readonly laneOf: (requestClass: RequestClass) => Lane;
  /** The scorer of now. */
  readonly scorer: () => Scorer;
  readonly setValuation: (valuation: Valuation) => void;
  /** This host is another one, perhaps with as much room as before. */
  readonly touch: (slot: number) => void;
  /** More or fewer of a group stand on this host; `isFirst` when before or now there is none of it anywhere. */
  readonly recount: (group: string, slot: number, isFirst: boolean) => void;
  /** Other hosts are ready: which places count may be another thing. */
  readonly forgetReady: () => void;
  /** Other labels: what rules say of hosts and places is another thing. */
  readonly forgetRules: () => void;
  /** All that is known of classes is void. */
  readonly forget: () => void;
}

/** Neither ready nor not: has to be looked at again. */
const UNSEEN = 2;
/** No number of hosts: all have to be looked at again. */
const NONE_SEEN = -1;

const MAX_RECOUNTED = 4_096;

/** The groups of which it matters to a lane how many stand on a host. */
const groupsOf = ({ check }: Lane): readonly string[] =>
  check === null ? [] : [...check.rules.hostLimits, ...check.rules.hostTogether].map(({ group }) => group);

const standingsFor = (hosts: number, width: number, columns: number, requests: number): Standings => ({
  free: new Float64Array(hosts * (width + columns)),
  perUnit: new Float64Array(hosts * (width + columns)),
  models: new Int32Array(hosts * columns),
  places: new Float64Array(hosts * requests),
  loose: new Float64Array(hosts * requests),
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
  columnsInUse: () => number,
): ScoreBoard => {
  const { stride } = table;
  let columns = columnsInUse();
  let valuation = NO_VALUATION;
  let width = table.width();
  let row = width + columns;
  let scorer = createScorer(valuation, width, columns);
  let hosts = 0;
  const places = new Map<string, Place>();
  const partitions = new Map<string, { readonly partition: Partition; readonly forest: ScoreForest }>();
  /**
   * The hosts as they were when last looked at, as narrow as can be: what was taken back in the meantime is no change, and
   * whoever scores reads from here.
   */
  let seen: Standings = standingsFor(0, 0, 0, 0);
  let seenReady = new Uint8Array(0);
  /** No request that is asked about is larger than this. */
  const most = new Float64Array(stride);
  let journal = createChangeJournal(0);
  let behind = new Int32Array(journal.longest);
  let isRevalued = false;
  let readiness = 0;
  /** The lanes to which it matters how many of a group stand on a host. */
  const watching = new Map<string, Set<Lane>>();

  const lanes = new LRUCache<number, Lane>({
    maxSize: maxScores,
    sizeCalculation: () => Math.max(1, hosts),
    dispose: (lane) => {
      lane.forest.close(lane.inside);
      for (const group of groupsOf(lane)) {
        const lanesOf = watching.get(group);
        lanesOf?.delete(lane);
        if (lanesOf?.size === 0) watching.delete(group);
      }
    },
  });

  const forget = (): void => {
    lanes.clear();
    if (width === table.width() && columns === columnsInUse()) return;
    width = table.width();
    columns = columnsInUse();
    row = width + columns;
    scorer = createScorer(valuation, width, columns);
    hosts = NONE_SEEN;
  };

  const reset = (): void => {
    lanes.clear();
    hosts = table.ids.length;
    places.clear();
    partitions.clear();
    counts.forgetPlaces();
    seen = standingsFor(hosts, width, columns, scorer.count);
    seenReady = new Uint8Array(hosts).fill(UNSEEN);
    journal = createChangeJournal(hosts);
    behind = new Int32Array(journal.longest);
    isRevalued = false;
    for (let slot = 0; slot < hosts; slot += 1) look(slot);
  };

  const isSame = (slot: number, free: Float64Array, ready: Uint8Array): boolean => {
    if (seenReady[slot] !== ready[slot]) return false;
    const [from, to] = [slot * stride, slot * row];
    for (let at = 0; at < width; at += 1) if (seen.free[to + at] !== free[from + at]) return false;
    for (let at = 0; at < columns; at += 1) if (seen.free[to + width + at] !== free[from + BASE + at]) return false;
    return true;
  };

  const look = (slot: number): void => {
    const { free, perUnit, ready, models } = table.rows();
    if (isSame(slot, free, ready)) return;
    const [from, to] = [slot * stride, slot * row];
    for (let at = 0; at < width; at += 1) {
      seen.free[to + at] = free[from + at] as number;
      seen.perUnit[to + at] = perUnit[from + at] as number;
    }
    for (let at = 0; at < columns; at += 1) {
      seen.free[to + width + at] = free[from + BASE + at] as number;
      seen.perUnit[to + width + at] = perUnit[from + BASE + at] as number;
      seen.models[slot * columns + at] = models[slot * (stride - BASE) + at] as number;
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
      const amounts = hosts * scorer.count;
      seen = { ...seen, places: new Float64Array(amounts), loose: new Float64Array(amounts) };
    }
    const { count } = scorer;
    for (let slot = 0; slot < hosts; slot += 1) {
      if (slot === 0 || !isTwin(slot - 1, slot)) {
        scorer.survey(seen, slot, most);
        continue;
      }
      seen.places.copyWithin(slot * count, (slot - 1) * count, slot * count);
      seen.loose.copyWithin(slot * count, (slot - 1) * count, slot * count);
      seen.binding[slot] = seen.binding[slot - 1] as number;
    }
  };

  /** Whether two hosts have the same and as much of it left: in an idle cluster most have. */
  const isTwin = (one: number, other: number): boolean => {
    const { free, perUnit, models } = seen;
    for (let at = 0, left = one * row, right = other * row; at < row; at += 1, left += 1, right += 1) {
      if (free[left] !== free[right] || perUnit[left] !== perUnit[right]) return false;
    }
    for (let at = 0; at < columns; at += 1) {
      if (models[one * columns + at] !== models[other * columns + at]) return false;
    }
    return true;
  };

  const isOut = ({ check }: Lane, slot: number): boolean =>
    seenReady[slot] === 0 || (check !== null && check.allowed[slot] === 0);

  const scoreOf = (lane: Lane, sight: HostSight | null, slot: number): number =>
    isOut(lane, slot) ? CANNOT : withRules(lane, sight, slot, scorer.units(seen, slot, lane));

  const withRules = ({ check }: Lane, sight: HostSight | null, slot: number, score: number): number => {
    if (score < 0 || check === null) return score;
    if (sight !== null && againstOthers(check, sight, slot) !== undefined) return CANNOT;
    // With rules, the weights that may be added leave less to the packing.
    if (check.total === 1) return score;
    return Math.round((score + (check.preferred[slot] as number) * SCORE_UNITS) / check.total);
  };

  const sightOf = ({ check }: Lane): HostSight | null =>
    check === null || check.rules.hostLimits.length + check.rules.hostTogether.length === 0
      ? null
      : hostSightOf(check, counts);

  /** Most hosts that have changed could not take the request before, and cannot take it now. */
  const rescore = (lane: Lane): void => {
    const count = journal.since(lane.mark, behind);
    if (count + lane.recounted.size === 0) return;
    const sight = sightOf(lane);
    for (let at = 0; at < count; at += 1) {
      const slot = behind[at] as number;
      setScore(lane, slot, scoreOf(lane, sight, slot));
    }
    for (const slot of lane.recounted) setScore(lane, slot, scoreOf(lane, sight, slot));
    lane.recounted.clear();
  };

  const scoreAll = (lane: Lane): void => {
    lane.scorer = scorer;
    lane.own = ownSize(valuation, lane.request, lane.wishes);
    lane.isVoid = false;
    lane.recounted.clear();
    lane.tops.fill(UNKNOWN_TOP);
    const sight = sightOf(lane);
    let [last, units] = [-1, CANNOT];
    lane.forest.fill(lane.inside, (position) => {
      const slot = lane.partition.slotAt[position] as number;
      if (slot < 0 || isOut(lane, slot)) return CANNOT;
      if (last < 0 || !isTwin(last, slot)) [last, units] = [slot, scorer.units(seen, slot, lane)];
      return withRules(lane, sight, slot, units);
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

  const open = ({ id, request, rules, wishes, columns: named }: RequestClass): Lane => {
    const { ready } = table.rows();
    for (let at = 0; at < width; at += 1) {
      if ((request[at] as number) <= (most[at] as number)) continue;
      most[at] = roundedUp(request[at] as number);
      isRevalued = true;
    }
    surveyAgain();
    const check = rules === null ? null : checkOf(rules, { lookups, ready, placeOf });
    const { partition, forest } = partitionOf(check);
    const tops = new Int32Array(partition.domains);
    const known = { mark: 0, scorer, tops, recounted: new Set<number>(), isVoid: false, readiness };
    const lane: Lane = {
      inside: forest.open(),
      forest,
      partition,
      check,
      request,
      wishes,
      columns: named,
      own: 0,
      ...known,
    };
    scoreAll(lane);
    lanes.set(id, lane);
    // More hosts than may be remembered: the answer is right, and gone with the next change.
    if (!lanes.has(id)) forest.close(lane.inside);
    else for (const group of groupsOf(lane)) watching.set(group, (watching.get(group) ?? new Set()).add(lane));
    return lane;
  };

  return {
    laneOf: (requestClass) => {
      catchUp();
      const known = lanes.get(requestClass.id);
      const lane = known ?? open(requestClass);
      if (known !== undefined) {
        if (lane.isVoid || lane.scorer !== scorer || !journal.reaches(lane.mark)) scoreAll(lane);
        else rescore(lane);
        const { check } = lane;
        if (check !== null && lane.readiness !== readiness) {
          lane.readiness = readiness;
          check.eligible = eligibleIn(check.places, check.allowed, table.rows().ready);
        }
      }
      lane.mark = journal.mark();
      return lane;
    },
    scorer: () => scorer,
    setValuation: (next) => {
      valuation = next;
      scorer = createScorer(next, width, columns);
      isRevalued = true;
    },
    touch: (slot) => {
      if (slot < seenReady.length) seenReady[slot] = UNSEEN;
    },
    recount: (group, slot, isFirst) => {
      const lanesOf = watching.get(group);
      if (lanesOf === undefined) return;
      for (const lane of lanesOf) {
        if (isFirst && lane.check?.rules.hostTogether.some((rule) => rule.group === group) === true) lane.isVoid = true;
        lane.recounted.add(slot);
        // Whoever is not asked for long is scored anew some day.
        if (lane.recounted.size > MAX_RECOUNTED) {
          lane.isVoid = true;
          lane.recounted.clear();
        }
      }
    },
    forgetReady: () => {
      readiness += 1;
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
