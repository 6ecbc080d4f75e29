/**
 * Simulated annealing over shifts and swaps (Kirkpatrick, Gelatt and Vecchi 1983; for this problem Portal et al., "A
 * simulated annealing algorithm for the machine reassignment problem", 2016): a move that costs less is made, one that
 * costs more by d with probability exp(-d / temperature). Pure: the caller decides how many moves are tried, and so how long
 * it takes; the same seed and calls give the same arrangement.
 *
 * Requests differ by powers of ten, and what a move costs with them. So at each temperature mostly those are tried whose moves
 * cost about as much: larger ones would never move, smaller ones are not settled yet. Swaps prefer partners of nearly the same size.
 *
 * In the first half hosts may be booked above what they have, for a price that rises (see Arrangement); what that leaves above
 * moves on at any price or is sent home (`repair`), and from there on no move does it. Nobody ever goes where no way could lead to
 * room (see Reach). The best arrangement is always one that keeps every rule.
 */
import { arrange, FORBIDDEN, type Arrangement } from "./arrangement.ts";
import { reachOf } from "./reach.ts";
import { worthOf, type Reassignment } from "./reassignment.ts";
import { repair } from "./repair.ts";

export interface Annealing {
  readonly arrangement: Arrangement;
  /** Cost now, without the price of overload, kept up to date move by move. */
  readonly cost: () => number;
  /** Tries so many moves; `done` is the share of all tries that came before, 0 … 1, and never falls. */
  readonly run: (tries: number, done: number) => void;
  /** Of what stood at the end of some `run`, or at first, what costs least and keeps every rule. */
  readonly best: () => { readonly cost: number; readonly hostOf: Int32Array };
}

/** Of all tries, exchanges of two items; the rest are shifts. */
const SWAP_SHARE = 0.4;
/** Of the exchanges, those with an item of nearly the same size. */
const NEAR_SHARE = 0.7;
/**
 * Of the shifts, those back home. Where who has left goes on occupying its first host, few can be away at a time, but a host
 * drawn at random is rarely home. Not where hosts have a price: to empty one, its items must stay away. Where no more may
 * be moved, somebody must come home before another leaves.
 */
const HOME_SHARE = 0.05;
const HELD_HOME_SHARE = 0.5;
const FULL_HOME_SHARE = 0.2;
/**
 * Temperatures that it costs who could be on most hosts to be away, where who leaves goes on occupying the first one. Otherwise
 * all who gain nothing yet would wander, and leave no room for those who gain. Once it is cold it decides nothing.
 */
const AWAY = 2;
/** Of the tries, those with any item, whatever its size. */
const ANY_SHARE = 0.1;
/** The sizes that are tried, in temperatures, and at least so much of all items. */
const [SMALL, LARGE, LEAST_SPAN] = [1 / 50, 300, 0.05];
/**
 * The price of overload, so many times what the same amount above comfort costs. It begins low, so that large items still change
 * places when those that lie there have settled, and rises until little is left. Then it is dear, so that the last go where
 * that costs least, and only who has found no way at the end is sent home: that tears up more than it mends.
 */
const [OVERLOAD_PRICE, PRICE_GROWTH, DEAR] = [5, 100, 1e5];
/** Of all tries, those in which the price rises, and those after which none is allowed, warm enough that all else makes room again. */
const [RISES_UNTIL, LOOSE_UNTIL] = [0.5, 0.62];
/** Of the hottest, what it cools to, evenly by the logarithm, before only what costs less is made. */
const [COLDEST, QUENCH_FROM] = [7e-5, 0.97];
const SAMPLES = 2_000;

const coolingAt = (hot: number, done: number): number =>
  done < QUENCH_FROM ? hot * COLDEST ** (done / QUENCH_FROM) : 0;

/** What all of an item is worth in the dimension in which it is largest. */
const sizesOf = (problem: Reassignment): Float64Array => {
  const { dimensions, items, request } = problem;
  const worth = worthOf(problem);
  const sizes = new Float64Array(items);
  for (let at = 0; at < items * dimensions; at += 1) {
    const item = Math.floor(at / dimensions);
    sizes[item] = Math.max(sizes[item] as number, (request[at] as number) * (worth[at % dimensions] as number));
  }
  return sizes;
};

