/**
 * Where items could ever be: a host has room for newcomers beside all that cannot leave it, and beside all that was there at first
 * in the held dimensions. Whoever fits nowhere but at home cannot leave, and so takes room from the others.
 *
 * Where requests differ by powers of ten that is often a few hosts only, so a search that draws among them wastes few tries. And
 * one that may book hosts above what they have settles nobody where no way leads out of it.
 */
import type { Reassignment } from "./reassignment.ts";

export interface Reach {
  /** 1: can be nowhere but at home. */
  readonly stays: Uint8Array;
  /** 1: could be on most hosts. */
  readonly roams: Uint8Array;
  /** Whether the item could ever be on the host. O(dimensions). */
  readonly canBe: (item: number, host: number) => boolean;
  /** One of the hosts on which the item could ever be or, where those are most of all, any host. `luck`: from 0 to below 1. */
  readonly draw: (item: number, luck: number) => number;
}

/** Up to so many hosts of an item are listed, so that lists have a bound. */
const LISTED = 256;
/** Each round finds who stays because of those found before. */
const ROUNDS = 4;

/** Items of one group that ask for the same go to the same hosts: the first of them, for each. */
const firstAlike = ({ items, dimensions, request, groupOf }: Reassignment): Int32Array => {
  const seen = new Map<string, number>();
  return Int32Array.from({ length: items }, (_, item) => {
    const key = `${groupOf[item]} ${request.subarray(item * dimensions, (item + 1) * dimensions).join(" ")}`;
    const one = seen.get(key) ?? item;
    seen.set(key, one);
    return one;
  });
};

/** Costs O(items × dimensions), and O(hosts × dimensions) for each group and request. */
export const reachOf = (problem: Reassignment): Reach => {
  const { dimensions, hosts, items, capacity, request, first, held, fixed, groupOf, allowed } = problem;
  const stays = Uint8Array.from(fixed);
  const alike = firstAlike(problem);
  const room = new Float64Array(hosts * dimensions);
  const most = Math.max(1, Math.min(LISTED, hosts / 2));
  /** null: more than `most`, so one of them at least is not home. */
  const lists: (Int32Array | null)[] = [];

  const measure = (): void => {
    room.set(capacity);
    for (let item = 0; item < items; item += 1) {
      const base = (first[item] as number) * dimensions;
      for (let at = 0; at < dimensions; at += 1) {
        if (held[at] !== 1 && stays[item] !== 1) continue;
        room[base + at] = (room[base + at] as number) - (request[item * dimensions + at] as number);
      }
    }
  };

  const admits = (item: number, host: number): boolean => {
    if (allowed !== null && allowed[(groupOf[item] as number) * hosts + host] === 0) return false;
    const [from, to] = [item * dimensions, host * dimensions];
    for (let at = 0; at < dimensions; at += 1) {
      if ((request[from + at] as number) > (room[to + at] as number)) return false;
    }
    return true;
  };

  const list = (item: number): Int32Array | null => {
    const found: number[] = [];
    for (let host = 0; host < hosts && found.length <= most; host += 1) if (admits(item, host)) found.push(host);
    return found.length > most ? null : Int32Array.from(found);
  };

  /** Whether somebody was found who stays. */
  const look = (): boolean => {
    let isNew = false;
    for (let item = 0; item < items; item += 1) {
      const one = alike[item] as number;
      const listed = one === item ? list(item) : (lists[one] as Int32Array | null);
      lists[item] = listed;
      if (stays[item] === 1 || listed === null || listed.some((host) => host !== first[item])) continue;
      stays[item] = 1;
      isNew = true;
    }
    return isNew;
  };

  // What is held stays taken, whoever leaves.
  const isSettled = held.every((one) => one === 1);
  measure();
  for (let round = 1; look() && !isSettled && round < ROUNDS; round += 1) measure();

  const draw = (item: number, luck: number): number => {
    const listed = lists[item] as Int32Array | null;
    return listed === null ? Math.floor(luck * hosts) : (listed[Math.floor(luck * listed.length)] as number);
  };

  const roams = Uint8Array.from(stays, (one, item) => (one === 0 && lists[item] === null ? 1 : 0));

  return { stays, roams, canBe: (item, host) => host === first[item] || admits(item, host), draw };
};
