/**
 * One arrangement of items on hosts, with everything that tells in constant time whether a move keeps the rules and what it
 * changes of the cost. Changes only by `shift` and `swap`, after the caller has asked `shiftCost` or `swapCost`.
 *
 * Room is a rule that a search may break on its way, for a price: where hosts are full, a large item gets to where it belongs
 * only before those have left that lie there. What is above capacity is the overload; at the price Infinity, with which an
 * arrangement begins, none may come.
 *
 * Costs are exact while they stay below 2^53: amounts, weights and targets are whole numbers (the price of open hosts is not,
 * and is recomputed by `total`).
 */
import { hostCost, largest, worthOf, type Reassignment } from "./reassignment.ts";

/** What a move that breaks a rule costs. */
export const FORBIDDEN = Infinity;

export interface Arrangement {
  readonly hostOf: Int32Array;
  readonly moves: () => number;
  /** What a unit of overload costs from now on. */
  readonly price: (overload: number) => void;
  /** All that is booked above capacity and, wherever something is, a little more; a unit of each dimension counted with its worth. */
  readonly overload: () => number;
  readonly overloadOf: (host: number) => number;
  /** That of the host of `item` when the item has left it. */
  readonly overloadWithout: (item: number) => number;
  /** What the last asked move changes of the overload. */
  readonly overloadChange: () => number;
  /**
   * Change of cost, the price of overload included, by moving `item` to `host`, its own excepted; FORBIDDEN where a rule says
   * no or, maybe, where it is above `most`. O(dimensions).
   */
  readonly shiftCost: (item: number, host: number, most?: number) => number;
  readonly shift: (item: number, host: number) => void;
  /** Change of cost by exchanging the places of two items of different hosts. Whatever rules groups have, exchanges within one keep them. */
  readonly swapCost: (one: number, other: number, most?: number) => number;
  readonly swap: (one: number, other: number) => void;
  /** Whether the rules about groups let the item go there. */
  readonly agrees: (item: number, host: number) => boolean;
  /** From scratch, without the price of overload. */
  readonly total: () => number;
}

const dependents = (problem: Reassignment): number[][] => {
  const result: number[][] = Array.from({ length: problem.groups }, () => []);
  problem.needs.forEach((needed, group) => {
    for (const one of needed) result[one]?.push(group);
  });
  return result;
};

/**
 * What any overload counts beside its amount: a hundredth of the mean host. Otherwise a little costs so little that a large item stays
 * where it does not quite fit until all else is too cold to make room for it.
 */
