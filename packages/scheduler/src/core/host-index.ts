/**
 * What every host has left, arranged for the question "where does this request fit best?". Hosts in the same room (equal
 * free and allocatable amounts) are interchangeable, so the question is asked once per room, and the score of
 * (request class, room) is remembered: both are plain vectors, so a remembered score can never be out of date.
 *
 * It is kept by `fold`. Planning books on it tentatively and takes everything back before it returns.
 */
import { DIMENSIONS, type HostId } from "@berth/schema";
import { LRUCache } from "lru-cache";
import { firstShort, type HostRoom, type Vector } from "./feasibility.ts";
import type { RequestClass } from "./request-class.ts";
import { scoreBestFit } from "./score.ts";

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
  /** A mark for `grownFor`: now. */
  readonly mark: () => number;
  /** True when since `mark` some host has grown such that it can take the request now. */
  readonly grownFor: (mark: number, request: Vector) => boolean;
}

interface Room {
  readonly key: string;
  id: number;
  readonly free: Vector;
  readonly allocatable: Vector;
  /** Slots of the ready hosts in it, by descending host id: the next to be taken is the last. */
  readonly slots: number[];
}

const SIZE = DIMENSIONS.length;
const MEMO_ENTRIES = 2 ** 16;
/** Two ids make one memo key, which must stay an exact integer. */
const MAX_ID = 2 ** 26;
/** How many growths are remembered; whoever asks about an older mark is told "perhaps". */
const GROWTHS = 1_024;

export const createHostIndex = (): HostIndex => {
  const slots = new Map<HostId, number>();
  const ids: HostId[] = [];
  const free: Vector[] = [];
  const allocatable: Vector[] = [];
  const ready: boolean[] = [];
  const roomOf: (Room | undefined)[] = [];
  const rank: number[] = [];
  const ordered: number[] = [];
  const rooms = new Map<string, Room>();
  // Made at its first use: it takes its memory at once, and many states (a dry run's, a test's) never score anything.
  let memo: LRUCache<number, number> | undefined;
  const growths = new Int32Array(GROWTHS);
  let growthCount = 0;
  let nextRoomId = 1;

  /** Where in a room's slots this rank is or belongs (descending). */
  const position = (list: readonly number[], wanted: number): number => {
    let low = 0;
    let high = list.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((rank[list[middle] as number] as number) > wanted) low = middle + 1;
      else high = middle;
    }
    return low;
  };

  const leave = (slot: number): void => {
    const room = roomOf[slot];
    if (room === undefined) return;
    room.slots.splice(position(room.slots, rank[slot] as number), 1);
    if (room.slots.length === 0) rooms.delete(room.key);
    roomOf[slot] = undefined;
  };

  const renumber = (): void => {
    memo?.clear();
    nextRoomId = 1;
    for (const room of rooms.values()) {
      room.id = nextRoomId;
      nextRoomId += 1;
    }
  };

  const enter = (slot: number): void => {
    if (ready[slot] !== true) return;
    const [left, all] = [free[slot] as Vector, allocatable[slot] as Vector];
    const key = `${left.join(",")}/${all.join(",")}`;
    let room = rooms.get(key);
    if (room === undefined) {
      if (nextRoomId >= MAX_ID) renumber();
      room = { key, id: nextRoomId, free: left.slice(), allocatable: all.slice(), slots: [] };
      nextRoomId += 1;
      rooms.set(key, room);
    }
    room.slots.splice(position(room.slots, rank[slot] as number), 0, slot);
    roomOf[slot] = room;
  };

  const grew = (slot: number): void => {
    growths[growthCount % GROWTHS] = slot;
    growthCount += 1;
  };

  const change = (slot: number, request: Vector, sign: 1 | -1): void => {
    leave(slot);
    const left = free[slot] as Vector;
    for (let at = 0; at < SIZE; at += 1) left[at] = (left[at] as number) - sign * (request[at] as number);
    enter(slot);
  };

  const scoreOf = (requestClass: RequestClass, room: Room): number => {
    if (requestClass.id >= MAX_ID) return scoreBestFit(room.allocatable, room.free, 0, requestClass.request);
    const key = requestClass.id * MAX_ID + room.id;
    memo ??= new LRUCache<number, number>({ max: MEMO_ENTRIES });
    const known = memo.get(key);
    if (known !== undefined) return known;
    const score = scoreBestFit(room.allocatable, room.free, 0, requestClass.request);
    memo.set(key, score);
    return score;
  };

  const fits = (slot: number, request: Vector): boolean =>
    ready[slot] === true && firstShort(free[slot] as Vector, 0, request) < 0;

  return {
    slotOf: (id) => {
      const known = slots.get(id);
      if (known !== undefined) return known;
      const slot = ids.length;
      slots.set(id, slot);
      ids.push(id);
      free.push(new Float64Array(SIZE));
      allocatable.push(new Float64Array(SIZE));
      ready.push(false);
      roomOf.push(undefined);
      // Everyone behind moves up by one, which leaves the order inside every room as it is.
      let at = ordered.length;
      while (at > 0 && (ids[ordered[at - 1] as number] as HostId) > id) {
        rank[ordered[at - 1] as number] = at;
        at -= 1;
      }
      ordered.splice(at, 0, slot);
      rank.push(at);
      return slot;
    },
    setHost: (slot, all, isReady) => {
      leave(slot);
      const [left, before] = [free[slot] as Vector, allocatable[slot] as Vector];
      for (let at = 0; at < SIZE; at += 1)
        left[at] = (left[at] as number) + (all[at] as number) - (before[at] as number);
      allocatable[slot] = all.slice();
      ready[slot] = isReady;
      enter(slot);
      grew(slot);
    },
    book: (slot, request, sign) => {
      change(slot, request, sign);
      if (sign === -1) grew(slot);
    },
    undo: (slot, request) => change(slot, request, -1),
    room: (slot) => ({
      hostId: ids[slot] as HostId,
      ready: ready[slot] === true,
      allocatable: allocatable[slot] as Vector,
      free: free[slot] as Vector,
    }),
    inOrder: () => ordered,
    choose: (requestClass, limit) => {
      const best: { readonly room: Room; readonly score: number; readonly rank: number }[] = [];
      for (const room of rooms.values()) {
        if (firstShort(room.free, 0, requestClass.request) >= 0) continue;
        const score = scoreOf(requestClass, room);
        const first = rank[room.slots.at(-1) as number] as number;
        let at = best.length;
        while (at > 0) {
          const other = best[at - 1] as (typeof best)[number];
          if (other.score > score || (other.score === score && other.rank < first)) break;
          at -= 1;
        }
        if (at >= limit) continue;
        best.splice(at, 0, { room, score, rank: first });
        if (best.length > limit) best.pop();
      }
      if (limit === 1) {
        const top = best[0];
        if (top === undefined) return [];
        const slot = top.room.slots.at(-1) as number;
        return [{ slot, hostId: ids[slot] as HostId, score: top.score }];
      }
      return best
        .flatMap(({ room, score }) => room.slots.slice(-limit).map((slot) => ({ slot, score })))
        .sort((a, b) => b.score - a.score || (rank[a.slot] as number) - (rank[b.slot] as number))
        .slice(0, limit)
        .map(({ slot, score }) => ({ slot, hostId: ids[slot] as HostId, score }));
    },
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
