/** How many allocations of each group every host and every place holds: what rules of placement are checked against. */
import type { Place } from "./places.ts";

export interface GroupCounts {
  readonly total: (group: string) => number;
  /** By slot, where there is one; true until the next change. */
  readonly hostsOf: (group: string) => ReadonlyMap<number, number>;
  /** By value of the place; true until the next change. */
  readonly at: (group: string, path: string, place: Place) => Int32Array;
  readonly add: (group: string, slot: number, by: 1 | -1) => void;
  /** Hosts have other labels: what is known by place holds no more. */
  readonly forgetPlaces: () => void;
}

interface Group {
  total: number;
  readonly hosts: Map<number, number>;
  readonly places: Map<string, { readonly place: Place; readonly counts: Int32Array }>;
}

const NOWHERE: ReadonlyMap<number, number> = new Map();

export const createGroupCounts = (): GroupCounts => {
  const groups = new Map<string, Group>();
  const groupOf = (name: string): Group => {
    const known = groups.get(name);
    if (known !== undefined) return known;
    const group = { total: 0, hosts: new Map(), places: new Map() };
    groups.set(name, group);
    return group;
  };
  return {
    total: (name) => groups.get(name)?.total ?? 0,
    hostsOf: (name) => groups.get(name)?.hosts ?? NOWHERE,
    at: (name, path, place) => {
      const group = groups.get(name);
      const known = group?.places.get(path);
      if (known !== undefined) return known.counts;
      const counts = new Int32Array(place.names.length);
      // Nobody is in it: nothing to remember.
      if (group === undefined) return counts;
      for (const [slot, count] of group.hosts) {
        const value = place.valueOf[slot] as number;
        if (value >= 0) counts[value] = (counts[value] as number) + count;
      }
      group.places.set(path, { place, counts });
      return counts;
    },
    add: (name, slot, by) => {
      const group = groupOf(name);
      group.total += by;
      const count = (group.hosts.get(slot) ?? 0) + by;
      if (count === 0) group.hosts.delete(slot);
      else group.hosts.set(slot, count);
      for (const { place, counts } of group.places.values()) {
        const value = place.valueOf[slot] as number;
        if (value >= 0) counts[value] = (counts[value] as number) + by;
      }
      if (group.total === 0) groups.delete(name);
    },
    forgetPlaces: () => {
      for (const group of groups.values()) group.places.clear();
    },
  };
};