const leastOverload = ({ capacity, dimensions, hosts }: Reassignment): Float64Array => {
  const sums = new Float64Array(dimensions);
  capacity.forEach((amount, at) => (sums[at % dimensions] = (sums[at % dimensions] as number) + amount));
  return sums.map((sum) => Math.ceil(sum / hosts / 100));
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
  const worth = worthOf(problem);
  const least = leastOverload(problem);
  const overloads = new Float64Array(hosts);
  let overload = 0;
  let overloadPrice = Infinity;
  let overloadChange = 0;

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

  /** Overload of `host` when `out` is gone and `into` has come; -1: nobody. */
  const overloadWith = (host: number, out: number, into: number): number => {
    const base = host * dimensions;
    const [comesHome, leavesHome] = [into >= 0 && first[into] === host, out >= 0 && first[out] === host];
    let sum = 0;
    for (let at = 0; at < dimensions; at += 1) {
      const stays = held[at] === 1;
      let above = (occupied[base + at] as number) - (capacity[base + at] as number);
      if (into >= 0 && !(stays && comesHome)) above += request[into * dimensions + at] as number;
      if (out >= 0 && !(stays && leavesHome)) above -= request[out * dimensions + at] as number;
      if (above > 0) sum += (above + (least[at] as number)) * (worth[at] as number);
    }
    return sum;
  };

  const recount = (host: number): void => {
    costs[host] = hostCost(problem, host, used, host * dimensions);
    const now = overloadWith(host, -1, -1);
    overload += now - (overloads[host] as number);
    overloads[host] = now;
  };
  for (let host = 0; host < hosts; host += 1) recount(host);

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

  const shiftCost = (item: number, to: number, most = Infinity): number => {
    const from = hostOf[item] as number;
    if (fixed[item] === 1) return FORBIDDEN;
    if (overloadPrice === Infinity && !fits(to, item, -1)) return FORBIDDEN;
    const group = groupOf[item] as number;
    if (!groupAgrees(group, from, to)) return FORBIDDEN;
    const moved = movedBy(item, from, to);
    if (moves + moved > maxMoves && moved > 0) return FORBIDDEN;
    let cost = wayCost(item, from, to);
    cost += costWith(to, -1, item) - (costs[to] as number);
    const wins = (costs[from] as number) + groupMoveWeight;
    if (overloadPrice === Infinity) {
      overloadChange = overloadWith(from, item, -1) - (overloads[from] as number);
      if (cost - wins > most) return FORBIDDEN;
    } else {
      const more = overloadWith(to, -1, item) - (overloads[to] as number);
      if (cost + overloadPrice * (more - (overloads[from] as number)) - wins > most) return FORBIDDEN;
      overloadChange = more + overloadWith(from, item, -1) - (overloads[from] as number);
      cost += overloadPrice * overloadChange;
    }
    cost += costWith(from, item, -1) - (costs[from] as number);
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
    recount(from);
    recount(to);
  };

  /** Whether two items of a group may exchange their hosts: how many it has where stays as it is. */
  const groupExchanges = (group: number, one: number, other: number): boolean => {
    const [here, there] = [group * hosts + one, group * hosts + other];
    if (allowed !== null && (allowed[here] === 0 || allowed[there] === 0)) return false;
    const most = mostPerHost[group] as number;
    return (onHost[here] as number) <= most && (onHost[there] as number) <= most;
  };

  const areRelated = (one: number, other: number): boolean =>
    (needs[one] as readonly number[]).includes(other) || (needs[other] as readonly number[]).includes(one);

  const swapCost = (one: number, other: number, most = Infinity): number => {
    const [from, to] = [hostOf[one] as number, hostOf[other] as number];
    const [group, group2] = [groupOf[one] as number, groupOf[other] as number];
    if (from === to || fixed[one] === 1 || fixed[other] === 1) return FORBIDDEN;
    if (overloadPrice === Infinity && (!fits(to, one, other) || !fits(from, other, one))) return FORBIDDEN;
    if (group === group2) {
      if (!groupExchanges(group, from, to)) return FORBIDDEN;
    } else {
      if (!groupAgrees(group, from, to) || !groupAgrees(group2, to, from)) return FORBIDDEN;
      if (zoneOf[from] !== zoneOf[to] && areRelated(group, group2)) return FORBIDDEN;
    }
    const [moved, moved2] = [movedBy(one, from, to), movedBy(other, to, from)];
    if (moves + moved + moved2 > maxMoves && moved + moved2 > 0) return FORBIDDEN;
    let cost = wayCost(one, from, to) + wayCost(other, to, from);
    cost += costWith(from, one, other) - (costs[from] as number);
    const wins = (costs[to] as number) + 2 * groupMoveWeight;
    overloadChange = 0;
    if (overloadPrice === Infinity) {
      if (cost - wins > most) return FORBIDDEN;
    } else {
      const more = overloadWith(from, one, other) - (overloads[from] as number);
      if (cost + overloadPrice * (more - (overloads[to] as number)) - wins > most) return FORBIDDEN;
      overloadChange = more + overloadWith(to, other, one) - (overloads[to] as number);
      cost += overloadPrice * overloadChange;
    }
    cost += costWith(to, other, one) - (costs[to] as number);
    if ((moved !== 0 || moved2 !== 0) && groupMoveWeight > 0) {
      const [was, was2] = [movedOf[group] as number, movedOf[group2] as number];
      const isOne = group === group2;
      const rest =
        (movedGroups[mostMoved] as number) - (was === mostMoved ? 1 : 0) - (!isOne && was2 === mostMoved ? 1 : 0);
      const next = rest > 0 ? mostMoved : mostMoved - (isOne && movedGroups[mostMoved - 1] === 0 ? 2 : 1);
      const peak = isOne ? Math.max(was + moved + moved2, next) : Math.max(was + moved, was2 + moved2, next);
      cost += groupMoveWeight * (peak - mostMoved);
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

  return {
    ...{ hostOf, moves: () => moves, shiftCost, shift, swapCost, swap, total },
    price: (one) => void (overloadPrice = one),
    overload: () => overload,
    overloadOf: (host) => overloads[host] as number,
    overloadWithout: (item) => overloadWith(hostOf[item] as number, item, -1),
    overloadChange: () => overloadChange,
    agrees: (item, host) => groupAgrees(groupOf[item] as number, hostOf[item] as number, host),
  };
};
