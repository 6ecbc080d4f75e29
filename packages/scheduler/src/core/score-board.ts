/**
 * The scores of all hosts for the request classes that are asked about, kept up to date host by host. A class that has not
 * been asked about for as many changes as there are hosts is left behind: building its lane anew then costs less than
 * keeping it did.
 */
import type { Lookup } from "@berth/schema";
import { LRUCache } from "lru-cache";
import type { GroupCounts } from "./group-counts.ts";
import type { HostTable } from "./host-table.ts";
import { partitionBy, placeBy, type Partition, type Place } from "./places.ts";
import type { RequestClass } from "./request-class.ts";
import { againstHost, checkOf, type RuleCheck } from "./rule-check.ts";
import { createScoreForest, type ScoreForest } from "./score-forest.ts";
import { createSight, lookAt, NO_VALUATION, ownSize, SCORE_UNITS, scoreUnits, type Valuation } from "./score.ts";

/** The scores of one class. */
export interface Lane {
  /** Its number among all lanes, and in its forest. */
  readonly at: number;
  readonly inside: number;
  readonly forest: ScoreForest;
  readonly partition: Partition;
  readonly check: RuleCheck | null;
  /** How many changes of hosts there had been when it was last asked about. */
  askedAt: number;
}

export interface ScoreBoard {
  /** The lane of a class, true as of now. */
  readonly laneOf: (requestClass: RequestClass) => Lane;
  readonly setValuation: (valuation: Valuation) => void;
  /** The counters of this host have changed, perhaps without its room. */
  readonly recount: (slot: number) => void;
  /** Other labels, or hosts that come and go: what rules say of hosts and places is another thing. */
  readonly forgetRules: () => void;
  /** All that is known of classes is void. */
  readonly forget: () => void;
}

