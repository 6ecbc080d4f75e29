/** Emptying a host: within disruption budgets, in transactions of bounded size, and at the deadline whatever stands against it. */
import type { AllocationId } from "@berth/schema";
import { describe, expect, it } from "vitest";
import { decideDrain, decideDraining, decideStop } from "./index.ts";
import { IdMap } from "./id-map.ts";
import { inside, type MutableAllocation } from "./state.ts";
import { host, makeExit, makeSpec, resources, unwrap, World } from "./testing/world.ts";

const stopsOf = (world: World): string[] =>
  decideDrain(world.state, world.nowMs).records.flatMap((record) =>
    record.kind === "allocation_stop" ? [record.id] : [],
  );

const drained = (count: number, spec: Parameters<typeof makeSpec>[1], deadlineMs = 60_000): World => {
  const world = new World();
  world.host("h1", resources(1_000_000, 1_000_000, 100_000));
  world.submit(makeSpec("web", { requests: resources(100, 64, 1), kind: "service", count, ...spec }));
  world.plan();
  for (let index = 0; index < count; index += 1) world.report(world.active("web", index), "running");
  world.append(unwrap(decideDraining(world.state, host("h1"), "ann", world.nowMs + deadlineMs)));
  world.host("h2", resources(1_000_000, 1_000_000, 100_000));
  return world;
};

describe("a drain", () => {
  it("moves one task of a job at a time, and none that its budget keeps", () => {
    const world = drained(3, {});
    expect(stopsOf(world)).toHaveLength(1);
    expect(stopsOf(drained(3, { disruption: { minAvailable: 2 } }))).toHaveLength(1);
    expect(stopsOf(drained(3, { disruption: { minAvailable: 3 } }))).toHaveLength(0);
    expect(stopsOf(drained(3, { disruption: { maxUnavailable: 0 } }))).toHaveLength(0);
    // The next when the first is back.
    world.append(decideDrain(world.state, world.nowMs).records);
    expect(stopsOf(world)).toHaveLength(0);
    const moving =
      [0, 1, 2].find((index) => world.state.allocations.get(world.active("web", index))?.desired === "stop") ?? 0;
    world.exit("web", moving, 143, { cause: "stopped" });
    expect(stopsOf(world)).toHaveLength(0);
    world.nowMs += 30_000;
    world.plan();
    world.report(world.active("web", moving), "running");
    expect(world.state.allocations.get(world.active("web", moving))?.hostId).toBe("h2");
    expect(stopsOf(world)).toHaveLength(1);
  });

  it("stops all at the deadline, in transactions of at most 256 records", () => {
    const world = drained(300, { disruption: { minAvailable: 300 } });
    expect(decideDrain(world.state, world.nowMs)).toEqual({ records: [], wakeAtMs: world.nowMs + 60_000 });
    world.nowMs += 60_000;
    const first = decideDrain(world.state, world.nowMs).records;
    expect(first).toHaveLength(256);
    world.append(first);
    const second = decideDrain(world.state, world.nowMs).records;
    expect(second).toHaveLength(44);
    world.append(second);
    expect(decideDrain(world.state, world.nowMs).records).toEqual([]);
  });
});

/** Counts how often it is asked. */
class CountingMap<K extends string, V extends { readonly id: K }> extends IdMap<K, V> {
  asked = 0;
  override get(key: K): V | undefined {
    this.asked += 1;
    return super.get(key);
  }
}

it("stopping many tasks costs what is stopped, and not that for every plan", () => {
  const asked = (count: number): number => {
    const world = new World();
    world.host("h1", resources(1_000_000, 1_000_000, 100_000));
    world.submit(makeSpec("many", { requests: resources(10, 16, 1), count }));
    world.plan(count);
    const state = inside(world.state);
    const counting = new CountingMap<AllocationId, MutableAllocation>();
    for (const allocation of state.allocations.values()) counting.add(allocation);
    state.allocations = counting;
    const { project, name } = world.job("many");
    world.append(unwrap(decideStop(world.state, project, name, "ann")));
    let stopped = 0;
    for (let lines = world.plan(50); lines.length > 0; lines = world.plan(50)) stopped += lines.length;
    expect(stopped).toBe(count);
    const last = world.active("many", count - 1);
    world.report(last, "exited", makeExit(143, { cause: "stopped" }));
    return counting.asked;
  };
  const [few, many] = [asked(300), asked(2_400)];
  expect(many).toBeLessThan(few * 8 * 1.5);
});
