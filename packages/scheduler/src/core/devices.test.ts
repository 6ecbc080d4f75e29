/** GPUs, shares of them, and pinned processors: who is given which, and what is refused. */
import { deviceTotals, type Device, type DeviceAsk, type JobName, type JobSpec, type ProjectName } from "@berth/schema";
import { describe, expect, it } from "vitest";
import {
  createState,
  decideEnrol,
  decideHello,
  imageOf,
  planEvaluations,
  restoreImage,
  validatePlan,
  why,
} from "./index.ts";
import { inside } from "./state.ts";
import { host, makeHello, makeSpec, resources, unwrap, World } from "./testing/world.ts";

const gpus = (count: number, model = "A100"): Device[] =>
  Array.from({ length: count }, (_, at) => ({ kind: "gpu", id: `GPU-${at}`, model, has: { milli: 1000 } }));

const cells = (...lists: readonly string[]): Device[] =>
  lists.map((cpus, at) => ({ kind: "numa", id: String(at), has: { cpus: 4, memoryBytes: 2 ** 33 }, cpus }));

const join = (world: World, name: string, devices: readonly Device[], session = "session-0000000001"): void => {
  const more = deviceTotals(devices.map(({ kind, has }) => ({ kind, count: 1, each: has })));
  const hello = makeHello({ ...resources(64_000, 65_536, 10_000), more }, session);
  if (!world.state.hosts.has(host(name))) {
    world.append(unwrap(decideEnrol(world.state, { id: host(name), publicKey: `U${"A".repeat(55)}`, by: "admin" })));
  }
  const capacity = { ...hello.capacity, devices: [...devices] };
  world.append(unwrap(decideHello(world.state, host(name), { ...hello, capacity })));
};

const asking = (
  name: string,
  asks: readonly DeviceAsk[],
  changes: Partial<Omit<JobSpec, "name" | "restart" | "project">> = {},
) =>
  makeSpec(name, {
    requests: { ...resources(1000, 1024, 10), more: deviceTotals(asks) },
    devices: [...asks],
    ...changes,
  });

const share = (milli: number): DeviceAsk => ({ kind: "gpu", count: 1, each: { milli } });
const whole = (count: number, models?: string[]): DeviceAsk => ({
  ...{ kind: "gpu", count, each: { milli: 1000 } },
  ...(models !== undefined && { models }),
});
const pinned = (cpus: number): DeviceAsk => ({ kind: "numa", count: 1, each: { cpus, memoryBytes: 2 ** 30 } });

const devicesOf = (world: World, job: string, index = 0) =>
  world.state.allocations.get(world.active(job, index))?.devices?.map(({ id, cpus }) => cpus ?? id);
const sentence = (world: World, job: string): string =>
  unwrap(why(world.state, "media" as ProjectName, job as JobName, 0, world.nowMs)).sentence;

describe("shares of devices", () => {
  it("fill a device that is begun, and leave whole ones whole", () => {
    const world = new World();
    join(world, "h1", gpus(2));
    world.submit(asking("half", [share(500)], { count: 2 }));
    world.plan();
    expect([devicesOf(world, "half", 0), devicesOf(world, "half", 1)]).toEqual([["GPU-0"], ["GPU-0"]]);
    world.submit(asking("all", [whole(1)]));
    world.plan();
    expect(devicesOf(world, "all")).toEqual(["GPU-1"]);
  });

  it("never add up across devices, though there is enough in all", () => {
    const world = new World();
    join(world, "h1", gpus(2));
    world.submit(asking("part", [share(600)], { count: 2 }));
    world.plan();
    world.submit(asking("more", [share(500)]));
    expect(world.plan()).toEqual([]);
    expect(sentence(world, "more")).toContain('"gpu with 500 milli" (its devices are taken or begun)');
    world.exit("part", 0, 0);
    expect(world.plan()).toHaveLength(1);
  });

  it("go where the model is right", () => {
    const world = new World();
    join(world, "h1", gpus(1, "T4"));
    join(world, "h2", gpus(1, "H100"));
    world.submit(asking("big", [whole(1, ["A100", "H100"])]));
    world.plan();
    expect(world.state.allocations.get(world.active("big"))?.hostId).toBe("h2");
    world.submit(asking("none", [whole(1, ["B200"])]));
    expect(world.plan()).toEqual([]);
    expect(sentence(world, "none")).toContain("it has no such devices");
  });

  it("keep whole hosts for those who need them: small work goes to the smaller host", () => {
    const world = new World();
    join(world, "h1", gpus(4));
    join(world, "h2", gpus(1));
    world.submit(asking("eight", [whole(4)]));
    world.plan();
    world.exit("eight", 0, 0);
    world.submit(asking("small", [share(300)]));
    world.plan();
    expect(world.state.allocations.get(world.active("small"))?.hostId).toBe("h2");
  });
});

