/**
 * What every host has left, arranged for the question "where does this request fit best?". Amounts lie in flat arrays, one
 * row per host. For each request class that is asked about there is a tournament tree over all hosts; a host that changes
 * is noted once, and every tree catches up when it is asked next. So a placement costs a few paths of log2(hosts) steps,
 * whatever the number of hosts, and classes that nobody asks about cost nothing.
 *
 * The trees are the memory of scores of (request class, host): a bounded LRU, and dropping one costs a scan, never an answer.
 * The index is kept by `fold`. Planning books on it tentatively and takes everything back before it returns.
 */
import { DIMENSIONS, type HostId } from "@berth/schema";
import { LRUCache } from "lru-cache";
import type { Mix } from "./demand.ts";
import { firstShort, type HostRoom, type Vector } from "./feasibility.ts";
import { PASSING_CLASS_ID, type RequestClass } from "./request-class.ts";
import { NO_VALUATION, scoreFit, valuate, type Valuation } from "./score.ts";
import { createScoreTree, type ScoreTree } from "./score-tree.ts";

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
  readonly room: (slot: number) => HostRoom;
  /** All slots, in the order of their host ids. */
  readonly inOrder: () => readonly number[];
  /** The best hosts for this class, best first, at most `limit`; equal scores by host id. */
  readonly choose: (requestClass: RequestClass, limit: number) => Choice[];
  /** Scores by this mix from here on. The places it is made of are measured by the largest hosts there are now, or were. */
  readonly setMix: (mix: Mix, largest?: ArrayLike<number>) => void;
  readonly valuation: () => Valuation;
  /** A mark for `grownFor`: now. */
  readonly mark: () => number;
  /** True when since `mark` some host has grown such that it can take the request now. */
  readonly grownFor: (mark: number, request: Vector) => boolean;
}

const SIZE = DIMENSIONS.length;
/** Scores remembered over all classes: at 20 bytes each, 80 MB at most. */
const MAX_SCORES = 2 ** 22;
const FIRST_CAPACITY = 4;
/** How many growths are remembered; whoever asks about an older mark is told "perhaps". */
const GROWTHS = 1_024;
/** How many changes are remembered; a tree that is further behind is built anew. A power of two. */
const CHANGES = 2 ** 16;

const extended = (array: Float64Array<ArrayBuffer>, length: number): Float64Array<ArrayBuffer> => {
  const longer = new Float64Array(length);
  longer.set(array);
  return longer;
};

