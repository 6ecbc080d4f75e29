/**
 * The scores of all hosts for the request classes that are asked about, kept up to date host by host. A class that has not
 * been asked about for as many changes as there are hosts is left behind: building its tree anew then costs less than
 * keeping it did.
 */
import type { ScoreBreakdown } from "@berth/schema";
import { LRUCache } from "lru-cache";
import type { HostTable } from "./host-table.ts";
import type { RequestClass } from "./request-class.ts";
import { createScoreForest, type ScoreForest } from "./score-forest.ts";
import { createSight, explainSight, lookAt, NO_VALUATION, ownSize, scoreUnits, type Valuation } from "./score.ts";

export interface ScoreBoard {
  /** The lane of a class in `forest`, true as of now; positions are those of hosts in the order of their ids. */
  readonly laneOf: (requestClass: RequestClass) => number;
  readonly forest: () => ScoreForest;
  /** The score of a host that can take the request, with its ingredients. */
  readonly explain: (slot: number, request: Float64Array) => ScoreBreakdown;
  readonly setValuation: (valuation: Valuation) => void;
}

interface Lane {
  readonly at: number;
  /** How many changes of hosts there had been when it was last asked about. */
  askedAt: number;
}

const CANNOT = -1;
/** Lanes at first, a multiple of 32: each host has a bit for each lane. */
const FIRST_LANES = 32;
const SWEEP_EVERY = 1_024;

export const createScoreBoard = (table: HostTable, maxScores: number): ScoreBoard => {
  const { size } = table;
  let valuation = NO_VALUATION;
  let sight = createSight(valuation, size);
  let hosts = 0;
  let forest = createScoreForest(0);
  let laneCount = FIRST_LANES;
  let laneEnd = 0;
  let asks = new Float64Array(laneCount * size);
  let owns = new Float64Array(laneCount);
  let unused: number[] = [];
  /** Row per host, bit per lane: could the host take it when it was last looked at? */
  let could = new Int32Array(0);
  /** The rows as they were when last looked at: what was taken back in the meantime is no change. */
  let seen = new Float64Array(0);
  let seenReady = new Uint8Array(0);
  let changes = 0;
  let sweptAt = 0;

  const close = ({ at }: Lane): void => {
    // Nothing fits an endless request, so the lane costs one comparison until it is used again.
    asks.fill(Number.POSITIVE_INFINITY, at * size, (at + 1) * size);
    unused.push(at);
  };

  const lanes = new LRUCache<number, Lane>({
    maxSize: maxScores,
    sizeCalculation: () => Math.max(1, hosts),
    dispose: close,
  });

  const reset = (): void => {
    lanes.clear();
    unused = [];
    laneEnd = 0;
    hosts = table.ids.length;
    forest = createScoreForest(hosts);
    could = new Int32Array(hosts * (laneCount >> 5));
    seen = new Float64Array(hosts * size).fill(Number.NaN);
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
    const [moreAsks, moreOwns] = [new Float64Array(laneCount * size), new Float64Array(laneCount)];
    moreAsks.set(asks);
    moreOwns.set(owns);
    asks = moreAsks;
    owns = moreOwns;
  };

  const isSame = (slot: number, free: Float64Array, ready: Uint8Array): boolean => {
    if (seenReady[slot] !== ready[slot]) return false;
    for (let at = slot * size; at < (slot + 1) * size; at += 1) if (seen[at] !== free[at]) return false;
    return true;
  };

  const look = (slot: number): void => {
    const { free, perUnit, ready, rank } = table.rows();
    if (isSame(slot, free, ready)) return;
    changes += 1;
    const from = slot * size;
    for (let at = from; at < from + size; at += 1) seen[at] = free[at] as number;
    seenReady[slot] = ready[slot] as number;
    const isReady = ready[slot] === 1;
    const position = rank[slot] as number;
    const words = slot * (laneCount >> 5);
    lookAt(sight, valuation, free, perUnit, from);
    const left = sight.free;
    const rows = asks;
    const bits = could;
    for (let lane = 0, ask = 0; lane < laneEnd; lane += 1, ask += size) {
      let takes = isReady;
      for (let at = 0; takes && at < size; at += 1) takes = (rows[ask + at] as number) <= (left[at] as number);
      const word = words + (lane >> 5);
      const bit = 1 << (lane & 31);
      if (takes) {
        bits[word] = (bits[word] as number) | bit;
        forest.set(lane, position, scoreUnits(valuation, sight, rows, ask, owns[lane] as number));
      } else if (((bits[word] as number) & bit) !== 0) {
        bits[word] = (bits[word] as number) & ~bit;
        forest.set(lane, position, CANNOT);
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
    if (changes - sweptAt > SWEEP_EVERY) sweep();
  };

  const open = ({ id, request }: RequestClass): Lane => {
    if (unused.length === 0 && laneEnd === laneCount) widen();
    const at = unused.pop() ?? laneEnd;
    laneEnd = Math.max(laneEnd, at + 1);
    forest.reserve(Math.min(laneCount, 2 * laneEnd));
    const ask = at * size;
    asks.set(request, ask);
    const own = ownSize(valuation, request);
    owns[at] = own;
    const { free, perUnit } = table.rows();
    const [words, bit] = [laneCount >> 5, 1 << (at & 31)];
    forest.fill(at, (position) => {
      const slot = table.ordered[position] as number;
      const word = slot * words + (at >> 5);
      could[word] = (could[word] as number) & ~bit;
      if (!table.fits(slot, request)) return CANNOT;
      could[word] = (could[word] as number) | bit;
      lookAt(sight, valuation, free, perUnit, slot * size);
      return scoreUnits(valuation, sight, asks, ask, own);
    });
    const lane: Lane = { at, askedAt: changes };
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
      return lane.at;
    },
    forest: () => forest,
    explain: (slot, request) => {
      const { free, perUnit } = table.rows();
      lookAt(sight, valuation, free, perUnit, slot * size);
      return explainSight(valuation, sight, request, ownSize(valuation, request));
    },
    setValuation: (next) => {
      valuation = next;
      sight = createSight(next, size);
      // Every score is another one; what is asked about next is built anew.
      lanes.clear();
      unused = [];
      laneEnd = 0;
    },
  };
};
