/**
 * One arrangement of items on hosts, with everything that tells in constant time whether a move keeps the rules and what it
 * changes of the cost. Changes only by `shift` and `swap`, after the caller has asked `shiftCost` or `swapCost`.
 *
 * Costs are exact while they stay below 2^53: amounts, weights and targets are whole numbers (the price of open hosts is not,
 * and is recomputed by `total`).
 */
import { hostCost, largest, type Reassignment } from "./reassignment.ts";

/** What a move that breaks a rule costs. */
export const FORBIDDEN = Infinity;

export interface Arrangement {
  readonly hostOf: Int32Array;
  readonly moves: () => number;
  /** Change of cost by moving `item` to `host`, its own excepted; FORBIDDEN where a rule says no. O(dimensions). */
  readonly shiftCost: (item: number, host: number) => number;
  readonly shift: (item: number, host: number) => void;
  /** Change of cost by exchanging the places of two items of different hosts. Items of one group are never exchanged. */
  readonly swapCost: (one: number, other: number) => number;
  readonly swap: (one: number, other: number) => void;
  /** From scratch. */
  readonly total: () => number;
}

const dependents = (problem: Reassignment): number[][] => {
  const result: number[][] = Array.from({ length: problem.groups }, () => []);
  problem.needs.forEach((needed, group) => {
    for (const one of needed) result[one]?.push(group);
  });
  return result;
};

