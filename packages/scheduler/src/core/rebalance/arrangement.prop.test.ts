/** Method: random problems and random moves; what a move was said to cost is compared with costs computed from scratch. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { anneal } from "./anneal.ts";
import { arrange, FORBIDDEN } from "./arrangement.ts";
import type { Reassignment } from "./reassignment.ts";
import { repair } from "./repair.ts";

const HOSTS = 6;
const ITEMS = 14;
const GROUPS = 5;
const DIMENSIONS = 3;

/** Everybody starts on a host that has room for all of them; the others are small. */
const problems = fc
  .record({
    request: fc.array(fc.integer({ min: 0, max: 9 }), { minLength: ITEMS * DIMENSIONS, maxLength: ITEMS * DIMENSIONS }),
    capacity: fc.array(fc.integer({ min: 5, max: 60 }), {
      minLength: HOSTS * DIMENSIONS,
      maxLength: HOSTS * DIMENSIONS,
    }),
    groupOf: fc.array(fc.integer({ min: 0, max: GROUPS - 1 }), { minLength: ITEMS, maxLength: ITEMS }),
    moveCost: fc.array(fc.integer({ min: 0, max: 20 }), { minLength: ITEMS, maxLength: ITEMS }),
    path: fc.array(fc.integer({ min: 0, max: 9 }), { minLength: HOSTS * HOSTS, maxLength: HOSTS * HOSTS }),
    held: fc.array(fc.integer({ min: 0, max: 1 }), { minLength: DIMENSIONS, maxLength: DIMENSIONS }),
    fixed: fc.array(fc.boolean(), { minLength: ITEMS, maxLength: ITEMS }),
    maxMoves: fc.integer({ min: 0, max: ITEMS }),
    openWeight: fc.constantFrom(0, 1_000),
    needs: fc.boolean(),
  })
  .map((raw): Reassignment => {
    const capacity = Float64Array.from(raw.capacity);
    capacity.fill(1_000, 0, DIMENSIONS);
    return {
      ...{ dimensions: DIMENSIONS, hosts: HOSTS, items: ITEMS, groups: GROUPS, capacity, openWeight: raw.openWeight },
      comfort: capacity.map((amount) => Math.floor(amount / 2)),
      loadWeight: Float64Array.of(1, 10, 3),
      held: Uint8Array.from(raw.held),
      request: Float64Array.from(raw.request),
      first: new Int32Array(ITEMS),
      fixed: Uint8Array.from(raw.fixed, Number),
      maxMoves: raw.maxMoves,
      groupOf: Int32Array.from(raw.groupOf),
      allowed: Uint8Array.from({ length: GROUPS * HOSTS }, (_, at) => (at % 7 === 3 ? 0 : 1)),
      mostPerHost: new Int32Array(GROUPS).fill(4),
      domainOf: Int32Array.from({ length: HOSTS }, (_, host) => host % 3),
      leastDomains: new Int32Array(GROUPS).fill(1),
      zoneOf: Int32Array.from({ length: HOSTS }, (_, host) => host % 2),
      needs: [raw.needs ? [1] : [], [], [], [], []],
      balances: [{ over: 0, under: 1, target: 2, weight: 5 }],
      moveCost: Float64Array.from(raw.moveCost),
      groupMoveWeight: 7,
      pathCost: Float64Array.from(raw.path, (cost, at) => (at % (HOSTS + 1) === 0 ? 0 : cost)),
    };
  });

const steps = fc.array(
  fc.record({ item: fc.nat(ITEMS - 1), to: fc.nat(HOSTS - 1), other: fc.nat(ITEMS - 1), isSwap: fc.boolean() }),
  { maxLength: 60 },
);

