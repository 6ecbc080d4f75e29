/** Who goes first, whose room is taken for whom, and what runs only together: stories on small clusters. */
import type { HostId, JobName, JobSpec, Priority, ProjectName } from "@berth/schema";
import { describe, expect, it } from "vitest";
import { decideHello, decideStop, dryRun, planEvaluations, why } from "./index.ts";
import { RISE_MS } from "./queue-order.ts";
import { inside } from "./state.ts";
import { host, makeHello, makeSpec, resources, silence, unwrap, World } from "./testing/world.ts";

const band = (name: Priority["band"], level = 50): Pick<JobSpec, "priority"> => ({ priority: { band: name, level } });
const small = { requests: resources(1000, 1024, 10) };
const large = { requests: resources(4000, 4096, 10) };
const withoutScore = (lines: readonly string[]): string[] => lines.map((line) => line.replace(/ [0-9.]+$/, ""));
const explainAt = (world: World, job: string, index: number) =>
  unwrap(why(world.state, "media" as ProjectName, job as JobName, index, world.nowMs));
const explain = (world: World, job: string) => explainAt(world, job, 0);

describe("the order of the queue", () => {
  it("goes by priority, then by submission", () => {
    const world = new World();
    world.submit(makeSpec("first", { ...large }));
    world.submit(makeSpec("spare", { ...large, ...band("besteffort") }));
    world.submit(makeSpec("core", { ...large, ...band("system") }));
    world.submit(makeSpec("level", { ...large, ...band("production", 60) }));
    world.host("h1", resources(4000, 8192, 1000));
    const order = ["core", "level", "first", "spare"];
    for (const name of order) {
      expect(withoutScore(world.plan())).toEqual([`media/${name}[0]#1 → h1`]);
      world.exit(name, 0, 0);
    }
  });

  it("lets whoever has waited long enough rise above work that keeps coming", () => {
    const world = new World();
    world.submit(makeSpec("patient", { ...large, ...band("batch") }));
    world.nowMs += 2 * RISE_MS;
    world.submit(makeSpec("fresh", { ...large }));
    expect(explain(world, "patient").queue).toMatchObject({ position: 1, of: 2, risen: 2 });
    world.host("h1", resources(4000, 8192, 1000));
    expect(withoutScore(world.plan())).toEqual(["media/patient[0]#1 → h1"]);
  });

  it("shares between projects: whoever holds less goes first, task by task", () => {
    const world = new World();
    world.submit(makeSpec("a", { ...small, count: 4, project: "ann" }));
    world.submit(makeSpec("b", { ...small, count: 4, project: "bob" }));
    world.host("h1", resources(4000, 8192, 1000));
    const placed = world.plan().map((line) => line.slice(0, 3));
    expect(placed.toSorted()).toEqual(["ann", "ann", "bob", "bob"]);
  });

  it("counts what a project gets for more important work, as gangs, and as room that is kept", () => {
    const world = new World();
    world.host("h1", resources(8000, 8192, 1000));
    world.submit(makeSpec("core", { ...small, count: 3, project: "ann" }));
    for (const project of ["ann", "bob"])
      world.submit(makeSpec("rest", { ...small, ...band("batch"), count: 4, project }));
    const owners = (lines: readonly string[]): string[] => lines.map((line) => /ann|bob|cyd/.exec(line)?.[0] ?? "");
    expect(owners(world.plan())).toEqual(["ann", "ann", "ann", "bob", "bob", "bob", "ann", "bob"]);

    const gangs = new World();
    gangs.host("h1", resources(8000, 8192, 1000));
    gangs.submit(makeSpec("one", { ...small, count: 3, gangMin: 3, project: "ann" }));
    gangs.submit(makeSpec("two", { ...small, count: 3, gangMin: 3, project: "ann" }));
    gangs.submit(makeSpec("rest", { ...small, count: 9, project: "bob" }));
    expect(owners(gangs.plan())).toEqual(["ann", "ann", "ann", "bob", "bob", "bob", "bob", "bob"]);

    const kept = new World();
    kept.host("h1", resources(8000, 8192, 1000));
    kept.submit(makeSpec("lesser", { ...small, ...band("besteffort"), count: 8, project: "cyd" }));
    kept.plan();
    kept.submit(makeSpec("first", { ...small, count: 3, project: "ann" }));
    expect(owners(kept.plan())).toEqual(["ann", "ann", "ann"]);
    for (const project of ["ann", "bob"]) kept.submit(makeSpec("rest", { ...small, count: 4, project }));
    expect(owners(kept.plan())).toEqual(["bob", "bob", "bob", "ann", "bob"]);
  });
});

