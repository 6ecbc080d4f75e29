/** Jobs and hosts that name more amounts than a cluster counts at a time: whatever comes when, and from wherever it is folded. */
import { isTerminal } from "@berth/schema";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { createState, decideHello, fold, imageOf, planEvaluations, restoreImage, type ImageLine } from "./index.ts";
import { host, makeExit, makeHello, makeSpec, resources, unwrap, World } from "./testing/world.ts";

const NAMES = Array.from({ length: 14 }, (_, at) => `n${String(at).padStart(2, "0")}`);

const amounts = fc.dictionary(fc.constantFrom(...NAMES), fc.integer({ min: 1, max: 3 }), { minKeys: 6 });
const few = fc.dictionary(fc.constantFrom(...NAMES), fc.integer({ min: 1, max: 2 }), { minKeys: 2, maxKeys: 5 });
const step = fc.oneof(
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("hello" as const), at: fc.nat(2), more: amounts }) },
  {
    weight: 6,
    arbitrary: fc.record({
      ...{ kind: fc.constant("submit" as const), at: fc.nat(7), more: few },
      of: fc.constantFrom("batch" as const, "service" as const),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("stop" as const), at: fc.nat(7) }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("end" as const), at: fc.nat(20) }) },
  { weight: 2, arbitrary: fc.constant({ kind: "restart" as const }) },
);

type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

const having = (more: Readonly<Record<string, number>>) => ({ ...resources(64_000, 65_536, 1_000), more: { ...more } });

const take = (world: World, one: Step): void => {
  const { state } = world;
  if (one.kind === "hello") {
    const hello = makeHello(having(one.more), `session-${String(world.log.length).padStart(10, "0")}`);
    world.append(unwrap(decideHello(state, host(`h${one.at}`), hello)));
  }
  if (one.kind === "submit") {
    const requests = { ...resources(100, 64, 1), more: { ...one.more } };
    world.trySubmit(makeSpec(`j${one.at}`, { kind: one.of, requests, count: 2 }));
  }
  if (one.kind === "stop") {
    const job = state.jobs.get(`media/j${one.at}` as never);
    if (job?.desired === "run" && job.finishedAtMs === null)
      world.append([{ kind: "job_stopped", project: job.project, job: job.name, by: "ann" }]);
  }
  if (one.kind === "end") {
    const all = [...state.allocations.values()].filter((allocation) => !isTerminal(allocation.state));
    const ended = all[one.at % Math.max(1, all.length)];
    const cause = ended?.desired === "stop" ? "stopped" : "exited";
    if (ended !== undefined) world.report(ended.id, "exited", makeExit(0, { cause }));
  }
};

/** No host has more of a name booked than it says that it has, but for what it had more of when that was placed. */
const check = (world: World, was: Map<string, Readonly<Record<string, number>>>): void => {
  for (const { allocatable, allocations, id } of world.state.hosts.values()) {
    const sums: Record<string, number> = {};
    for (const { spec } of allocations)
      for (const [name, amount] of Object.entries(spec.requests.more ?? {})) sums[name] = (sums[name] ?? 0) + amount;
    const before = was.get(id) ?? {};
    for (const [name, sum] of Object.entries(sums))
      expect(sum).toBeLessThanOrEqual(Math.max(allocatable.more?.[name] ?? 0, before[name] ?? 0));
    was.set(id, sums);
  }
};

const planOf = (world: World, state: World["state"]) => {
  const env = { nowMs: world.nowMs, makeAllocationId: () => "id" as never };
  return planEvaluations(state, env, { maxPlacements: 100 }).records;
};

test("what counts follows from the log and from an image alike, is never booked twice, and nothing waits for an idle place", () => {
  fc.assert(
    fc.property(fc.array(step, { minLength: 30, maxLength: 80 }), (steps) => {
      const world = new World();
      for (const name of ["h0", "h1", "h2"]) world.host(name, having(Object.fromEntries(NAMES.map((one) => [one, 3]))));
      const was = new Map<string, Readonly<Record<string, number>>>();
      let [image, length] = [JSON.stringify([...imageOf(world.state)]), world.log.length];
      for (const one of steps) {
        world.nowMs += 20_000;
        if (one.kind === "restart") [image, length] = [JSON.stringify([...imageOf(world.state)]), world.log.length];
        else take(world, one);
        world.plan();
        check(world, was);
      }
      const [refolded, restored] = [createState(), createState()];
      restoreImage(restored, JSON.parse(image) as ImageLine[]);
      for (const { sequence, transaction } of world.log) fold(refolded, sequence, transaction);
      for (const { sequence, transaction } of world.log.slice(length)) fold(restored, sequence, transaction);
      const now = JSON.stringify([...imageOf(world.state)]);
      for (const state of [refolded, restored]) {
        expect(JSON.stringify([...imageOf(state)])).toBe(now);
        expect(planOf(world, state)).toEqual(planOf(world, world.state));
      }
      // Whoever asks for what some host has waits for a place only while all of them are somebody's.
      const jobs = [...world.state.jobs.values()].filter(({ finishedAtMs }) => finishedAtMs === null);
      const hosts = [...world.state.hosts.values()];
      const holds = [...hosts.flatMap(({ allocations }) => allocations), ...jobs].flatMap(({ spec }) =>
        Object.keys(spec.requests.more ?? {}),
      );
      const idle = world.state.dimensions.filter((name) => name.startsWith("n") && !holds.includes(name));
      const waiting = jobs
        .flatMap(({ spec }) => Object.keys(spec.requests.more ?? {}))
        .filter((name) => hosts.some(({ allocatable }) => (allocatable.more?.[name] ?? 0) > 0))
        .filter((name) => !world.state.dimensions.includes(name));
      expect(idle.length === 0 || waiting.length === 0).toBe(true);
    }),
    { numRuns: 40 },
  );
});
