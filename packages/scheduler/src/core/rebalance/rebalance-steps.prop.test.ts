/** A plan of rebalancing, carried out move by move in any order: at no time is a rule broken, or a host booked beyond what it has. */
import type { AllocationId, JobSpec, ProjectName } from "@berth/schema";
import * as fc from "fast-check";
import { expect, it } from "vitest";
import { mayStop } from "../disruption.ts";
import { inside } from "../state.ts";
import { host, makeSpec, resources, World } from "../testing/world.ts";
import { searchRebalance } from "./rebalance-plan.ts";

const DISK = 1_000;
const job = fc.record({
  count: fc.integer({ min: 1, max: 3 }),
  cpu: fc.integer({ min: 1, max: 3 }),
  disk: fc.constantFrom(0, 200, 500),
  maxPerHost: fc.constantFrom(undefined, 1, 2),
  isPicky: fc.boolean(),
  disruption: fc.constantFrom(undefined, { maxUnavailable: 0 }, { maxUnavailable: 1 }, { minAvailable: 1 }),
});

const specOf = (at: number, one: typeof job extends fc.Arbitrary<infer T> ? T : never): JobSpec => {
  const { count, cpu, disk, disruption, isPicky, maxPerHost } = one;
  const placement = {
    ...(maxPerHost !== undefined && { maxPerHost }),
    ...(isPicky && { require: ['host.labels.zone == "a"'] }),
  };
  return makeSpec(`job${at}`, {
    ...{ kind: "service", count, placement },
    requests: { ...resources(cpu * 1_000, 512, 1), more: { diskBytes: disk } },
    ...(disruption !== undefined && { disruption }),
  });
};

const build = (jobs: readonly Parameters<typeof specOf>[1][], volumes: readonly number[]): World => {
  const world = new World();
  ["a", "a", "a", "b"].forEach((zone, at) =>
    world.host(`h${at}`, { ...resources(8_000, 8_192), more: { diskBytes: DISK } }, [], { zone }),
  );
  volumes.forEach((sizeBytes, at) => {
    const what = { hostId: host(`h${at}`), sizeBytes, readOnly: false, state: "ready", from: null, by: "ann" } as const;
    world.append([{ kind: "volume_created", project: "media" as ProjectName, volume: `v${at}`, ...what }]);
  });
  // What leaves afterwards has scattered the others.
  for (let at = 0; at < 4; at += 1) world.submit(makeSpec(`fill${at}`, { requests: resources(6_000, 512, 1) }));
  jobs.forEach((one, at) => world.submit(specOf(at, one)));
  world.plan();
  for (let at = 0; at < 4; at += 1) world.exit(`fill${at}`, 0, 0);
  for (const { id } of [...world.state.allocations.values()].filter(({ desired, exit }) => desired === "run" && !exit))
    world.report(id, "running");
  return world;
};

it("every state on the way keeps what hosts have, what rules say and what budgets allow", () => {
  let moved = 0;
  fc.assert(
    fc.property(
      fc.array(job, { minLength: 1, maxLength: 6 }),
      fc.array(fc.constantFrom(0, 400, 900), { maxLength: 4 }),
      fc.constantFrom("empty" as const, "level" as const),
      fc.infiniteStream(fc.nat()),
      (jobs, volumes, goal, dice) => {
        const world = build(jobs, volumes);
        const search = searchRebalance(world.state, { goal, maxMoves: 20, targetPercent: 50 });
        for (let at = 0; at < 5; at += 1) search.run(500, at / 5);
        const { moves } = search.plan();
        moved += moves.length;
        const at = new Map<AllocationId, string>();
        for (const { exit, hostId, id } of world.state.allocations.values()) if (exit === null) at.set(id, hostId);
        const left = [...moves];
        while (left.length > 0) {
          const [move] = left.splice((dice.next().value ?? 0) % left.length, 1);
          const moving = move === undefined ? undefined : inside(world.state).allocations.get(move.allocation);
          const owner = moving === undefined ? undefined : inside(world.state).jobs.get(moving.key);
          if (move === undefined || moving === undefined || owner === undefined) throw new Error("no such task");
          expect(at.get(move.allocation)).toBe(move.from);
          expect(mayStop(owner), `the budget of ${move.job}`).toBeGreaterThan(0);
          // It is booked there before it has left.
          const there = [...at].filter(([, hostId]) => hostId === move.to).map(([id]) => id);
          const specs = [...there, move.allocation].map((id) => world.state.allocations.get(id)?.spec);
          const sum = (of: (spec: JobSpec) => number) =>
            specs.reduce((total, spec) => total + (spec === undefined ? 0 : of(spec)), 0);
          expect(sum(({ requests }) => requests.cpuMillis)).toBeLessThanOrEqual(8_000);
          const disk = sum(({ requests }) => requests.more?.["diskBytes"] ?? 0) + (volumes[Number(move.to[1])] ?? 0);
          if ((moving.spec.requests.more?.["diskBytes"] ?? 0) > 0) expect(disk).toBeLessThanOrEqual(DISK);
          const { maxPerHost = 99, require = [] } = moving.spec.placement ?? {};
          expect(specs.filter((spec) => spec?.name === moving.job).length).toBeLessThanOrEqual(maxPerHost);
          if (require.length > 0) expect(move.to).not.toBe("h3");
          at.set(move.allocation, move.to);
        }
      },
    ),
    { numRuns: 150 },
  );
  expect(moved).toBeGreaterThan(20);
});