describe("pinning", () => {
  it("gives processors of one cell, to each its own, and gives them again when they are free", () => {
    const world = new World();
    join(world, "h1", cells("0-3", "4-7"));
    world.submit(asking("a", [pinned(2)], { count: 3 }));
    world.plan();
    expect([0, 1, 2].map((index) => devicesOf(world, "a", index))).toEqual([["0-1"], ["2-3"], ["4-5"]]);
    world.submit(asking("b", [pinned(3)]));
    expect(world.plan()).toEqual([]);
    world.exit("a", 0, 0);
    expect(world.plan()).toEqual([]);
    world.exit("a", 1, 0);
    world.plan();
    expect(devicesOf(world, "b")).toEqual(["0-2"]);
  });

  it("goes on to count by the cell's name on a host that says its processors no longer", () => {
    const world = new World();
    join(world, "h1", cells("0-3", "4-7"));
    world.submit(asking("a", [pinned(2)]));
    world.plan();
    expect(devicesOf(world, "a")).toEqual(["0-1"]);
    const silent = cells("0-3", "4-7").map(({ cpus: _, ...cell }) => cell);
    join(world, "h1", silent, "session-0000000002");
    world.submit(asking("b", [pinned(3)], { count: 2 }));
    expect(world.plan()).toHaveLength(1);
    expect(devicesOf(world, "b")).toEqual(["1"]);
  });
});

describe("devices and everything else", () => {
  it("preempts whoever holds the device, and nobody who does not", () => {
    const world = new World();
    join(world, "h1", gpus(2));
    const batch = { priority: { band: "batch", level: 50 } } as const;
    world.submit(asking("idle", [], { ...batch }));
    world.submit(asking("victim", [share(700)], { ...batch, count: 2 }));
    world.plan();
    world.submit(asking("urgent", [whole(1)]));
    expect(world.plan()).toEqual([
      expect.stringMatching(/^keep h1 for media\/urgent\[0\]: stop media\/victim\[[01]\]$/),
    ]);
    // Meanwhile nobody else gets what is kept.
    world.submit(asking("late", [share(300)], { ...batch }));
    world.plan();
    const stopped = [0, 1].filter(
      (index) => world.state.allocations.get(world.active("victim", index))?.desired === "stop",
    );
    world.exit("victim", stopped[0] as number, 0);
    world.plan();
    expect(devicesOf(world, "urgent")).toHaveLength(1);
    expect(devicesOf(world, "late")).not.toEqual(devicesOf(world, "urgent"));
  });

  it("is refused when two are given the same: by a check that counts for itself", () => {
    const world = new World();
    join(world, "h1", [...gpus(1), ...cells("0-3")]);
    world.submit(asking("one", [share(600), pinned(2)]));
    world.submit(asking("two", [share(400), pinned(2)]));
    const env = { nowMs: world.nowMs, makeAllocationId: world.makeAllocationId };
    const { records } = planEvaluations(world.state, env, { maxPlacements: 10 });
    expect(validatePlan(world.state, records).ok).toBe(true);
    const [first, second] = structuredClone(records);
    if (first?.kind !== "allocation_placed" || second?.kind !== "allocation_placed") throw new Error("two placements");
    second.placement.devices = structuredClone(first.placement.devices) ?? [];
    const refused = validatePlan(world.state, [first, second]);
    expect(refused.ok ? [] : refused.error).toEqual([
      "h1: media/two[0] is not given gpu with 400 milli",
      "h1: media/two[0] is given more milli of gpu GPU-0 than is left",
      "h1: media/two[0] is given processors 0-1 of numa 0, which are not free",
    ]);
  });

  it("survives a snapshot, and a host that says its devices in another order or lacks one", () => {
    const world = new World();
    join(world, "h1", gpus(3));
    world.submit(asking("a", [whole(1)], { count: 2 }));
    world.plan();
    const copy = createState();
    restoreImage(copy, structuredClone([...imageOf(world.state)]));
    const freeOf = (state: typeof copy) => [...inside(state).index.room(0).free];
    expect(freeOf(copy)).toEqual(freeOf(world.state));
    // GPU-0 is gone: GPU-1, still in use, is the first now. Whoever had GPU-0 counts until it ends.
    join(world, "h1", gpus(3).slice(1).toReversed(), "session-0000000002");
    world.submit(asking("b", [whole(1)], { count: 2 }));
    expect(world.plan()).toEqual([]);
    world.exit("a", 0, 0);
    world.plan();
    expect(devicesOf(world, "b", 0)).toEqual(["GPU-2"]);
    expect(world.job("b").counts.pending).toBe(1);
  });
});
