import { describe, expect, it } from "vitest";
import { decideHello, decideReady, decideStop, planEvaluations } from "./index.ts";
import { host, makeExit, makeHello, makeSpec, resources, silence, unwrap, World } from "./testing/world.ts";

const small = resources(1000, 1024, 10);
const stop = (world: World, job: string): void => {
  const { project, name } = world.job(job);
  world.append(unwrap(decideStop(world.state, project, name, "ann")));
};
const lose = (world: World, name: string): void => void world.append(silence(world.state, host(name), 10_000));
const counts = (world: World, job: string) =>
  Object.fromEntries(Object.entries(world.job(job).counts).filter(([, count]) => count > 0));

describe("packing", () => {
  it("fills the fullest host that fits, and starts another only when it must", () => {
    const world = new World();
    world.host("h1", resources(4000, 8192));
    world.host("h2", resources(2000, 2048));
    world.submit(makeSpec("web", { kind: "service", count: 5, requests: resources(1000, 1024, 10) }));
    expect(world.plan()).toMatchInlineSnapshot(`
      [
        "media/web[0]#1 → h2 0.563333",
        "media/web[1]#1 → h2 0.786667",
        "media/web[2]#1 → h1 0.287292",
        "media/web[3]#1 → h1 0.515833",
        "media/web[4]#1 → h1 0.685625",
      ]
    `);
  });

  it("serves jobs in the order of submission, and lets what fits pass what does not", () => {
    const world = new World();
    world.host("h1", resources(2000, 2048));
    world.submit(makeSpec("huge", { requests: resources(9000, 64) }));
    world.submit(makeSpec("a"));
    world.submit(makeSpec("b"));
    world.submit(makeSpec("c"));
    expect(world.plan().map((line) => line.split(" ")[0])).toEqual(["media/a[0]#1", "media/b[0]#1"]);
    expect(world.plan()).toEqual([]);
  });

  it("breaks ties by host id, whatever the order of registration", () => {
    const world = new World();
    for (const name of ["h3", "h1", "h2"]) world.host(name, small);
    world.submit(makeSpec("a", { count: 3 }));
    expect(world.plan()).toEqual(["media/a[0]#1 → h1 1", "media/a[1]#1 → h2 1", "media/a[2]#1 → h3 1"]);
  });

  it("puts work with a run limit where the rest ends about as late, and says so", () => {
    const world = new World();
    for (const name of ["h1", "h2"]) world.host(name, resources(4000, 4096));
    const limited = (name: string, minutes: number) => makeSpec(name, { runTimeoutMs: minutes * 60_000 });
    for (const spec of [limited("short", 10), limited("long", 1_000)]) {
      world.submit({ ...spec, requests: resources(3000, 3072, 10) });
    }
    expect(world.plan().map((line) => line.replace(/ [\d.]+$/, ""))).toEqual([
      "media/short[0]#1 → h1",
      "media/long[0]#1 → h2",
    ]);
    world.submit(limited("later", 900));
    const { records } = planEvaluations(world.state, world, { maxPlacements: 1 });
    const placement = records[0]?.kind === "allocation_placed" ? records[0].placement : undefined;
    expect(placement?.hostId).toBe(host("h2"));
    expect(placement?.score.parts.at(-1)).toMatchObject({ name: "endsTogether", weight: 0.5 });
    const sum = placement?.score.parts.reduce((total, { value, weight }) => total + value * weight, 0);
    expect(sum).toBeCloseTo(placement?.score.total ?? 0, 5);
    // Whatever started later ends later: its end is counted from there.
    world.submit(limited("soon", 8));
    expect(world.plan().at(-1)).toContain("media/soon[0]#1 → h1");
  });

  it("cuts a plan at its bound and says so", () => {
    const world = new World();
    world.host("h1", resources(100_000, 200_000, 100_000));
    world.submit(makeSpec("a", { count: 10 }));
    const env = { nowMs: world.nowMs, makeAllocationId: world.makeAllocationId };
    expect(planEvaluations(world.state, env, { maxPlacements: 4 })).toMatchObject({
      more: true,
      records: { length: 4 },
    });
    expect([world.plan(4).length, world.plan(4).length, world.plan(4).length]).toEqual([4, 4, 2]);
    expect(planEvaluations(world.state, env, { maxPlacements: 4 })).toMatchObject({ more: false, records: [] });
  });

  it("wakes parked work when capacity that helps it appears", () => {
    const world = new World();
    world.host("h1", small);
    world.submit(makeSpec("a"));
    world.submit(makeSpec("b"));
    expect(world.plan()).toHaveLength(1);
    expect(world.plan()).toEqual([]);
    world.exit("a", 0, 0);
    expect(world.plan()).toEqual(["media/b[0]#1 → h1 0.515"]);
    world.submit(makeSpec("c"));
    expect(world.plan()).toEqual([]);
    world.host("h0", small);
    expect(world.plan()).toEqual(["media/c[0]#1 → h0 0.515"]);
  });
});

