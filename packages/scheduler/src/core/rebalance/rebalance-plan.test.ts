import { describe, expect, test } from "vitest";
import type { RebalancePlan } from "@berth/schema";
import { makeSpec, resources, World } from "../testing/world.ts";
import type { Wish } from "./cluster-problem.ts";
import { searchRebalance } from "./rebalance-plan.ts";

const planOf = (world: World, wish: Partial<Wish> = {}): RebalancePlan => {
  const search = searchRebalance(world.state, { goal: "empty", maxMoves: 20, targetPercent: 80, ...wish });
  for (let at = 0; at < 50; at += 1) search.run(2_000, at / 50);
  return search.plan();
};

const start = (world: World, name: string, count = 1): void => {
  for (let index = 0; index < count; index += 1) {
    world.report(world.active(name, index), "running");
  }
};

/** Four hosts that a large job filled up; it is gone, and one small service is left on each. */
const scattered = (kind: "service" | "batch" = "service", changes: Parameters<typeof makeSpec>[1] = {}): World => {
  const world = new World();
  for (const name of ["a", "b", "c", "d"]) world.host(name, resources(4_000, 8_192, 1_000));
  for (const name of ["w", "x", "y", "z"]) {
    world.submit(makeSpec(`fill-${name}`, { requests: resources(3_000, 6_144, 10) }));
    world.submit(makeSpec(`web-${name}`, { kind, requests: resources(1_000, 1_024, 10), ...changes }));
  }
  world.plan();
  for (const name of ["w", "x", "y", "z"]) {
    start(world, `web-${name}`);
    world.exit(`fill-${name}`, 0, 0);
  }
  return world;
};

describe("a plan of rebalancing", () => {
  test("four services alone on a host each gather on one, and the plan says what is won", () => {
    const world = scattered();
    const plan = planOf(world);
    expect(plan.hostsInUse).toEqual({ before: 4, after: 1 });
    expect(plan.moves).toHaveLength(3);
    expect(plan.emptied).toHaveLength(3);
    expect(new Set(plan.moves.map(({ to }) => to)).size).toBe(1);
    expect(plan.emptied).not.toContain(plan.moves[0]?.to);
    expect(plan.fullest.after).toBeGreaterThan(plan.fullest.before);
  });

  test("is the same for the same state, and changes nothing", () => {
    const world = scattered();
    const revision = world.state.revision;
    expect(planOf(world)).toEqual(planOf(world));
    expect(world.state.revision).toBe(revision);
    expect(world.plan()).toEqual([]);
  });

  test("never has more moves than it may", () => {
    const plan = planOf(scattered(), { maxMoves: 1 });
    expect(plan.moves).toHaveLength(1);
    expect(plan.hostsInUse).toEqual({ before: 4, after: 3 });
  });

  test("leaves batch tasks where they are, and says so", () => {
    const plan = planOf(scattered("batch"));
    expect(plan.moves).toEqual([]);
    expect(plan.stay).toEqual([{ reason: "batch", tasks: 4 }]);
  });

  test("keeps what a job requires of a host", () => {
    const world = new World();
    for (const name of ["a", "b"]) {
      world.host(name, resources(4_000, 8_192, 1_000));
      const placement = { require: [`host.id == "${name}"`] };
      world.submit(makeSpec(`web-${name}`, { kind: "service", placement }));
    }
    world.plan();
    for (const name of ["a", "b"]) start(world, `web-${name}`);
    expect(planOf(world)).toMatchObject({ moves: [], hostsInUse: { before: 2, after: 2 } });
  });

  test("keeps the tasks of a job on distinct hosts when the job says so", () => {
    const world = new World();
    for (const name of ["a", "b", "c"]) world.host(name, resources(4_000, 8_192, 1_000));
    world.submit(makeSpec("web", { kind: "service", count: 3, placement: { maxPerHost: 1 } }));
    world.plan();
    start(world, "web", 3);
    expect(planOf(world).moves).toEqual([]);
  });

  test("does not touch a job of which a task is missing", () => {
    const world = scattered();
    world.exit("web-w", 0, 1);
    const plan = planOf(world);
    expect(plan.moves.map(({ job }) => job)).not.toContain("web-w");
  });

  test("never sends anything to a host that is closed", () => {
    const world = scattered();
    world.append([{ kind: "host_cordoned", hostId: "a" as never, by: "ann" }]);
    const plan = planOf(world);
    expect(plan.moves.flatMap(({ from, to }) => [from, to])).not.toContain("a");
    expect(plan.stay).toContainEqual({ reason: "unschedulable_host", tasks: 1 });
    expect(plan.hostsInUse).toEqual({ before: 3, after: 1 });
  });

  test("level: takes from a host that is fuller than the target", () => {
    const world = new World();
    world.host("a", resources(4_000, 8_192, 1_000));
    for (const name of ["w", "x", "y", "z"]) {
      world.submit(makeSpec(`web-${name}`, { kind: "service", requests: resources(1_000, 1_024, 10) }));
    }
    world.plan();
    for (const name of ["w", "x", "y", "z"]) start(world, `web-${name}`);
    world.host("b", resources(4_000, 8_192, 1_000));
    const plan = planOf(world, { goal: "level", targetPercent: 50 });
    expect(plan.fullest).toEqual({ before: 1, after: 0.5 });
    expect(plan.moves).toHaveLength(2);
  });

  test("a cluster without hosts has an empty plan", () => {
    expect(planOf(new World())).toMatchObject({ moves: [], hostsInUse: { before: 0, after: 0 } });
  });
});