const brokenRule = (problem: Reassignment, hostOf: Int32Array): string | undefined => {
  const room = Float64Array.from(problem.capacity);
  const count = new Map<string, number>();
  let moved = 0;
  for (let item = 0; item < problem.items; item += 1) {
    const [host, home] = [hostOf[item] as number, problem.first[item] as number];
    const group = problem.groupOf[item] as number;
    if (host !== home) moved += 1;
    if (host !== home && problem.fixed[item] === 1) return `item ${item} has moved`;
    if (host !== home && problem.allowed?.[group * HOSTS + host] === 0) return `item ${item} may not be on ${host}`;
    const key = `${group}@${host}`;
    count.set(key, (count.get(key) ?? 0) + 1);
    // The first host may have more from the beginning.
    if (host !== home && (count.get(key) ?? 0) > (problem.mostPerHost[group] as number)) return `too many of ${key}`;
    for (let at = 0; at < DIMENSIONS; at += 1) {
      const amount = problem.request[item * DIMENSIONS + at] as number;
      room[host * DIMENSIONS + at] = (room[host * DIMENSIONS + at] as number) - amount;
      if (host !== home && problem.held[at] === 1) {
        room[home * DIMENSIONS + at] = (room[home * DIMENSIONS + at] as number) - amount;
      }
    }
    for (const needed of problem.needs[group] ?? []) {
      const zone = problem.zoneOf[host];
      const isMet = problem.groupOf.some((one, at) => one === needed && problem.zoneOf[hostOf[at] as number] === zone);
      // What was unmet from the beginning stays so within the zone.
      if (!isMet && zone !== problem.zoneOf[home]) return `group ${group} needs ${needed} in zone ${zone}`;
    }
  }
  if (moved > problem.maxMoves) return `${moved} moves`;
  return room.every((left) => left >= 0) ? undefined : "no room";
};

