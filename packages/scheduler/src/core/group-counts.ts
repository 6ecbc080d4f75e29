/** How many allocations of each group every host and every place holds: what rules of placement are checked against. */
import type { Place } from "./places.ts";
import { shunnedBy } from "./rules.ts";
import { SlotCounts } from "./slot-counts.ts";

export interface GroupCounts {
  readonly total: (group: string) => number;
  /** By slot; true until the next change. */
  readonly hostsOf: (group: string) => HostCounts;
  /** By value of the place; true until the next change. */
  readonly at: (group: string, path: string, place: Place) => Int32Array;
  /** Returns how many stand on the host now. */
  readonly add: (group: string, slot: number, by: 1 | -1) => number;
  /** By which labels some keep apart from this group; perhaps also by which some did. */
  readonly shunnedBy: (group: string) => Iterable<string>;
  /** Another number after every change. */
  readonly version: () => number;
  /** Hosts have other values of these labels: what is known by place holds no more. */
  readonly forgetPlaces: (differs: (path: string) => boolean) => void;
}

export type HostCounts = Pick<SlotCounts, "get">;

interface Group {
  total: number;
  readonly hosts: SlotCounts;
  readonly places: Map<string, { readonly place: Place; readonly counts: Int32Array }>;
}

const NOWHERE: HostCounts = new SlotCounts();

/** So many groups are remembered as shunned before those are forgotten from which nobody keeps apart any more. */
const MAX_SHUNNED = 1_024;
const NO_LABELS: ReadonlySet<string> = new Set();

/** `onShunned` hears when some keep apart from a group by a label that was not known yet. */
export const createGroupCounts = (onShunned: (group: string) => void = () => undefined): GroupCounts => {
  const groups = new Map<string, Group>();
  const shunned = new Map<string, Set<string>>();
  let bound = MAX_SHUNNED;
  let version = 0;
  const forgetShunned = (): void => {
    shunned.clear();
    for (const name of groups.keys()) {
      const known = shunnedBy(name);
      if (known !== undefined) noteShunned(known);
    }
  };
  const noteShunned = ({ by, group }: { readonly by: string; readonly group: string }): boolean => {
    const labels = shunned.get(group) ?? new Set<string>();
    if (labels.has(by)) return false;
    shunned.set(group, labels.add(by));
    return true;
  };
  const groupOf = (name: string): Group => {
    const known = groups.get(name);
    if (known !== undefined) return known;
    const group = { total: 0, hosts: new SlotCounts(), places: new Map() };
    groups.set(name, group);
    const shunning = shunnedBy(name);
    if (shunning !== undefined && noteShunned(shunning)) {
      onShunned(shunning.group);
      // A label too many costs a rule that stands against nobody: whoever knows it may go on knowing it.
      if (shunned.size >= bound) {
        forgetShunned();
        bound = Math.max(MAX_SHUNNED, 2 * shunned.size);
      }
    }
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
      group.hosts.each((slot, count) => {
        const value = place.valueOf[slot] as number;
        if (value >= 0) counts[value] = (counts[value] as number) + count;
      });
      group.places.set(path, { place, counts });
      return counts;
    },
    add: (name, slot, by) => {
      const group = groupOf(name);
      version += 1;
      group.total += by;
      const there = group.hosts.add(slot, by);
      for (const { place, counts } of group.places.values()) {
        const value = place.valueOf[slot] as number;
        if (value >= 0) counts[value] = (counts[value] as number) + by;
      }
      if (group.total === 0) groups.delete(name);
      return there;
    },
    shunnedBy: (group) => shunned.get(group) ?? NO_LABELS,
    version: () => version,
    forgetPlaces: (differs) => {
      version += 1;
      for (const { places } of groups.values())
        for (const path of places.keys()) if (differs(path)) places.delete(path);
    },
  };
};
