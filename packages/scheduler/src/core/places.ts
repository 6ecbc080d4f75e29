/**
 * Which hosts share a place: hosts with the same value of a label. A partition is made of one or several labels; its domains
 * are the combinations of values that occur, and hosts stand in it domain by domain, each in the order of ids.
 */
import type { Lookup, Value } from "@berth/schema";

export interface Place {
  /** The value of each host by slot, as a number; -1: it has none. */
  readonly valueOf: Int32Array;
  readonly names: readonly string[];
}

export interface Partition {
  readonly domains: number;
  /** Length of the positions; a domain begins at a multiple of GROUP and unused positions have no slot. */
  readonly length: number;
  readonly begins: Int32Array;
  readonly slotAt: Int32Array;
  readonly positionOf: Int32Array;
  readonly domainOf: Int32Array;
  /** The values of each domain, as many as there are places: whoever stands in it shares them. */
  readonly values: Int32Array;
}

/** What a group of scores in a strip holds; kernel/score.ts says the same. */
export const GROUP = 8;

export const placeBy = (path: string, hosts: readonly Lookup[]): Place => {
  const numbers = new Map<Value, number>();
  const valueOf = Int32Array.from(hosts, (lookup) => {
    const value = lookup(path);
    if (value === undefined) return -1;
    const known = numbers.get(value);
    if (known !== undefined) return known;
    numbers.set(value, numbers.size);
    return numbers.size - 1;
  });
  return { valueOf, names: Array.from(numbers.keys(), String) };
};

/** Without places there is one domain, that of all hosts. */
export const partitionBy = (places: readonly Place[], ordered: readonly number[]): Partition => {
  const members = new Map<string, number[]>();
  for (const slot of ordered) {
    const key = places.map(({ valueOf }) => valueOf[slot]).join(",");
    const list = members.get(key);
    if (list === undefined) members.set(key, [slot]);
    else list.push(slot);
  }
  const lists = [...members.values()];
  const padded = lists.map((list) => Math.ceil(list.length / GROUP) * GROUP);
  const length = padded.reduce((sum, size) => sum + size, 0);
  const begins = new Int32Array(lists.length + 1);
  const slotAt = new Int32Array(length).fill(-1);
  const positionOf = new Int32Array(ordered.length);
  const domainOf = new Int32Array(ordered.length);
  const values = new Int32Array(lists.length * places.length);
  lists.forEach((list, domain) => {
    const begin = begins[domain] as number;
    begins[domain + 1] = begin + (padded[domain] as number);
    places.forEach(({ valueOf }, at) => {
      values[domain * places.length + at] = valueOf[list[0] as number] as number;
    });
    list.forEach((slot, at) => {
      slotAt[begin + at] = slot;
      positionOf[slot] = begin + at;
      domainOf[slot] = domain;
    });
  });
  return { domains: lists.length, length, begins, slotAt, positionOf, domainOf, values };
};
