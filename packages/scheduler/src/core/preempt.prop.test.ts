/** Whose room is taken, against all ways to take it: on clusters that are small enough to try every one. */
import { priorityOf, PRIORITY_BANDS, type JobSpec } from "@berth/schema";
import * as fc from "fast-check";
import { expect, it } from "vitest";
import { makeExit, makeSpec, resources, unwrap, World } from "./testing/world.ts";
import type { AllocationRecord, JobRecord } from "./state.ts";
import { planEvaluations, validatePlan } from "./index.ts";

const disruption = fc.option(
  fc.oneof(fc.record({ maxUnavailable: fc.nat(2) }), fc.record({ minAvailable: fc.nat(3) })),
  { freq: 2, nil: undefined },
);

const filler = fc.record({
  kind: fc.constantFrom("batch" as const, "service" as const),
  cpu: fc.integer({ min: 1, max: 4 }),
  memory: fc.integer({ min: 1, max: 4 }),
  count: fc.integer({ min: 1, max: 3 }),
  band: fc.constantFrom(0, 1, 2),
  disruption,
});

const BANDS = PRIORITY_BANDS.toSorted(
  (a, b) => priorityOf({ priority: { band: a, level: 50 } }) - priorityOf({ priority: { band: b, level: 50 } }),
);
const bandAt = (at: number): Pick<JobSpec, "priority"> => ({ priority: { band: BANDS[at] ?? "batch", level: 50 } });

/** How many of a job may be stopped, counted from its tasks. */
const mayGo = (world: World, job: JobRecord): number => {
  const { disruption: budget, kind } = job.spec;
  if (budget === undefined) return Number.POSITIVE_INFINITY;
  const states = job.tasks.map(({ active, status }) => {
    const allocation = active === null ? undefined : world.state.allocations.get(active);
    if (status !== "open") return "over";
    if (allocation === undefined) return "none";
    return allocation.desired === "stop" ? "stopping" : allocation.state === "running" ? "running" : "starting";
  });
  const count = (...some: string[]): number => states.filter((one) => some.includes(one)).length;
  if (budget.minAvailable !== undefined) return Math.max(0, count("running") - budget.minAvailable);
  const away = kind === "batch" ? count("stopping") : count("none", "starting", "stopping");
  return Math.max(0, (budget.maxUnavailable ?? 0) - away);
};

interface Way {
  readonly hostId: string;
  readonly victims: readonly AllocationRecord[];
}

const subsets = <T>(all: readonly T[]): T[][] =>
  all.reduce<T[][]>((some, one) => [...some, ...some.map((set) => [...set, one])], [[]]);

/** Every set of victims that is allowed and enough. */
const waysOf = (world: World, arrival: JobSpec): Way[] =>
  [...world.state.hosts.values()].flatMap((host) => {
    const lesser = host.allocations.filter(
      ({ desired, spec }) => desired === "run" && priorityOf(spec) < priorityOf(arrival),
    );
    return subsets(lesser)
      .filter((victims) => {
        const left = (amount: "cpuMillis" | "memoryBytes"): number =>
          host.allocatable[amount] -
          host.allocations
            .filter((one) => one.desired === "run" && !victims.includes(one))
            .reduce((sum, { spec }) => sum + spec.requests[amount], 0);
        if (left("cpuMillis") < arrival.requests.cpuMillis || left("memoryBytes") < arrival.requests.memoryBytes)
          return false;
        return [...world.state.jobs.values()].every(
          (job) => victims.filter(({ key }) => key === job.key).length <= mayGo(world, job),
        );
      })
      .map((victims) => ({ hostId: host.id, victims }));
  });

/** The most important of the victims, and how many there are: the smaller the better, in this order. */
const harmOf = ({ victims }: Way): [number, number] => [
  victims.reduce((most, { spec }) => Math.max(most, priorityOf(spec)), Number.NEGATIVE_INFINITY),
  victims.length,
];
const byHarm = (left: Way, right: Way): number => {
  const [a, b] = [harmOf(left), harmOf(right)];
  return a[0] === b[0] ? a[1] - b[1] : a[0] - b[0];
};

it("of all ways to make room within the budgets takes one of least harm, and none only where there is none", () => {
  let taken = 0;
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.integer({ min: 2, max: 9 }), fc.integer({ min: 2, max: 9 })), {
        minLength: 1,
        maxLength: 3,
      }),
      fc.array(filler, { minLength: 1, maxLength: 7 }),
      fc.array(fc.tuple(fc.constantFrom("run", "fail"), fc.nat(14)), { maxLength: 12 }),
      fc.record({
        cpu: fc.integer({ min: 1, max: 6 }),
        memory: fc.integer({ min: 1, max: 6 }),
        band: fc.constantFrom(1, 2, 3),
      }),
      (hosts, fillers, events, late) => {
        const world = new World();
        hosts.forEach(([cpu, memory], at) => world.host(`h${at}`, resources(cpu * 1000, memory * 1024, 1000)));
        for (const [at, { band, count, cpu, disruption: budget, kind, memory }] of fillers.entries()) {
          const requests = resources(cpu * 1000, memory * 1024, 1);
          const more = { kind, count, requests, ...bandAt(band), ...(budget !== undefined && { disruption: budget }) };
          world.submit(makeSpec(`f${at}`, { ...more, restart: { on: kind === "service" ? "always" : "never" } }));
          // One after the other, so that none takes the room of another.
          const mine = world.plan();
          world.nowMs += 1_000;
          fc.pre(!mine.some((line) => line.startsWith("keep")));
        }
        for (const [what, at] of events) {
          const allocation = [...world.state.allocations.values()].filter(
            ({ desired, state }) => desired === "run" && state !== "exited",
          )[at];
          if (allocation === undefined) continue;
          if (what === "run" && allocation.state === "placed") world.report(allocation.id, "running");
          else if (what === "fail") world.report(allocation.id, "exited", makeExit(1));
        }
        // What waits would want its room first.
        const spec = makeSpec("late", {
          requests: resources(late.cpu * 1000, late.memory * 1024, 1),
          ...bandAt(late.band),
        });
        const rivals = [...world.state.jobs.values()].filter(
          ({ counts, spec: its }) => counts.pending > 0 && priorityOf(its) >= priorityOf(spec),
        );
        fc.pre(rivals.length === 0);
        world.submit(spec);
        const ways = waysOf(world, spec).sort(byHarm);
        const { records } = planEvaluations(
          world.state,
          { nowMs: world.nowMs, makeAllocationId: world.makeAllocationId },
          { maxPlacements: 100 },
        );
        unwrap(validatePlan(world.state, records));
        const own = records.find(
          (record) =>
            (record.kind === "room_reserved" && record.job === "late") ||
            (record.kind === "allocation_placed" && record.placement.job === "late"),
        );
        const [best] = ways;
        if (best === undefined || own?.kind === "allocation_placed") {
          expect(own === undefined).toBe(best === undefined);
          expect(best?.victims ?? []).toHaveLength(0);
          return;
        }
        if (own?.kind !== "room_reserved")
          throw new Error(
            `nothing is done, but ${JSON.stringify(best.victims.map(({ key }) => key))} on ${best.hostId} would do`,
          );
        const victims = own.victims.map((id) => world.state.allocations.get(id) as AllocationRecord);
        taken += 1;
        expect(harmOf({ hostId: own.hostId, victims }), JSON.stringify(best.victims.map((one) => one.key))).toEqual(
          harmOf(best),
        );
      },
    ),
    { numRuns: 150 },
  );
  expect(taken).toBeGreaterThan(15);
}, 120_000);