const CANNOT = -1;
/** Lanes at first, a multiple of 32: each host has a bit for each lane. */
const FIRST_LANES = 32;
const SWEEP_EVERY = 1_024;
/** A host whose counters have changed is looked at again, whatever its room. */
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
  let sight = createSight(valuation, width);
  let hosts = 0;
  let laneCount = FIRST_LANES;
  let laneEnd = 0;
  let byLane: (Lane | undefined)[] = [];
  let asks = new Float64Array(laneCount * stride);
  let owns = new Float64Array(laneCount);
  let unused: number[] = [];
  const places = new Map<string, Place>();
  const partitions = new Map<string, { readonly partition: Partition; readonly forest: ScoreForest }>();
  /** Row per host, bit per lane: could the host take it when it was last looked at? */
  let could = new Int32Array(0);
  /** The rows as they were when last looked at: what was taken back in the meantime is no change. */
  let seen = new Float64Array(0);
  let seenReady = new Uint8Array(0);
  let changes = 0;
  let sweptAt = 0;
  /** There is another valuation: no host has been looked at under it. */
  let isRevalued = false;

  const close = ({ at, inside, forest }: Lane): void => {
    byLane[at] = undefined;
    // Nothing fits an endless request, so the lane costs one comparison until it is used again.
    asks.fill(Number.POSITIVE_INFINITY, at * stride, (at + 1) * stride);
    unused.push(at);
    forest.close(inside);
  };

  const lanes = new LRUCache<number, Lane>({
    maxSize: maxScores,
    sizeCalculation: () => Math.max(1, hosts),
    dispose: close,
  });

  const forget = (): void => {
    lanes.clear();
    isRevalued = false;
    byLane = [];
    unused = [];
    laneEnd = 0;
    if (width !== table.width()) {
      width = table.width();
      sight = createSight(valuation, width);
    }
  };

  const reset = (): void => {
    forget();
    hosts = table.ids.length;
    places.clear();
    partitions.clear();
    counts.forgetPlaces();
    could = new Int32Array(hosts * (laneCount >> 5));
    seen = new Float64Array(hosts * stride).fill(Number.NaN);
    seenReady = new Uint8Array(hosts);
    changes = 0;
    sweptAt = 0;
  };

  const widen = (): void => {
    const [before, words] = [laneCount >> 5, laneCount >> 4];
    const wider = new Int32Array(hosts * words);
    for (let slot = 0; slot < hosts; slot += 1) {
      for (let word = 0; word < before; word += 1) wider[slot * words + word] = could[slot * before + word] as number;
    }
    laneCount *= 2;
    could = wider;
    const [moreAsks, moreOwns] = [new Float64Array(laneCount * stride), new Float64Array(laneCount)];
    moreAsks.set(asks);
    moreOwns.set(owns);
    asks = moreAsks;
    owns = moreOwns;
  };

  const isSame = (slot: number, free: Float64Array, ready: Uint8Array): boolean => {
    if (seenReady[slot] !== ready[slot]) return false;
    for (let at = slot * stride; at < slot * stride + width; at += 1) if (seen[at] !== free[at]) return false;
    return true;
  };

  const admits = (check: RuleCheck | null, slot: number): boolean =>
    check === null || againstHost(check, counts, slot) === undefined;

  /** With rules, the weights that may be added leave less to the packing. */
  const withRules = (check: RuleCheck | null, slot: number, score: number): number =>
    check === null || check.total === 1
      ? score
      : Math.round((score + (check.preferred[slot] as number) * SCORE_UNITS) / check.total);

  const look = (slot: number): void => {
    const { free, perUnit, ready } = table.rows();
    if (isSame(slot, free, ready)) return;
    changes += 1;
    const from = slot * stride;
    for (let at = from; at < from + width; at += 1) seen[at] = free[at] as number;
    seenReady[slot] = ready[slot] as number;
    const isReady = ready[slot] === 1;
    const words = slot * (laneCount >> 5);
    lookAt(sight, valuation, free, perUnit, from);
    const left = sight.free;
    const rows = asks;
    const bits = could;
    for (let at = 0, ask = 0; at < laneEnd; at += 1, ask += stride) {
      let takes = isReady;
      for (let of = 0; takes && of < width; of += 1) takes = (rows[ask + of] as number) <= (left[of] as number);
      const word = words + (at >> 5);
      const bit = 1 << (at & 31);
      const lane = byLane[at];
      if (takes && lane !== undefined && admits(lane.check, slot)) {
        bits[word] = (bits[word] as number) | bit;
        const score = scoreUnits(valuation, sight, rows, ask, owns[at] as number);
        lane.forest.set(lane.inside, lane.partition.positionOf[slot] as number, withRules(lane.check, slot, score));
      } else if (((bits[word] as number) & bit) !== 0) {
        bits[word] = (bits[word] as number) & ~bit;
        lane?.forest.set(lane.inside, lane.partition.positionOf[slot] as number, CANNOT);
      }
    }
  };

  const sweep = (): void => {
    sweptAt = changes;
    for (const [id, lane] of lanes) if (changes - lane.askedAt > Math.max(SWEEP_EVERY, hosts)) lanes.delete(id);
  };

  const catchUp = (): void => {
    if (hosts !== table.ids.length) reset();
    table.takeChanged(look);
    if (isRevalued) {
      isRevalued = false;
      for (let slot = 0; slot < hosts; slot += 1) look(slot);
      return;
    }
    if (changes - sweptAt > SWEEP_EVERY) sweep();
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
    const { free, perUnit, ready } = table.rows();
    const check = rules === null ? null : checkOf(rules, { lookups, ready, counts, placeOf });
    const { partition, forest } = partitionOf(check);
    if (unused.length === 0 && laneEnd === laneCount) widen();
    const at = unused.pop() ?? laneEnd;
    laneEnd = Math.max(laneEnd, at + 1);
    const ask = at * stride;
    asks.set(request, ask);
    const own = ownSize(valuation, request);
    owns[at] = own;
    const lane: Lane = { at, inside: forest.open(), forest, partition, check, askedAt: changes };
    byLane[at] = lane;
    const [words, bit] = [laneCount >> 5, 1 << (at & 31)];
    forest.fill(lane.inside, (position) => {
      const slot = partition.slotAt[position] as number;
      if (slot < 0) return CANNOT;
      const word = slot * words + (at >> 5);
      could[word] = (could[word] as number) & ~bit;
      if (!table.fits(slot, request) || !admits(check, slot)) return CANNOT;
      could[word] = (could[word] as number) | bit;
      lookAt(sight, valuation, free, perUnit, slot * stride);
      return withRules(check, slot, scoreUnits(valuation, sight, asks, ask, own));
    });
    lanes.set(id, lane);
    // More hosts than may be remembered: the answer is right, and gone with the next change.
    if (!lanes.has(id)) close(lane);
    return lane;
  };

  return {
    laneOf: (requestClass) => {
      catchUp();
      const lane = lanes.get(requestClass.id) ?? open(requestClass);
      lane.askedAt = changes;
      return lane;
    },
    setValuation: (next) => {
      valuation = next;
      sight = createSight(next, width);
      // Every score is another one. What is asked about lately is scored again host by host, the rest when it is asked about.
      for (const [id, { at, askedAt }] of lanes) {
        if (changes - askedAt > Math.max(SWEEP_EVERY, hosts)) lanes.delete(id);
        else owns[at] = ownSize(next, asks.subarray(at * stride, (at + 1) * stride));
      }
      seenReady.fill(UNSEEN);
      isRevalued = lanes.size > 0;
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