describe("retries", () => {
  it("wait, longer each time, and end with the limit", () => {
    const world = new World();
    world.host("h1");
    world.submit(makeSpec("a", { restart: { on: "failure", max: 2, backoffFirstMs: 1000, backoffLongestMs: 60_000 } }));
    const env = () => ({ nowMs: world.nowMs, makeAllocationId: world.makeAllocationId });
    for (const [attempt, wait] of [
      [1, 1000],
      [2, 2000],
    ] as const) {
      expect(world.plan()[0]).toContain(`media/a[0]#${attempt} `);
      world.exit("a", 0, 1);
      expect(planEvaluations(world.state, env(), { maxPlacements: 9 })).toEqual({
        records: [],
        wakeAtMs: world.nowMs + wait,
        more: false,
      });
      world.nowMs += wait;
    }
    expect(world.plan()[0]).toContain("media/a[0]#3 ");
    world.exit("a", 0, 7);
    expect(world.job("a")).toMatchObject({ exitCode: 7, finishedAtMs: world.nowMs, counts: { failed: 1 } });
    expect(planEvaluations(world.state, env(), { maxPlacements: 9 })).toEqual({
      records: [],
      wakeAtMs: null,
      more: false,
    });
  });

  it("never happen to an index that has succeeded", () => {
    const world = new World();
    world.host("h1");
    world.submit(makeSpec("a", { count: 2, restart: { on: "failure" } }));
    world.plan();
    world.exit("a", 0, 0);
    world.exit("a", 1, 1);
    world.nowMs += 1000;
    expect(world.plan().map((line) => line.split(" ")[0])).toEqual(["media/a[1]#2"]);
    world.exit("a", 1, 0);
    expect(world.job("a")).toMatchObject({ exitCode: 0, counts: { succeeded: 2 } });
  });
});

describe("maxRunning", () => {
  it("lets only so many tasks hold a place, and the next in as one ends", () => {
    const world = new World();
    world.host("h1", resources(64_000, 65_536, 10_000));
    world.submit(makeSpec("a", { count: 5, maxRunning: 2 }));
    expect(world.plan()).toHaveLength(2);
    expect(world.plan()).toEqual([]);
    world.exit("a", 1, 0);
    expect(world.plan().map((line) => line.split(" ")[0])).toEqual(["media/a[2]#1"]);
  });
});

describe("a lost host", () => {
  it("keeps its allocations until others take their place, and does not count as a restart", () => {
    const world = new World();
    world.host("h1", small);
    world.submit(makeSpec("a", { restart: { on: "never" } }));
    world.plan();
    const old = world.active("a");
    world.report(old, "running");
    lose(world, "h1");
    expect(world.plan()).toEqual([]);
    expect(world.state.allocations.get(old)?.state).toBe("running");
    world.host("h2", small);
    expect(world.plan()).toEqual(["media/a[0]#2 → h2 0.515 instead of h1"]);
    expect(world.state.allocations.get(old)).toMatchObject({ state: "lost", reason: "host_lost" });
    expect(world.job("a").tasks[0]).toMatchObject({ attempts: 2, restarts: 0 });
    // The old one succeeded after all, but its place is taken: news of it is too late.
    expect(world.report(old, "exited", makeExit(0))).toEqual([]);
  });

  it("goes on with what it had when it returns in time", () => {
    const world = new World();
    world.host("h1", small);
    world.submit(makeSpec("a"));
    world.plan();
    lose(world, "h1");
    expect(world.plan()).toEqual([]);
    world.append(decideReady(world.state, host("h1")));
    world.host("h2", small);
    expect(world.plan()).toEqual([]);
    world.exit("a", 0, 0);
    expect(world.job("a").exitCode).toBe(0);
  });

  it("replaces within maxRunning, since the lost ones hold their places already", () => {
    const world = new World();
    world.host("h1", resources(2000, 2048));
    world.submit(makeSpec("a", { count: 4, maxRunning: 2 }));
    world.plan();
    lose(world, "h1");
    world.host("h2", resources(8000, 8192));
    expect(world.plan().map((line) => line.replace(/ [\d.]+ instead/, " instead"))).toEqual([
      "media/a[0]#2 → h2 instead of h1",
      "media/a[1]#2 → h2 instead of h1",
    ]);
    expect(world.plan()).toEqual([]);
  });
});