export const arrange = (problem: Reassignment, start: Int32Array): Arrangement => {
  const { dimensions, hosts, items, groups, capacity, request, first, held, fixed, groupOf } = problem;
  const { mostPerHost, domainOf, leastDomains, zoneOf, needs, moveCost, groupMoveWeight, pathCost, maxMoves, allowed } =
    problem;
  const neededBy = dependents(problem);
  const domains = largest(domainOf) + 1;
  const zones = largest(zoneOf) + 1;
  const hostOf = Int32Array.from(start);
  const used = new Float64Array(hosts * dimensions);
  /** As `used`, and what has left in the held dimensions. */
  const occupied = new Float64Array(hosts * dimensions);
  const costs = new Float64Array(hosts);
  const onHost = new Uint16Array(groups * hosts);
  const inDomain = new Uint32Array(groups * domains);
  const domainsOf = new Int32Array(groups);
  const inZone = new Uint32Array(groups * zones);
  const movedOf = new Int32Array(groups);
  /** How many groups have so many moved items. */
  const movedGroups = new Int32Array(items + 2);
  let mostMoved = 0;
  let moves = 0;
  const trial = new Float64Array(dimensions);

  const setMoved = (group: number, by: number): void => {
    const was = movedOf[group] as number;
    movedOf[group] = was + by;
    movedGroups[was] = (movedGroups[was] as number) - 1;
    movedGroups[was + by] = (movedGroups[was + by] as number) + 1;
    moves += by;
    if (was + by > mostMoved) mostMoved = was + by;
    else while (mostMoved > 0 && movedGroups[mostMoved] === 0) mostMoved -= 1;
  };

  const enter = (item: number, host: number, by: number): void => {
    const [group, to, from] = [groupOf[item] as number, host * dimensions, item * dimensions];
    const isHome = first[item] === host;
    for (let at = 0; at < dimensions; at += 1) {
      const amount = by * (request[from + at] as number);
      used[to + at] = (used[to + at] as number) + amount;
      if (!(isHome && held[at] === 1)) occupied[to + at] = (occupied[to + at] as number) + amount;
    }
    onHost[group * hosts + host] = (onHost[group * hosts + host] as number) + by;
    const domain = group * domains + (domainOf[host] as number);
    if (by > 0 && inDomain[domain] === 0) domainsOf[group] = (domainsOf[group] as number) + 1;
    inDomain[domain] = (inDomain[domain] as number) + by;
    if (by < 0 && inDomain[domain] === 0) domainsOf[group] = (domainsOf[group] as number) - 1;
    const zone = group * zones + (zoneOf[host] as number);
    inZone[zone] = (inZone[zone] as number) + by;
  };

  movedGroups[0] = groups;
  for (let item = 0; item < items; item += 1) {
    const [host, home] = [hostOf[item] as number, first[item] as number];
    for (let at = 0; at < dimensions; at += 1) {
      if (held[at] === 1) {
        const cell = home * dimensions + at;
        occupied[cell] = (occupied[cell] as number) + (request[item * dimensions + at] as number);
      }
    }
    enter(item, host, 1);
    if (host !== home) setMoved(groupOf[item] as number, 1);
  }
  for (let host = 0; host < hosts; host += 1) costs[host] = hostCost(problem, host, used, host * dimensions);

  /** Cost of `host` when the request of `out` is gone and that of `into` has come; -1: nobody. */
  const costWith = (host: number, out: number, into: number): number => {
    const base = host * dimensions;
    for (let at = 0; at < dimensions; at += 1) {
      let amount = used[base + at] as number;
      if (out >= 0) amount -= request[out * dimensions + at] as number;
      if (into >= 0) amount += request[into * dimensions + at] as number;
      trial[at] = amount;
    }
    return hostCost(problem, host, trial, 0);
  };

  const fits = (host: number, into: number, out: number): boolean => {
    const base = host * dimensions;
    const [comesHome, leavesHome] = [first[into] === host, out >= 0 && first[out] === host];
    for (let at = 0; at < dimensions; at += 1) {
      let amount = occupied[base + at] as number;
      const stays = held[at] === 1;
      if (!(stays && comesHome)) amount += request[into * dimensions + at] as number;
      if (out >= 0 && !(stays && leavesHome)) amount -= request[out * dimensions + at] as number;
      if (amount > (capacity[base + at] as number)) return false;
    }
    return true;
  };

  /** Whether the group may lose one item on `from` and get one on `to`. */
  const groupAgrees = (group: number, from: number, to: number): boolean => {
    if (allowed !== null && allowed[group * hosts + to] === 0) return false;
    if ((onHost[group * hosts + to] as number) >= (mostPerHost[group] as number)) return false;
    const [left, entered] = [domainOf[from] as number, domainOf[to] as number];
    if (left !== entered && inDomain[group * domains + left] === 1 && inDomain[group * domains + entered] !== 0) {
      if ((domainsOf[group] as number) - 1 < (leastDomains[group] as number)) return false;
    }
    const [oldZone, newZone] = [zoneOf[from] as number, zoneOf[to] as number];
    if (oldZone === newZone) return true;
    const needed = needs[group] as readonly number[];
    for (let at = 0; at < needed.length; at += 1) {
      if (inZone[(needed[at] as number) * zones + newZone] === 0) return false;
    }
    if (inZone[group * zones + oldZone] !== 1) return true;
    const others = neededBy[group] as readonly number[];
    for (let at = 0; at < others.length; at += 1) {
      if (inZone[(others[at] as number) * zones + oldZone] !== 0) return false;
    }
    return true;
  };

  const movedBy = (item: number, from: number, to: number): number => {
    const home = first[item] as number;
    return (to === home ? 0 : 1) - (from === home ? 0 : 1);
  };

  const wayCost = (item: number, from: number, to: number): number => {
    const home = first[item] as number;
    let cost = movedBy(item, from, to) * (moveCost[item] as number);
    if (pathCost !== null) cost += (pathCost[home * hosts + to] as number) - (pathCost[home * hosts + from] as number);
    return cost;
  };

  const shiftCost = (item: number, to: number): number => {
    const from = hostOf[item] as number;
    if (fixed[item] === 1 || !fits(to, item, -1)) return FORBIDDEN;
    const group = groupOf[item] as number;
    if (!groupAgrees(group, from, to)) return FORBIDDEN;
    const moved = movedBy(item, from, to);
    if (moves + moved > maxMoves && moved > 0) return FORBIDDEN;
    let cost = wayCost(item, from, to);
    cost += costWith(from, item, -1) - (costs[from] as number);
    cost += costWith(to, -1, item) - (costs[to] as number);
    if (moved > 0 && movedOf[group] === mostMoved) cost += groupMoveWeight;
    if (moved < 0 && movedOf[group] === mostMoved && movedGroups[mostMoved] === 1) cost -= groupMoveWeight;
    return cost;
  };

  const shift = (item: number, to: number): void => {
    const from = hostOf[item] as number;
    enter(item, from, -1);
    enter(item, to, 1);
    hostOf[item] = to;
    const moved = movedBy(item, from, to);
    if (moved !== 0) setMoved(groupOf[item] as number, moved);
    costs[from] = hostCost(problem, from, used, from * dimensions);
    costs[to] = hostCost(problem, to, used, to * dimensions);
  };

  const areRelated = (one: number, other: number): boolean =>
    (needs[one] as readonly number[]).includes(other) || (needs[other] as readonly number[]).includes(one);

  const swapCost = (one: number, other: number): number => {
    const [from, to] = [hostOf[one] as number, hostOf[other] as number];
    const [group, group2] = [groupOf[one] as number, groupOf[other] as number];
    if (from === to || group === group2 || fixed[one] === 1 || fixed[other] === 1) return FORBIDDEN;
    if (!fits(to, one, other) || !fits(from, other, one)) return FORBIDDEN;
    if (!groupAgrees(group, from, to) || !groupAgrees(group2, to, from)) return FORBIDDEN;
    if (zoneOf[from] !== zoneOf[to] && areRelated(group, group2)) return FORBIDDEN;
    const [moved, moved2] = [movedBy(one, from, to), movedBy(other, to, from)];
    if (moves + moved + moved2 > maxMoves && moved + moved2 > 0) return FORBIDDEN;
    let cost = wayCost(one, from, to) + wayCost(other, to, from);
    cost += costWith(from, one, other) - (costs[from] as number);
    cost += costWith(to, other, one) - (costs[to] as number);
    if ((moved !== 0 || moved2 !== 0) && groupMoveWeight > 0) {
      const [was, was2] = [movedOf[group] as number, movedOf[group2] as number];
      const rest = (movedGroups[mostMoved] as number) - (was === mostMoved ? 1 : 0) - (was2 === mostMoved ? 1 : 0);
      const most = Math.max(was + moved, was2 + moved2, rest > 0 ? mostMoved : mostMoved - 1);
      cost += groupMoveWeight * (most - mostMoved);
    }
    return cost;
  };

  const swap = (one: number, other: number): void => {
    const [from, to] = [hostOf[one] as number, hostOf[other] as number];
    shift(one, to);
    shift(other, from);
  };

  const total = (): number => {
    let sum = mostMoved * groupMoveWeight;
    for (let host = 0; host < hosts; host += 1) sum += hostCost(problem, host, used, host * dimensions);
    for (let item = 0; item < items; item += 1) {
      const [home, host] = [first[item] as number, hostOf[item] as number];
      if (home !== host) sum += moveCost[item] as number;
      if (pathCost !== null) sum += pathCost[home * hosts + host] as number;
    }
    return sum;
  };

  return { hostOf, moves: () => moves, shiftCost, shift, swapCost, swap, total };
};
