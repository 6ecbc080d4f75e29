/**
 * Sends home whoever lies on a host that is booked above what it has, until none is. It ends, since at worst everybody is home
 * again, and that is how it was at first. Where a rule about groups stands between, the whole group goes, and whoever is bound to it.
 */
import type { Arrangement } from "./arrangement.ts";
import type { Reassignment } from "./reassignment.ts";

/** `allowed`: overload of each host that is nobody's fault. Costs O(items) for every round, and a round cures every host by one item. */
export const repair = (problem: Reassignment, arrangement: Arrangement, allowed: Float64Array): void => {
  const { hosts, items, groups, groupOf, first, needs, zoneOf, dimensions, request } = problem;
  const { hostOf, shift, overloadOf } = arrangement;
  const members: number[][] = Array.from({ length: groups }, () => []);
  groupOf.forEach((group, item) => members[group]?.push(item));
  const boundTo: Set<number>[] = Array.from({ length: groups }, () => new Set());
  needs.forEach((list, group) => {
    for (const needed of list) {
      boundTo[group]?.add(needed);
      boundTo[needed]?.add(group);
    }
  });

  const zonesOf = (group: number): Set<number> =>
    new Set((members[group] as number[]).map((item) => zoneOf[hostOf[item] as number] as number));
  const isMet = (group: number): boolean => {
    const zones = zonesOf(group);
    return (needs[group] as readonly number[]).every((needed) => {
      const present = zonesOf(needed);
      return [...zones].every((zone) => present.has(zone));
    });
  };

  const groupHome = (begin: number): void => {
    const open = [begin];
    const gone = new Set<number>();
    for (let group = open.pop(); group !== undefined; group = open.pop()) {
      if (gone.has(group)) continue;
      gone.add(group);
      for (const item of members[group] as number[]) {
        if (hostOf[item] !== first[item]) shift(item, first[item] as number);
      }
      for (const other of boundTo[group] as Set<number>) {
        if (!gone.has(other) && !(isMet(group) && isMet(other))) open.push(other);
      }
    }
  };

  const home = (item: number): void => {
    if (arrangement.agrees(item, first[item] as number)) shift(item, first[item] as number);
    else groupHome(groupOf[item] as number);
  };

  /** Of those that alone would cure the host the smallest, else the largest. */
  const choose = (guests: readonly number[], host: number): number => {
    const size = (item: number): number => {
      let sum = 0;
      for (let at = 0; at < dimensions; at += 1) {
        sum +=
          (request[item * dimensions + at] as number) / Math.max(1, problem.capacity[host * dimensions + at] as number);
      }
      return sum;
    };
    const sorted = guests.toSorted((a, b) => size(a) - size(b) || a - b);
    const cure = sorted.find((item) => arrangement.overloadWithout(item) <= (allowed[host] as number));
    return cure ?? (sorted.at(-1) as number);
  };

  for (;;) {
    const guests = new Map<number, number[]>();
    for (let host = 0; host < hosts; host += 1) {
      if (overloadOf(host) > (allowed[host] as number)) guests.set(host, []);
    }
    if (guests.size === 0) return;
    for (let item = 0; item < items; item += 1) {
      if (hostOf[item] !== first[item]) guests.get(hostOf[item] as number)?.push(item);
    }
    let sent = 0;
    for (const [host, list] of guests) {
      const here = list.filter((item) => hostOf[item] === host);
      if (here.length === 0 || overloadOf(host) <= (allowed[host] as number)) continue;
      home(choose(here, host));
      sent += 1;
    }
    if (sent === 0) return;
  }
};