describe("stopping and replacing", () => {
  it("stops what runs, drops what waits, and ends with 143", () => {
    const world = new World();
    world.host("h1", small);
    world.submit(makeSpec("a", { count: 2 }));
    world.plan();
    stop(world, "a");
    expect(counts(world, "a")).toEqual({ starting: 1, stopped: 1 });
    expect(world.plan()).toEqual(["stop media/a[0] on h1: job_stopped"]);
    expect(world.plan()).toEqual([]);
    world.exit("a", 0, 143, { cause: "stopped" });
    expect(world.job("a")).toMatchObject({ exitCode: 143, counts: { stopped: 2 } });
  });

  it("replaces a service index by index, each after its old allocation has ended", () => {
    const world = new World();
    world.host("h1");
    world.submit(makeSpec("web", { kind: "service", count: 2 }));
    world.plan();
    const decision = world.submit(makeSpec("web", { kind: "service", count: 2, command: ["other"] }));
    expect(decision).toMatchObject({ action: "replace", version: 2 });
    expect(world.plan()).toEqual(["stop media/web[0] on h1: job_replaced", "stop media/web[1] on h1: job_replaced"]);
    expect(counts(world, "web")).toEqual({ stopping: 2 });
    world.exit("web", 1, 143, { cause: "stopped" });
    expect(world.plan().map((line) => line.split(" ")[0])).toEqual(["media/web[1]#1"]);
    world.exit("web", 0, 0);
    expect(world.plan().map((line) => line.split(" ")[0])).toEqual(["media/web[0]#1"]);
  });

  it("stops what is beyond a smaller count, and takes it back in when the count grows again", () => {
    const world = new World();
    world.host("h1");
    world.submit(makeSpec("web", { kind: "service", count: 3 }));
    world.plan();
    const third = world.active("web", 2);
    world.submit(makeSpec("web", { kind: "service", count: 1 }));
    expect(world.plan()).toHaveLength(3);
    world.submit(makeSpec("web", { kind: "service", count: 3, command: ["third"] }));
    expect(world.plan()).toEqual([]);
    expect(world.active("web", 2)).toBe(third);
    world.report(third, "exited", makeExit(143, { cause: "stopped" }));
    expect(world.plan().map((line) => line.split(" ")[0])).toEqual(["media/web[2]#1"]);
  });

  it("runs a stopped job again although its old allocation sits on a host that never returns", () => {
    const world = new World();
    world.host("h1", small);
    world.submit(makeSpec("a"));
    world.plan();
    lose(world, "h1");
    stop(world, "a");
    expect(world.plan()).toEqual(["stop media/a[0] on h1: job_stopped"]);
    world.host("h2", small);
    expect(world.plan()).toEqual([]);
    expect(world.submit(makeSpec("a"))).toMatchObject({ action: "run_again", version: 2 });
    expect(world.plan()).toEqual(["media/a[0]#1 → h2 0.515 instead of h1"]);
  });
});

describe("capacity that makes no sense", () => {
  const say = (world: World, all: ReturnType<typeof resources>, session: string, allocatable = all): void => {
    const hello = makeHello(all, session);
    const capacity = { ...hello.capacity, allocatable };
    world.append(unwrap(decideHello(world.state, host("h1"), { ...hello, capacity })));
  };

  it("is believed in the smaller number", () => {
    const world = new World();
    world.host("h1", small);
    say(world, small, "session-0000000002", resources(64_000, 65_536));
    world.submit(makeSpec("a", { count: 2 }));
    expect(world.plan()).toHaveLength(1);
  });

  it("takes nothing on a host of nothing", () => {
    const world = new World();
    world.host("h1", resources(0, 0, 0));
    world.submit(makeSpec("a"));
    expect(world.plan()).toEqual([]);
  });

  it("lets a host that shrank below what it runs keep it, and gives it nothing new", () => {
    const world = new World();
    world.host("h1", resources(4000, 8192));
    world.submit(makeSpec("a", { count: 2 }));
    world.plan();
    say(world, resources(1000, 8192), "session-0000000002");
    world.submit(makeSpec("b"));
    expect(world.plan()).toEqual([]);
    world.exit("a", 0, 0);
    expect(world.plan()).toEqual([]);
    world.exit("a", 1, 0);
    expect(world.plan()).toHaveLength(1);
  });
});
