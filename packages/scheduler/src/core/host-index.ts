/**
 * Answers "where does this request fit best?". For each request class that is asked about there is a lane of the scores of
 * all hosts. A host that changes is noted once; before the next answer it is looked at once for all classes together: which
 * requests of the mix it has places for is found a single time, most classes end at the first dimension that is short, and
 * only the others are scored. So a placement costs a few comparisons for each class, whatever the number of hosts.
 *
 * The lanes are the memory of scores of (request class, host): a bounded LRU, and dropping one costs a scan, never an answer.
 * The index is kept by `fold`. Planning books on it tentatively and takes everything back before it returns.
 */
import { DIMENSIONS, type HostId, type ScoreBreakdown } from "@berth/schema";
import type { Mix } from "./demand.ts";
import type { HostRoom, Vector } from "./feasibility.ts";
import { createHostTable } from "./host-table.ts";
import type { RequestClass } from "./request-class.ts";
import { createScoreBoard } from "./score-board.ts";
import { NO_VALUATION, SCORE_UNITS, valuate, type Valuation } from "./score.ts";

export interface Choice {
  readonly slot: number;
  readonly hostId: HostId;
  readonly score: number;
}

export interface HostIndex {
  /** The position of a host, given at its first sight and never to another. */
  readonly slotOf: (id: HostId) => number;
  readonly setHost: (slot: number, allocatable: Vector, ready: boolean) => void;
  /** Books (`sign` 1) or frees (-1) a request. */
  readonly book: (slot: number, request: Vector, sign: 1 | -1) => void;
  /** Takes a tentative booking back: unlike freeing, this is no news for work that waits. */
  readonly undo: (slot: number, request: Vector) => void;
  readonly idOf: (slot: number) => HostId;
  readonly room: (slot: number) => HostRoom;
  /** All slots, in the order of their host ids. */
  readonly inOrder: () => readonly number[];
  /** The slot of the best host for this class, or -1. */
  readonly pick: (requestClass: RequestClass) => number;
  /** The best hosts for this class, best first, at most `limit`; equal scores by host id. */
  readonly choose: (requestClass: RequestClass, limit: number) => Choice[];
  /** Scores by this mix from here on. The places it is made of are measured by the largest hosts there are now, or were. */
  readonly setMix: (mix: Mix, largest?: ArrayLike<number>) => void;
  readonly valuation: () => Valuation;
  /** The score of this request on a host that can take it, with its ingredients. */
  readonly explain: (slot: number, request: Vector) => ScoreBreakdown;
  /** A mark for `grownFor`: now. */
  readonly mark: () => number;
  /** True when since `mark` some host has grown such that it can take the request now. */
  readonly grownFor: (mark: number, request: Vector) => boolean;
}

const SIZE = DIMENSIONS.length;
/** Scores remembered over all classes, 4.3 bytes each: 1,600 classes on 10,000 hosts in 70 MB. */
const MAX_SCORES = 2 ** 24;
/** How many growths are remembered; whoever asks about an older mark is told "perhaps". */
const GROWTHS = 1_024;

export const createHostIndex = (maxScores: number = MAX_SCORES): HostIndex => {
  const table = createHostTable(SIZE);
  const board = createScoreBoard(table, maxScores);
  const { ids, ordered } = table;
  const growths = new Int32Array(GROWTHS);
  let growthCount = 0;
  let valuation = NO_VALUATION;
  let mixVersion = 0;

  const noteGrowth = (slot: number): void => {
    growths[growthCount % GROWTHS] = slot;
    growthCount += 1;
  };

  const largestNow = (): Float64Array => {
    const largest = new Float64Array(SIZE);
    const { allocatable } = table.rows();
    for (let at = 0; at < ids.length * SIZE; at += 1) {
      largest[at % SIZE] = Math.max(largest[at % SIZE] as number, allocatable[at] as number);
    }
    return largest;
  };

  return {
    slotOf: table.slotOf,
    setHost: (slot, all, isReady) => {
      table.setHost(slot, all, isReady);
      noteGrowth(slot);
    },
    book: (slot, request, sign) => {
      table.add(slot, request, sign === 1 ? -1 : 1);
      if (sign === -1) noteGrowth(slot);
    },
    undo: (slot, request) => table.add(slot, request, 1),
    idOf: (slot) => ids[slot] as HostId,
    room: (slot) => {
      const { ready, allocatable, free } = table.rows();
      return {
        hostId: ids[slot] as HostId,
        ready: ready[slot] === 1,
        allocatable: allocatable.subarray(slot * SIZE, (slot + 1) * SIZE),
        free: free.subarray(slot * SIZE, (slot + 1) * SIZE),
      };
    },
    inOrder: () => ordered,
    pick: (requestClass) => {
      const lane = board.laneOf(requestClass);
      const position = board.forest().top(lane);
      return position < 0 ? -1 : (ordered[position] as number);
    },
    choose: (requestClass, limit) => {
      const lane = board.laneOf(requestClass);
      const forest = board.forest();
      return forest.best(lane, limit).map((position) => {
        const slot = ordered[position] as number;
        return { slot, score: forest.at(lane, position) / SCORE_UNITS, hostId: ids[slot] as HostId };
      });
    },
    setMix: (mix, largest) => {
      if (mix.version === mixVersion) return;
      mixVersion = mix.version;
      valuation = valuate(mix, largest ?? largestNow());
      board.setValuation(valuation);
    },
    valuation: () => valuation,
    explain: board.explain,
    mark: () => growthCount,
    grownFor: (since, request) => {
      if (growthCount - since > GROWTHS) return true;
      for (let at = since; at < growthCount; at += 1) {
        if (table.fits(growths[at % GROWTHS] as number, request)) return true;
      }
      return false;
    },
  };
};