describe("preemption", () => {
  const full = (changes: Partial<Omit<JobSpec, "name" | "project" | "restart">> = {}): World => {
    const world = new World();
    world.host("h1", resources(4000, 8192, 1000));
    world.submit(makeSpec("victims", { ...small, ...band("batch"), count: 4, ...changes }));
    world.plan();
    for (let index = 0; index < 4; index += 1) world.report(world.active("victims", index), "running");
    return world;
  };

  it("gives what is left beside whoever it stops something for to others at once, also to a class that was parked", () => {
    const world = new World();
    world.host("h1", resources(4000, 8192, 1000));
    world.host("h2", resources(500, 8192, 1000));
    world.submit(makeSpec("least", { requests: resources(500, 1024, 10), ...band("besteffort") }));
    world.submit(makeSpec("whole", { ...large }));
    world.submit(makeSpec("parked", { ...small, ...band("batch") }));
    expect(withoutScore(world.plan())).toEqual(["media/whole[0]#1 → h1", "media/least[0]#1 → h2"]);
    expect(world.plan()).toEqual([]);
    world.submit(makeSpec("top", { requests: resources(2000, 1024, 10), ...band("system") }));
    expect(world.plan()).toEqual([
      "keep h1 for media/top[0]: stop media/whole[0]",
      "keep h1 for media/parked[0]: stop ",
    ]);
    expect(world.plan()).toEqual([]);
  });

  it("stops as few as needed, keeps their room, and places when they are gone", () => {
    const world = full();
    world.submit(makeSpec("late", { requests: resources(2000, 1024, 10) }));
    expect(explain(world, "late").sentence).toContain("would be stopped for it");
    const victims = world.plan();
    expect(victims[0]).toContain("keep h1 for media/late[0]: stop media/victims");
    expect(victims).toHaveLength(1);
    const stopped = [...world.state.allocations.values()].filter(({ reason }) => reason === "preempted");
    expect(stopped).toHaveLength(2);
    expect(stopped[0]?.preemptedBy).toEqual({ project: "media", job: "late", index: 0 });
    // Nobody else gets that room, and it is not enough before both are gone.
    world.submit(makeSpec("other", { ...small, ...band("besteffort") }));
    world.report(stopped[0]?.id as never, "exited", { ...exit, cause: "stopped" });
    expect(world.plan().filter((line) => line.includes("→"))).toEqual([]);
    world.report(stopped[1]?.id as never, "exited", { ...exit, cause: "stopped" });
    expect(withoutScore(world.plan()).filter((line) => line.includes("late"))).toEqual(["media/late[0]#1 → h1"]);
    // Why it was stopped is still known when it has ended of that.
    expect(stopped.map(({ state, reason }) => `${state}: ${reason}`)).toEqual(Array(2).fill("exited: preempted"));
    expect(world.job("victims").counts).toMatchObject({ pending: 2, running: 2 });
  });

  it("never touches work that is as important", () => {
    const world = full({ ...band("production") });
    world.submit(makeSpec("late", { ...small }));
    expect(world.plan()).toEqual([]);
    expect(explain(world, "late").outcome).toMatchObject({
      kind: "blocked",
      unblockedBy: expect.arrayContaining([{ kind: "raise_priority", above: "production", victims: 1 }]),
    });
  });

  it("takes the room beside another's in the next plan, when the plan that gave it to the other was never applied", () => {
    const world = new World();
    world.host("h1", resources(4000, 8192, 1000));
    world.submit(makeSpec("victim", { requests: resources(2000, 1024, 10), ...band("batch") }));
    world.plan();
    world.submit(makeSpec("other", { requests: resources(2000, 1024, 10) }));
    world.submit(makeSpec("waits", { ...large }));
    expect(planEvaluations(world.state, world, { maxPlacements: 10 }).records).toMatchObject([
      { kind: "allocation_placed", placement: { job: "other" } },
    ]);
    world.append(unwrap(decideStop(world.state, "media" as ProjectName, "other" as JobName, "ann")));
    expect(world.plan()).toEqual(["keep h1 for media/waits[0]: stop media/victim[0]"]);
  });

  it("keeps within disruption budgets", () => {
    const world = full({ disruption: { minAvailable: 3 } });
    world.submit(makeSpec("two", { requests: resources(2000, 1024, 10) }));
    expect(world.plan()).toEqual([]);
    expect(explain(world, "two").outcome).toMatchObject({
      kind: "blocked",
      unblockedBy: expect.arrayContaining([{ kind: "relax_disruption", job: "media/victims", more: 1 }]),
    });
    world.submit(makeSpec("one", { ...small }));
    expect(world.plan()).toHaveLength(1);
  });

  it("says which budget stands in the way, and goes on when that one is wider", () => {
    const late = (maxUnavailable: number): World => {
      const world = full({ disruption: { maxUnavailable } });
      world.submit(makeSpec("late", { ...small }));
      return world;
    };
    const hint = { kind: "relax_disruption", job: "media/victims", more: 1 };
    const narrow = late(0);
    expect(narrow.plan()).toEqual([]);
    expect(explain(narrow, "late").outcome).toMatchObject({ unblockedBy: expect.arrayContaining([hint]) });
    expect(late(0 + hint.more).plan()).toEqual([
      expect.stringContaining("keep h1 for media/late[0]: stop media/victims"),
    ]);
  });

  it("goes elsewhere when a rule turns against the room that was kept for it", () => {
    const world = new World();
    world.host("h1", resources(4000, 16_384, 1000), [], { quiet: "yes" });
    world.submit(makeSpec("victims", { ...small, ...band("batch"), count: 4 }));
    world.plan();
    for (let index = 0; index < 4; index += 1) world.report(world.active("victims", index), "running");
    const placement = { require: ["has(host.labels.quiet)"], apart: [{ group: "loud" }] };
    world.submit(makeSpec("alone", { ...large, placement }));
    expect(world.plan()[0]).toContain("keep h1 for media/alone[0]");
    // It asks for nothing of what there is too little of, and keeps away from who is to be there.
    world.submit(makeSpec("loud", { requests: resources(0, 256, 10), placement: { groups: ["loud"] } }));
    expect(world.plan()).toEqual([]);
    const hello = makeHello(resources(4000, 16_384, 1000), "session-0000000002");
    world.append(unwrap(decideHello(world.state, "h1" as HostId, hello)));
    for (const { id, reason } of world.state.allocations.values()) {
      if (reason === "preempted") world.report(id, "exited", { ...exit, cause: "stopped" });
    }
    world.host("h2", resources(4000, 8192, 1000), [], { quiet: "yes" });
    expect(withoutScore(world.plan()).filter((line) => line.includes("alone"))).toEqual(["media/alone[0]#1 → h2"]);
    expect(inside(world.state).reservations.size).toBe(0);
  });

  it("finds room beyond hosts where a rule does not let it stand, however many", () => {
    const world = new World();
    for (let at = 0; at < 300; at += 1) world.host(`a${at}`, resources(1000, 8192, 1000), [], { zone: "a" });
    world.host("b", resources(900, 8192, 1000), [], { zone: "b" });
    world.submit(makeSpec("victims", { requests: resources(900, 1024, 10), ...band("batch"), count: 301 }));
    world.plan();
    const late = { requests: resources(800, 1024, 10), placement: { require: ['host.labels.zone == "b"'] } };
    world.submit(makeSpec("late", late));
    expect(world.plan()[0]).toContain("keep b for media/late[0]");
  });

  it("is shown by a plan before it is done", () => {
    const world = full();
    const env = { nowMs: world.nowMs, makeAllocationId: world.makeAllocationId };
    const plan = unwrap(dryRun(world.state, makeSpec("late", { ...small, count: 2 }), env));
    expect(plan.tasks.map(({ outcome }) => outcome.kind)).toEqual(["preempts", "preempts"]);
    expect(world.plan()).toEqual([]);
  });
});

