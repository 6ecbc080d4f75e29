/** A plan of the planner is always accepted; one that was changed in any way that matters is refused, with a sentence. */
import type { LogRecord, Placement } from "@berth/schema";
import * as fc from "fast-check";
import { expect, it } from "vitest";
import { planEvaluations, validatePlan } from "./index.ts";
import { host, makeSpec, resources, silence, World } from "./testing/world.ts";

const clusters = fc.record({
  hosts: fc.array(fc.tuple(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 1, max: 6 })), {
    minLength: 2,
    maxLength: 5,
  }),
  jobs: fc.array(
    fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 4 })),
    {
      minLength: 1,
      maxLength: 5,
    },
  ),
});

type PlacementRecord = Extract<LogRecord, { kind: "allocation_placed" }>;
const isPlacement = (record: LogRecord): record is PlacementRecord => record.kind === "allocation_placed";

const build = (cluster: { hosts: [number, number][]; jobs: [number, number, number][] }) => {
  const world = new World();
  cluster.hosts.forEach(([cpu, memory], at) => world.host(`h${at}`, resources(cpu * 1000, memory * 1024, 1000)));
  // Too small for anything, and one that is lost: both known, neither usable.
  world.host("tiny", resources(1, 1, 1));
  world.host("gone", resources(64_000, 65_536, 1000));
  world.append(silence(world.state, host("gone"), 10_000));
  cluster.jobs.forEach(([cpu, memory, count], at) =>
    world.submit(makeSpec(`j${at}`, { count, requests: resources(cpu * 1000, memory * 1024, 10), maxRunning: count })),
  );
  const env = { nowMs: world.nowMs, makeAllocationId: world.makeAllocationId };
  return { world, records: planEvaluations(world.state, env, { maxPlacements: 1000 }).records };
};

const mutations: Readonly<Record<string, (placement: Placement, world: World) => Placement>> = {
  "another attempt": (placement) => ({ ...placement, attempt: placement.attempt + 1 }),
  "another version": (placement) => ({ ...placement, jobVersion: placement.jobVersion + 1 }),
  "an index beyond the count": (placement) => ({ ...placement, index: 1000 }),
  "an unknown job": (placement) => ({ ...placement, job: "nope" as never }),
  "an unknown host": (placement) => ({ ...placement, hostId: host("nowhere") }),
  "a host that is too small": (placement) => ({ ...placement, hostId: host("tiny") }),
  "a lost host": (placement) => ({ ...placement, hostId: host("gone") }),
  "something replaced that is not there": (placement, world) => ({ ...placement, replaces: world.makeAllocationId() }),
};

it.each(Object.keys(mutations))("a plan with %s is refused", (name) => {
  fc.assert(
    fc.property(clusters, fc.nat(), (cluster, which) => {
      const { world, records } = build(cluster);
      expect(validatePlan(world.state, records)).toEqual({ ok: true, value: undefined });
      const placements = records.filter(isPlacement);
      const victim = placements[which % Math.max(1, placements.length)];
      const mutate = mutations[name];
      if (victim === undefined || mutate === undefined) return;
      const changed = records.map((record) =>
        record === victim ? { ...victim, placement: mutate(victim.placement, world) } : record,
      );
      const verdict = validatePlan(world.state, changed);
      expect(verdict.ok ? [] : verdict.error).not.toEqual([]);
    }),
    { numRuns: 30 },
  );
});

it("a plan that places a task twice, books a host twice over, or does something else is refused", () => {
  const world = new World();
  world.host("h1", resources(1000, 1024, 10));
  world.submit(makeSpec("a", { count: 2 }));
  const env = { nowMs: 0, makeAllocationId: world.makeAllocationId };
  const [record] = planEvaluations(world.state, env, { maxPlacements: 9 }).records.filter(isPlacement);
  if (record === undefined) throw new Error("nothing was placed");
  const second = { ...record, placement: { ...record.placement, id: world.makeAllocationId(), index: 1 } };
  const wrong = (records: readonly LogRecord[]): readonly string[] => {
    const verdict = validatePlan(world.state, records);
    return verdict.ok ? [] : verdict.error;
  };
  expect(wrong([record, record])).toEqual([
    `media/a[0]: id ${record.placement.id} is taken`,
    "media/a[0]: placed twice",
    "h1: media/a[0] does not fit, cpuMillis is 1000 short",
  ]);
  expect(wrong([record, second])).toEqual(["h1: media/a[1] does not fit, cpuMillis is 1000 short"]);
  expect(wrong([{ kind: "host_ready", hostId: host("h1") }])).toEqual(["a plan holds no host_ready"]);
  world.append([record]);
  expect(wrong([second])).toEqual(["h1: media/a[1] does not fit, cpuMillis is 1000 short"]);
  const stop: LogRecord = { kind: "allocation_stop", id: record.placement.id, reason: "job_stopped" };
  expect(wrong([stop])).toEqual([]);
  expect(wrong([stop, stop])).toEqual([`${record.placement.id}: stopped twice`]);
});
