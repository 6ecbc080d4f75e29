import * as fc from "fast-check";
import { expect, it } from "vitest";
import { createDemand, type Demand } from "./demand.ts";

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