export const anneal = (problem: Reassignment, seed: number, start: Int32Array = problem.first): Annealing => {
  const { hosts, first, maxMoves } = problem;
  const arrangement = arrange(problem, start);
  const { hostOf, moves, shiftCost, swapCost } = arrangement;
  const sizes = sizesOf(problem);
  const { canBe, draw, roams, stays } = reachOf(problem);
  const order = Int32Array.from([...sizes.keys()].filter((item) => stays[item] !== 1));
  order.sort((a, b) => (sizes[a] as number) - (sizes[b] as number) || a - b);
  const movable = order.length;
  const allowedOverload = Float64Array.from({ length: hosts }, (_, host) => arrangement.overloadOf(host));
  const overloadAtFirst = arrangement.overload();
  const isHeld = problem.held.includes(1) && problem.openWeight === 0;
  const homeShare = isHeld ? HELD_HOME_SHARE : HOME_SHARE;
  let cost = arrangement.total();
  let best = { cost, hostOf: Int32Array.from(hostOf) };
  let price = OVERLOAD_PRICE;
  // Marsaglia's xorshift: a call a try through an interface would be a third of the work.
  let state = (Math.imul(seed, 0x9e3779b1) ^ 0x85ebca6b) | 0 || 1;
  const next = (): number => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };

  /** The first position in `order` of an item at least so large. */
  const positionOf = (size: number): number => {
    let [from, to] = [0, movable];
    while (from < to) {
      const middle = (from + to) >> 1;
      if ((sizes[order[middle] as number] as number) < size) from = middle + 1;
      else to = middle;
    }
    return from;
  };

  const typicalRise = (): number => {
    const rises: number[] = [];
    for (let at = 0; at < SAMPLES; at += 1) {
      const item = order[Math.floor(next() * movable)] as number;
      const host = Math.floor(next() * hosts);
      if (hostOf[item] === host) continue;
      const change = shiftCost(item, host);
      if (change > 0 && change !== FORBIDDEN) rises.push(change);
    }
    rises.sort((a, b) => a - b);
    return Math.max(1, (rises[rises.length >> 1] ?? 1) / Math.LN2);
  };

  const isBusy = movable > 0 && hosts > 1;
  const large = isBusy ? (sizes[order[Math.floor((movable - 1) * 0.99)] as number] as number) : 0;
  const hot = isBusy ? Math.max(large / 5, 5 * typicalRise()) : 1;
  arrangement.price(price);

  const settle = (): void => {
    if (price === Infinity) return;
    price = Infinity;
    arrangement.price(Infinity);
    repair(problem, arrangement, allowedOverload);
    cost = arrangement.total();
  };

  const keepBest = (): void => {
    if (cost >= best.cost) return;
    for (let host = 0; host < hosts; host += 1) {
      if (arrangement.overloadOf(host) > (allowedOverload[host] as number)) return;
    }
    best = { cost, hostOf: Int32Array.from(hostOf) };
  };

  const partnerOf = (position: number): number => {
    if (next() >= NEAR_SHARE) return order[Math.floor(next() * movable)] as number;
    const distance = Math.floor(movable ** next());
    const other = next() < 0.5 ? position - distance : position + distance;
    return other < 0 || other >= movable ? -1 : (order[other] as number);
  };

  const shiftTarget = (item: number): number => {
    const share = moves() < maxMoves ? homeShare : Math.max(homeShare, FULL_HOME_SHARE);
    return next() < share ? (first[item] as number) : draw(item, next());
  };

  const leaves = (item: number, to: number): number =>
    roams[item] === 1 ? (hostOf[item] === first[item] ? 1 : 0) - (to === first[item] ? 1 : 0) : 0;

  const exchangeLeaves = (one: number, other: number): number =>
    leaves(one, hostOf[other] as number) + leaves(other, hostOf[one] as number);

  const mayExchange = (one: number, other: number): boolean =>
    canBe(one, hostOf[other] as number) && canBe(other, hostOf[one] as number);

  const run = (tries: number, done: number): void => {
    if (!isBusy) return;
    if (done >= LOOSE_UNTIL || (done >= RISES_UNTIL && arrangement.overload() <= overloadAtFirst)) settle();
    if (price !== Infinity) {
      price = done < RISES_UNTIL ? OVERLOAD_PRICE * PRICE_GROWTH ** (done / RISES_UNTIL) : DEAR;
      arrangement.price(price);
    }
    const temperature = coolingAt(hot, done);
    const away = isHeld ? AWAY * temperature : 0;
    const from = Math.min(positionOf(temperature * SMALL), Math.floor(movable * (1 - LEAST_SPAN)));
    const span = Math.max(positionOf(temperature * LARGE) - from, Math.ceil(movable * LEAST_SPAN));
    const [first0, width] = temperature > 0 ? [from, Math.min(span, movable - from)] : [0, movable];
    for (let at = 0; at < tries; at += 1) {
      const position = next() < ANY_SHARE ? Math.floor(next() * movable) : first0 + Math.floor(next() * width);
      const item = order[position] as number;
      const isSwap = next() < SWAP_SHARE;
      const target = isSwap ? partnerOf(position) : shiftTarget(item);
      if (target < 0 || (!isSwap && hostOf[item] === target)) continue;
      let most = temperature > 0 ? -temperature * Math.log(next() + Number.MIN_VALUE) : 0;
      if (away > 0) most -= away * (isSwap ? exchangeLeaves(item, target) : leaves(item, target));
      const change = isSwap ? swapCost(item, target, most) : shiftCost(item, target, most);
      if (change > most) continue;
      if (price !== Infinity && !(isSwap ? mayExchange(item, target) : canBe(item, target))) continue;
      cost += price === Infinity ? change : change - price * arrangement.overloadChange();
      if (isSwap) arrangement.swap(item, target);
      else arrangement.shift(item, target);
    }
    keepBest();
  };

  return { arrangement, cost: () => cost, run, best: () => best };
};