export const createHostIndex = (maxScores: number = MAX_SCORES): HostIndex => {
  const slots = new Map<HostId, number>();
  const ids: HostId[] = [];
  const ready: boolean[] = [];
  const rank: number[] = [];
  const ordered: number[] = [];
  let capacity = FIRST_CAPACITY;
  let free = new Float64Array(capacity * SIZE);
  let allocatable = new Float64Array(capacity * SIZE);
  // The log of changes: which slot, and for every slot its newest place in the log, so that each is caught up with once.
  const changed = new Int32Array(CHANGES);
  let changedAt = new Float64Array(capacity);
  let changeCount = 0;
  const growths = new Int32Array(GROWTHS);
  let growthCount = 0;
  let valuation = NO_VALUATION;
  let mixVersion = 0;
  // Made at its first use: many states (a test's, a replica's) are never asked.
  let trees: LRUCache<number, ScoreTree> | undefined;

  const grow = (): void => {
    capacity *= 2;
    free = extended(free, capacity * SIZE);
    allocatable = extended(allocatable, capacity * SIZE);
    changedAt = extended(changedAt, capacity);
    trees?.clear();
  };

  const noteChange = (slot: number): void => {
    changed[changeCount & (CHANGES - 1)] = slot;
    changedAt[slot] = changeCount;
    changeCount += 1;
  };

  const noteGrowth = (slot: number): void => {
    growths[growthCount % GROWTHS] = slot;
    growthCount += 1;
  };

  const change = (slot: number, request: Vector, sign: 1 | -1): void => {
    const from = slot * SIZE;
    for (let at = 0; at < SIZE; at += 1) free[from + at] = (free[from + at] as number) - sign * (request[at] as number);
    noteChange(slot);
  };

  const fits = (slot: number, request: Vector): boolean =>
    ready[slot] === true && firstShort(free, slot * SIZE, request) < 0;

  const scoreOf = (slot: number, request: Vector): number =>
    fits(slot, request) ? scoreFit(valuation, allocatable, free, slot * SIZE, request) : -1;

  const largestNow = (): Float64Array => {
    const largest = new Float64Array(SIZE);
    for (let at = 0; at < ids.length * SIZE; at += 1) {
      largest[at % SIZE] = Math.max(largest[at % SIZE] as number, allocatable[at] as number);
    }
    return largest;
  };

  const treeOf = ({ id, request }: RequestClass): ScoreTree => {
    trees ??= new LRUCache<number, ScoreTree>({ maxSize: maxScores, sizeCalculation: (tree) => tree.capacity });
    let tree = id === PASSING_CLASS_ID ? undefined : trees.get(id);
    const behind = tree === undefined ? Number.POSITIVE_INFINITY : changeCount - tree.seen;
    if (tree === undefined || behind > CHANGES || behind > 4 * ids.length) {
      tree ??= createScoreTree(capacity, rank);
      tree.build(ids.length, (slot) => scoreOf(slot, request));
      if (id !== PASSING_CLASS_ID) trees.set(id, tree);
    } else {
      for (let at = tree.seen; at < changeCount; at += 1) {
        const slot = changed[at & (CHANGES - 1)] as number;
        if (changedAt[slot] === at) tree.set(slot, scoreOf(slot, request));
      }
    }
    tree.seen = changeCount;
    return tree;
  };

  return {
    slotOf: (id) => {
      const known = slots.get(id);
      if (known !== undefined) return known;
      const slot = ids.length;
      if (slot >= capacity) grow();
      slots.set(id, slot);
      ids.push(id);
      ready.push(false);
      // Everyone behind moves up by one, which leaves the order of any two hosts as it is.
      let at = ordered.length;
      while (at > 0 && (ids[ordered[at - 1] as number] as HostId) > id) {
        rank[ordered[at - 1] as number] = at;
        at -= 1;
      }
      ordered.splice(at, 0, slot);
      rank[slot] = at;
      return slot;
    },
    setHost: (slot, all, isReady) => {
      const from = slot * SIZE;
      for (let at = 0; at < SIZE; at += 1) {
        const more = (all[at] as number) - (allocatable[from + at] as number);
        free[from + at] = (free[from + at] as number) + more;
        allocatable[from + at] = all[at] as number;
      }
      ready[slot] = isReady;
      noteChange(slot);
      noteGrowth(slot);
    },
    book: (slot, request, sign) => {
      change(slot, request, sign);
      if (sign === -1) noteGrowth(slot);
    },
    undo: (slot, request) => change(slot, request, -1),
    room: (slot) => ({
      hostId: ids[slot] as HostId,
      ready: ready[slot] === true,
      allocatable: allocatable.subarray(slot * SIZE, (slot + 1) * SIZE),
      free: free.subarray(slot * SIZE, (slot + 1) * SIZE),
    }),
    inOrder: () => ordered,
    choose: (requestClass, limit) =>
      treeOf(requestClass)
        .best(limit)
        .map(({ slot, score }) => ({ slot, score, hostId: ids[slot] as HostId })),
    setMix: (mix, largest) => {
      if (mix.version === mixVersion) return;
      mixVersion = mix.version;
      valuation = valuate(mix, largest ?? largestNow());
      trees?.clear();
    },
    valuation: () => valuation,
    mark: () => growthCount,
    grownFor: (since, request) => {
      if (growthCount - since > GROWTHS) return true;
      for (let at = since; at < growthCount; at += 1) {
        if (fits(growths[at % GROWTHS] as number, request)) return true;
      }
      return false;
    },
  };
};