describe("an arrangement", () => {
  test("a move costs what it was said to cost, and breaks no rule", () => {
    fc.assert(
      fc.property(problems, steps, (problem, tried) => {
        const arrangement = arrange(problem, problem.first);
        for (const { item, to, other, isSwap } of tried) {
          const target = isSwap ? other : to;
          if (!isSwap && arrangement.hostOf[item] === to) continue;
          const said = isSwap ? arrangement.swapCost(item, target) : arrangement.shiftCost(item, target);
          if (said === FORBIDDEN) continue;
          const before = arrangement.total();
          if (isSwap) arrangement.swap(item, target);
          else arrangement.shift(item, target);
          expect(arrangement.total() - before).toBeCloseTo(said, 6);
          expect(brokenRule(problem, arrangement.hostOf)).toBeUndefined();
          expect(arrange(problem, arrangement.hostOf).total()).toBeCloseTo(arrangement.total(), 6);
        }
      }),
    );
  });

  test("where overload has a price, a move costs what it was said to cost with it, and a repair leaves none", () => {
    fc.assert(
      fc.property(problems, steps, (problem, tried) => {
        const arrangement = arrange(problem, problem.first);
        arrangement.price(3);
        const costs = (): number => arrangement.total() + 3 * arrangement.overload();
        for (const { item, to, other, isSwap } of tried) {
          const target = isSwap ? other : to;
          if (!isSwap && arrangement.hostOf[item] === to) continue;
          const said = isSwap ? arrangement.swapCost(item, target) : arrangement.shiftCost(item, target);
          if (said === FORBIDDEN) continue;
          const [before, overload] = [costs(), arrangement.overload()];
          const overloadChange = arrangement.overloadChange();
          if (isSwap) arrangement.swap(item, target);
          else arrangement.shift(item, target);
          expect(costs() - before).toBeCloseTo(said, 6);
          expect(arrangement.overload() - overload).toBeCloseTo(overloadChange, 6);
          expect(arrange(problem, arrangement.hostOf).overload()).toBeCloseTo(arrangement.overload(), 6);
        }
        repair(problem, arrangement, new Float64Array(HOSTS));
        expect(brokenRule(problem, arrangement.hostOf)).toBeUndefined();
      }),
    );
  });

  test("a little overload counts as a hundredth of the mean host beside its amount, in the dimensions where it is", () => {
    const problem: Reassignment = {
      ...{ dimensions: 2, hosts: 2, items: 2, groups: 2, maxMoves: 2, openWeight: 0, groupMoveWeight: 0 },
      ...{ capacity: Float64Array.of(1_000, 600, 3_000, 600), comfort: new Float64Array(4).fill(9_999) },
      ...{ loadWeight: Float64Array.of(1, 10), held: new Uint8Array(2), request: Float64Array.of(900, 300, 105, 300) },
      ...{ first: Int32Array.of(0, 1), fixed: new Uint8Array(2), groupOf: Int32Array.of(0, 1), allowed: null },
      ...{ mostPerHost: Int32Array.of(1, 1), domainOf: new Int32Array(2), leastDomains: new Int32Array(2) },
      ...{ zoneOf: new Int32Array(2), needs: [[], []], balances: [], moveCost: Float64Array.of(0, 0), pathCost: null },
    };
    const arrangement = arrange(problem, problem.first);
    arrangement.price(2);
    expect(arrangement.shiftCost(1, 0)).toBe(2 * (5 + 20));
    arrangement.shift(1, 0);
    expect([arrangement.overload(), arrangement.overloadOf(0), arrangement.overloadWithout(0)]).toEqual([25, 25, 0]);
  });

  test("annealing keeps the rules and its own account, ends no worse than it began when it cools, and is the same each time", () => {
    fc.assert(
      fc.property(problems, fc.integer({ min: 1, max: 1_000 }), (problem, seed) => {
        const run = () => {
          const search = anneal(problem, seed);
          for (let at = 0; at < 20; at += 1) {
            search.run(200, at / 20);
            // Whoever stops it has an arrangement that keeps the rules, also while overload is allowed.
            expect(brokenRule(problem, search.best().hostOf)).toBeUndefined();
          }
          return search;
        };
        const search = run();
        expect(search.cost()).toBeCloseTo(search.arrangement.total(), 4);
        expect(brokenRule(problem, search.arrangement.hostOf)).toBeUndefined();
        const { cost, hostOf } = search.best();
        expect(brokenRule(problem, hostOf)).toBeUndefined();
        expect(arrange(problem, hostOf).total()).toBeCloseTo(cost, 4);
        expect(cost).toBeLessThanOrEqual(arrange(problem, problem.first).total() + 1e-4);
        expect([...run().arrangement.hostOf]).toEqual([...search.arrangement.hostOf]);
      }),
      { numRuns: 40 },
    );
  });

  test("two of a group that differ change places, where its rules let neither move alone", () => {
    const problem: Reassignment = {
      ...{ dimensions: 1, hosts: 2, items: 2, groups: 1, maxMoves: 2, openWeight: 0, groupMoveWeight: 3 },
      ...{ capacity: Float64Array.of(10, 10), comfort: Float64Array.of(2, 8), loadWeight: Float64Array.of(10) },
      ...{ held: new Uint8Array(1), request: Float64Array.of(6, 2), first: Int32Array.of(0, 1) },
      ...{ fixed: new Uint8Array(2), groupOf: new Int32Array(2), mostPerHost: Int32Array.of(1), allowed: null },
      ...{ domainOf: Int32Array.of(0, 1), leastDomains: Int32Array.of(2), zoneOf: Int32Array.of(0, 1), needs: [[]] },
      ...{ balances: [], moveCost: Float64Array.of(1, 1), pathCost: null },
    };
    const arrangement = arrange(problem, problem.first);
    expect(arrangement.shiftCost(0, 1)).toBe(FORBIDDEN);
    expect(arrangement.swapCost(0, 1)).toBe(-40 + 1 + 1 + 2 * 3);
    const search = anneal(problem, 1);
    for (let at = 0; at < 20; at += 1) search.run(200, at / 20);
    expect([...search.best().hostOf]).toEqual([1, 0]);
    // Neither goes where the group may not be, not even in exchange.
    expect(arrange({ ...problem, allowed: Uint8Array.of(1, 0) }, problem.first).swapCost(0, 1)).toBe(FORBIDDEN);
  });
});