const exit = {
  code: 143,
  signal: null,
  oom: false,
  detail: null,
  startedAtMs: 0,
  finishedAtMs: 1,
} as const;

describe("a gang", () => {
  it("is placed as a whole or not at all, and lets others pass", () => {
    const world = new World();
    world.host("h1", resources(3000, 8192, 1000));
    world.submit(makeSpec("gang", { ...small, count: 4, gangMin: 4 }));
    world.submit(makeSpec("single", { ...small }));
    expect(withoutScore(world.plan())).toEqual(["media/single[0]#1 → h1"]);
    expect(explain(world, "gang").outcome).toEqual({ kind: "held", hold: { kind: "gang", needed: 4, able: 2 } });
    world.host("h2", resources(4000, 8192, 1000));
    expect(world.plan()).toHaveLength(4);
  });

  it("gives up the rest when a host refuses one of it, and starts again as a whole", () => {
    const world = new World();
    world.host("h1", resources(4000, 8192, 1000));
    world.submit(makeSpec("gang", { ...small, count: 3, gangMin: 3, restart: { on: "failure", backoffFirstMs: 0 } }));
    world.plan();
    world.report(world.active("gang", 1), "failed");
    expect(world.plan().map((line) => line.replace(/^stop .*: /, ""))).toEqual(["gang_incomplete", "gang_incomplete"]);
    for (const index of [0, 2]) world.report(world.active("gang", index), "exited", { ...exit, cause: "stopped" });
    world.nowMs += 60_000;
    expect(world.plan()).toHaveLength(3);
  });

  it("goes on with those whose data can be reached when one is held by its volume on a lost host", () => {
    const world = new World();
    world.host("h1", resources(1000, 1024, 1000));
    world.host("h2", resources(1000, 1024, 1000));
    const own = { volume: "own-${INDEX}", readOnly: false, shared: false, sizeBytes: 0, target: "/v" };
    world.submit(makeSpec("pair", { ...small, count: 3, gangMin: 2, volumes: [own] }));
    expect(world.plan()).toHaveLength(2);
    const left = world.state.allocations.get(world.active("pair", 1))?.hostId === host("h2") ? 1 : 0;
    world.append(silence(world.state, host("h1"), 6_000));
    expect(world.plan()).toEqual([`stop media/pair[${left}] on h2: gang_incomplete`]);
    world.report(world.active("pair", left), "exited", { ...exit, cause: "stopped" });
    world.nowMs += 60_000;
    expect(explainAt(world, "pair", 2).outcome).toMatchObject({ hold: { kind: "gang", needed: 2, able: 1 } });
    world.host("h3", resources(1000, 1024, 1000));
    expect(explainAt(world, "pair", 2).sentence).toBe("media/pair[2] would be placed on h3");
    expect(withoutScore(world.plan())).toEqual([`media/pair[${left}]#2 → h2`, "media/pair[2]#1 → h3"]);
    expect(explainAt(world, "pair", 1 - left).outcome.kind).toBe("blocked");
  });
});

