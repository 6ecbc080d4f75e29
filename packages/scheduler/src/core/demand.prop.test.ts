import * as fc from "fast-check";
import { expect, it } from "vitest";
import { createDemand, demandKeyOf, type Demand } from "./demand.ts";
import { padded } from "./vector.ts";

const request = (size: number): Float64Array => Float64Array.of(size, size, 1);
let now = 0;
const note = (demand: Demand, size: number): void => {
  now += 1;
  demand.note(String(size), { request: request(size) }, 10, now);
};

it("learns the mix without a prior, and forgets what is no longer asked for", () => {
  const demand = createDemand();
  expect(demand.mix).toEqual({ version: 0, requests: [], returns: 1 });
  for (let at = 0; at < 4_096; at += 1) note(demand, 1 + (at % 2));
  expect(demand.mix.requests.map(({ weight }) => weight)).toEqual([0.5, 0.5]);
  const { version } = demand.mix;
  for (let at = 0; at < 40_000; at += 1) note(demand, 7);
  expect(demand.mix.version).toBeGreaterThan(version);
  expect(demand.mix.requests[0]?.request).toEqual(request(7));
  expect(demand.mix.requests[0]?.weight).toBeGreaterThan(0.8);
});

it("stays small, adds up to 1, and is the same for the same history", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(2_000), { minLength: 1, maxLength: 3_000 }), (sizes) => {
      const [left, right] = [createDemand(), createDemand()];
      for (const size of sizes) {
        note(left, size);
        note(right, size);
      }
      expect(left.mix).toEqual(right.mix);
      expect(left.mix.requests.length).toBeLessThanOrEqual(8);
      expect(left.mix.requests.reduce((sum, { weight }) => sum + weight, 0)).toBeCloseTo(1, 9);
    }),
    { numRuns: 20 },
  );
});

it("takes requests for devices of about as much for one, but parts of a device for no whole one", () => {
  const key = (cpu: number, milli?: number): string =>
    demandKeyOf(
      padded([cpu, 2 ** 30, 1]),
      milli === undefined ? undefined : [{ kind: "gpu", count: 1, each: { milli } }],
    );
  expect(key(12_100, 300)).toBe(key(12_000, 300));
  expect(key(16_000, 300)).not.toBe(key(12_000, 300));
  expect(key(12_100)).not.toBe(key(12_000));
  expect(key(12_000, 310)).toBe(key(12_000, 300));
  expect(key(12_000, 990)).not.toBe(key(12_000, 1000));
  expect(key(12_000, 300)).not.toBe(key(12_000));
});

it("counts other scarcities only when one has changed noticeably, and keeps them", () => {
  const demand = createDemand();
  for (let at = 0; at < 64; at += 1) note(demand, 1 + (at % 2));
  const { version } = demand.mix;
  demand.weigh([1.1, 0.9]);
  expect(demand.mix.version).toBe(version);
  demand.weigh([1.1, 4]);
  expect(demand.mix.version).toBe(version + 1);
  demand.weigh([1.2, 4.5]);
  expect(demand.mix.requests.map(({ scarcity }) => scarcity)).toEqual([1.1, 4]);
  const again = createDemand(demand.facts()).mix.requests;
  expect(again.map(({ weight, scarcity }) => [weight, scarcity])).toEqual(
    demand.mix.requests.map(({ weight, scarcity }) => [weight, scarcity]),
  );
});
