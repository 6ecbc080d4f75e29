/** Method: small problems, and every arrangement that there is; whoever is anywhere in one that keeps the rules can be there. */
import fc from "fast-check";
import { expect, test } from "vitest";
import type { Reassignment } from "./reassignment.ts";
import { reachOf } from "./reach.ts";

const HOSTS = 3;
const ITEMS = 5;
const DIMENSIONS = 2;

type Given = Pick<Reassignment, "capacity" | "request" | "first"> & Partial<Reassignment>;

const problemOf = (given: Given): Reassignment => {
  const items = given.first.length;
  const hosts = given.capacity.length / DIMENSIONS;
  return {
    ...{ dimensions: DIMENSIONS, hosts, items, groups: items, maxMoves: items, openWeight: 0, groupMoveWeight: 0 },
    ...{ comfort: Float64Array.from(given.capacity), loadWeight: Float64Array.of(1, 1), held: Uint8Array.of(1, 0) },
    ...{ fixed: new Uint8Array(items), groupOf: Int32Array.from({ length: items }, (_, item) => item), allowed: null },
    ...{
      mostPerHost: new Int32Array(items).fill(items),
      domainOf: new Int32Array(hosts),
      zoneOf: new Int32Array(hosts),
    },
    ...{ leastDomains: new Int32Array(items), needs: Array.from({ length: items }, () => []), balances: [] },
    ...{ moveCost: new Float64Array(items), pathCost: null, ...given },
  };
};

const numbers = (length: number, max: number) => fc.array(fc.nat(max), { minLength: length, maxLength: length });
const problems = fc
  .record({
    first: numbers(ITEMS, HOSTS - 1),
    request: numbers(ITEMS * DIMENSIONS, 9),
    spare: numbers(HOSTS * DIMENSIONS, 12),
    held: numbers(DIMENSIONS, 1),
    fixed: fc.array(fc.nat(5), { minLength: ITEMS, maxLength: ITEMS }),
    groupOf: numbers(ITEMS, ITEMS - 1),
    allowed: fc.option(fc.array(fc.nat(4), { minLength: ITEMS * HOSTS, maxLength: ITEMS * HOSTS })),
  })
  .map(({ first, request, spare, held, fixed, groupOf, allowed }) => {
    const capacity = Float64Array.from(spare);
    first.forEach((host, item) => {
      for (let at = 0; at < DIMENSIONS; at += 1) {
        const cell = host * DIMENSIONS + at;
        capacity[cell] = (capacity[cell] as number) + (request[item * DIMENSIONS + at] as number);
      }
    });
    return problemOf({
      ...{ capacity, request: Float64Array.from(request), first: Int32Array.from(first), held: Uint8Array.from(held) },
      fixed: Uint8Array.from(fixed, (one) => (one === 0 ? 1 : 0)),
      groupOf: Int32Array.from(groupOf),
      allowed: allowed === null ? null : Uint8Array.from(allowed, (one) => (one === 0 ? 0 : 1)),
    });
  });

const keepsRules = (problem: Reassignment, hostOf: readonly number[]): boolean => {
  const { first, fixed, allowed, groupOf, held, request, capacity } = problem;
  const left = Float64Array.from(capacity);
  return (
    hostOf.every((host, item) => {
      const home = first[item] as number;
      if (host !== home && fixed[item] === 1) return false;
      if (host !== home && allowed?.[(groupOf[item] as number) * HOSTS + host] === 0) return false;
      for (let at = 0; at < DIMENSIONS; at += 1) {
        for (const taken of new Set(held[at] === 1 ? [host, home] : [host])) {
          const cell = taken * DIMENSIONS + at;
          left[cell] = (left[cell] as number) - (request[item * DIMENSIONS + at] as number);
        }
      }
      return true;
    }) && left.every((one) => one >= 0)
  );
};

test("whoever is anywhere in an arrangement that keeps the rules can be there and is drawn to go there", () => {
  let away = 0;
  fc.assert(
    fc.property(problems, (problem) => {
      const reach = reachOf(problem);
      for (let one = 0; one < HOSTS ** ITEMS; one += 1) {
        const hostOf = Array.from({ length: ITEMS }, (_, item) => Math.floor(one / HOSTS ** item) % HOSTS);
        if (!keepsRules(problem, hostOf)) continue;
        hostOf.forEach((host, item) => {
          expect(reach.canBe(item, host)).toBe(true);
          if (host === problem.first[item]) return;
          away += 1;
          expect(reach.stays[item]).toBe(0);
        });
      }
      for (let item = 0; item < ITEMS; item += 1) {
        const there = Array.from({ length: HOSTS }, (_, host) => host).filter((host) => reach.canBe(item, host));
        const drawn = new Set(Array.from({ length: 60 }, (_, luck) => reach.draw(item, luck / 60)));
        if (reach.stays[item] === 1) continue;
        expect(there.filter((host) => host !== problem.first[item] && !drawn.has(host))).toEqual([]);
      }
    }),
  );
  expect(away).toBeGreaterThan(0);
});

/** By dimension: the first is held, the second is not. */
const on = (...rows: readonly (readonly [number, number])[]): Float64Array => Float64Array.from(rows.flat());

test("what was there at first leaves its room in held dimensions to nobody, in the others to whoever comes", () => {
  const first = Int32Array.of(0, 1);
  const held = problemOf({ capacity: on([4, 9], [4, 9]), request: on([3, 1], [3, 1]), first });
  expect([...reachOf(held).stays]).toEqual([1, 1]);
  const free = problemOf({ capacity: on([9, 4], [9, 4]), request: on([1, 3], [1, 3]), first });
  expect([...reachOf(free).stays]).toEqual([0, 0]);
  expect(reachOf(free).canBe(0, 1)).toBe(true);
});

test("who fits nowhere but at home takes room from another, who then fits nowhere either", () => {
  const problem = problemOf({
    capacity: on([0, 10], [0, 6], [0, 3]),
    request: on([0, 8], [0, 5], [0, 1]),
    first: Int32Array.of(0, 1, 2),
  });
  const reach = reachOf(problem);
  expect([...reach.stays]).toEqual([1, 1, 0]);
  expect([0, 1].map((host) => reach.canBe(2, host))).toEqual([true, true]);
  expect(reach.canBe(1, 0)).toBe(false);
});

test("who could be on a few hosts only is drawn nowhere else; who could be on most is drawn anywhere", () => {
  const rows = Array.from({ length: 1_000 }, (_, host): [number, number] => [0, host % 5 === 0 ? 5 : 1]);
  const reach = reachOf(problemOf({ capacity: on(...rows), request: on([0, 2], [0, 1]), first: Int32Array.of(0, 0) }));
  const drawn = (item: number) => new Set(Array.from({ length: 1_000 }, (_, luck) => reach.draw(item, luck / 1_000)));
  expect([...drawn(0)].sort((a, b) => a - b)).toEqual(Array.from({ length: 200 }, (_, at) => at * 5));
  expect(drawn(1).size).toBe(1_000);
  expect([...reach.roams]).toEqual([0, 1]);
});