describe("backfill", () => {
  it("lets short work pass whoever waits first, and keeps long work from delaying it", () => {
    const world = new World();
    world.host("h1", resources(4000, 8192, 1000));
    world.submit(makeSpec("runs", { requests: resources(3000, 1024, 10), runTimeoutMs: 100_000 }));
    world.plan();
    world.submit(makeSpec("head", { ...large }));
    world.submit(makeSpec("long", { ...small, runTimeoutMs: 500_000 }));
    world.submit(makeSpec("short", { ...small, runTimeoutMs: 50_000 }));
    expect(withoutScore(world.plan())).toEqual(["media/short[0]#1 → h1"]);
    expect(explain(world, "head").outcome).toMatchObject({
      unblockedBy: expect.arrayContaining([{ kind: "wait", hostId: "h1", untilMs: world.nowMs + 110_000 }]),
    });
  });

  it("says for whom room is kept", () => {
    const world = new World();
    world.host("h1", resources(4000, 8192, 1000));
    world.submit(makeSpec("runs", { requests: resources(3000, 1024, 10), runTimeoutMs: 100_000 }));
    world.plan();
    world.submit(makeSpec("head", { ...large }));
    world.submit(makeSpec("long", { ...small }));
    expect(world.plan()).toEqual([]);
    expect(explain(world, "long").outcome).toMatchObject({ hold: { kind: "backfill", keptFor: "media/head" } });
  });
});
