import fc from "fast-check";
import { expect, test } from "vitest";
import { makeSpec, resources, World } from "../testing/world.ts";
import { searchRebalance } from "./rebalance-plan.ts";
import { untangled } from "./untangle.ts";

const items = fc.array(fc.record({ group: fc.nat({ max: 2 }), from: fc.nat({ max: 4 }), to: fc.nat({ max: 4 }) }), {
  maxLength: 14,
});

test("as many of each group are on each host as were to be, and no host both loses and gets some of a group", () => {
  fc.assert(
    fc.property(items, (all) => {
      const problem = {
        first: Int32Array.from(all, ({ from }) => from),
        groupOf: Int32Array.from(all, ({ group }) => group),
      };
      const hostOf = Int32Array.from(all, ({ to }) => to);
      const result = untangled(problem, hostOf);
      const counted = (hosts: Int32Array): string[] => [...hosts].map((host, at) => `${all[at]?.group}/${host}`).sort();
      expect(counted(result)).toEqual(counted(hostOf));
      const moves = all.flatMap(({ from, group }, at) => {
        const to = result[at] as number;
        return to === from ? [] : [{ loses: `${group}/${from}`, gets: `${group}/${to}` }];
      });
      const gets = new Set(moves.map((move) => move.gets));
      expect(moves.filter(({ loses }) => gets.has(loses))).toEqual([]);
      expect(moves.length).toBeLessThanOrEqual(all.filter(({ from, to }) => from !== to).length);
    }),
  );
});

const HOSTS = ["a", "b", "c", "d", "e"];
const clusters = fc.record({
  jobs: fc.array(
    fc.record({
      count: fc.integer({ min: 1, max: 4 }),
      most: fc.integer({ min: 1, max: 2 }),
      cpu: fc.constantFrom(500, 1_000, 1_500),
    }),
    { minLength: 1, maxLength: 4 },
  ),
  fill: fc.integer({ min: 1, max: 5 }),
  goal: fc.constantFrom("empty" as const, "level" as const),
});

test("every move of a plan fits when it is made, and keeps how many of a job may stand on a host, in any order", () => {
  fc.assert(
    fc.property(
      clusters,
      fc.infiniteStream(fc.double({ min: 0, max: 1, noNaN: true })),
      ({ fill, goal, jobs }, chance) => {
        const world = new World();
        for (const name of HOSTS) world.host(name, resources(4_000, 8_192, 1_000));
        // Large work that is gone when the plan is made: it scatters the rest.
        world.submit(makeSpec("fill", { count: fill, requests: resources(2_500, 1_024, 10) }));
        world.plan();
        for (const [at, { count, cpu, most }] of jobs.entries()) {
          const placement = { maxPerHost: most };
          world.submit(makeSpec(`job${at}`, { kind: "service", count, placement, requests: resources(cpu, 512, 10) }));
          world.plan();
        }
        for (const { active, index } of world.job("fill").tasks) if (active !== null) world.exit("fill", index, 0);
        for (const allocation of world.state.allocations.values())
          if (allocation.state === "placed") world.report(allocation.id, "running");
        const search = searchRebalance(world.state, { goal, maxMoves: 20, targetPercent: 50 });
        for (let at = 0; at < 5; at += 1) search.run(1_000, at / 5);
        const { moves } = search.plan();
        const cpuOf = new Map(HOSTS.map((name) => [name, 0]));
        const onHost = new Map<string, number>();
        const stand = (host: string, job: string, by: 1 | -1): void => {
          const { cpu, most } = jobs[Number(job.slice(3))] as { cpu: number; most: number };
          const [used, there] = [(cpuOf.get(host) ?? 0) + by * cpu, (onHost.get(`${host}/${job}`) ?? 0) + by];
          expect(used, host).toBeLessThanOrEqual(4_000);
          expect(there, `${job} on ${host}`).toBeLessThanOrEqual(most);
          cpuOf.set(host, used);
          onHost.set(`${host}/${job}`, there);
        };
        for (const { hostId, job, state } of world.state.allocations.values())
          if (state === "running") stand(hostId, job, 1);
        const order = moves
          .map((move) => ({ move, key: chance.next().value as number }))
          .toSorted((one, other) => one.key - other.key);
        for (const { move } of order) {
          stand(move.to, move.job, 1);
          stand(move.from, move.job, -1);
        }
      },
    ),
    { numRuns: 60 },
  );
});
