/** What is said of work that waits behind room which is promised to others, and when it is asked about again. */
import type { HostId, JobName, JobSpec, ProjectName } from "@berth/schema";
import { describe, expect, it } from "vitest";
import { HOLD_MS } from "./backfill.ts";
import { decideStop, dryRun, why, whyNot } from "./index.ts";
import { inside } from "./state.ts";
import { makeSpec, resources, unwrap, World } from "./testing/world.ts";

const small = { requests: resources(1000, 1024, 10) };
const large = { requests: resources(4000, 4096, 10) };
const project = "media" as ProjectName;

const explain = (world: World, job: string) => unwrap(why(world.state, project, job as JobName, 0, world.nowMs));
const notOn = (world: World, job: string, host: string) =>
  unwrap(whyNot(world.state, project, job as JobName, 0, host as HostId, world.nowMs));

/** One host with room for one small task, which is promised to `head` until what runs there has ended. */
const promised = (): World => {
  const world = new World();
  world.host("h1", resources(4000, 8192, 1000));
  world.submit(makeSpec("runs", { requests: resources(3000, 6144, 10), runTimeoutMs: 100_000 }));
  world.plan();
  world.submit(makeSpec("head", large));
  return world;
};

describe("whoever waits first", () => {
  it("is told what its host lacks, not what is missing beside its own promise", () => {
    const world = promised();
    expect(world.plan()).toEqual([]);
    const lacks = { hostId: "h1", reason: "exhausted", dimension: "cpuMillis", free: 1000, short: 3000 };
    expect(explain(world, "head").outcome).toMatchObject({ kind: "blocked", hosts: [lacks] });
    expect(notOn(world, "head", "h1")).toMatchObject({ refusal: lacks });
  });
});

describe("whoever comes later", () => {
  it("waits for the first even when the only end that is known is that of what the same plan placed", () => {
    const world = new World();
    world.host("h1", resources(3000, 8192, 1000));
    world.submit(makeSpec("runs", { requests: resources(3000, 1024, 10), runTimeoutMs: 5_000 }));
    world.plan();
    world.submit(makeSpec("short", { ...small, runTimeoutMs: 5_000 }));
    world.submit(makeSpec("head", { requests: resources(3000, 1024, 10), runTimeoutMs: 5_000 }));
    world.submit(makeSpec("long", { ...small, runTimeoutMs: 20_000 }));
    world.exit("runs", 0, 0);
    expect(world.plan().map((line) => line.split(" ")[0])).toEqual(["media/short[0]#1"]);
  });

  it("waits so also for one that an earlier plan has found no room for", () => {
    const world = new World();
    world.host("h1", resources(4000, 8192, 1000));
    const service = (name: string, cpuMillis: number) =>
      world.submit(makeSpec(name, { kind: "service", requests: resources(cpuMillis, 1024, 10) }));
    service("old", 2000);
    world.plan();
    world.report(world.active("old"), "running");
    world.append(unwrap(decideStop(world.state, project, "old" as JobName, "ann")));
    world.plan();
    service("head", 3500);
    expect(world.plan()).toEqual([]);
    const urgent = { priority: { band: "system", level: 50 } } as const;
    world.submit(makeSpec("short", { ...small, ...urgent, runTimeoutMs: 5_000 }));
    service("long", 1000);
    expect(world.plan().map((line) => line.split(" ")[0])).toEqual(["media/short[0]#1"]);
  });

  it("is told for whom the room on a host is kept, and until when", () => {
    const world = promised();
    world.submit(makeSpec("long", small));
    expect(world.plan()).toEqual([]);
    const untilMs = world.nowMs + 110_000;
    expect(explain(world, "long").outcome).toMatchObject({
      hold: { kind: "backfill", hostId: "h1", keptFor: "media/head", untilMs },
    });
    expect(notOn(world, "long", "h1")).toEqual({
      ...{ project, job: "long", index: 0, host: "h1", score: null, chosen: null },
      sentence: "h1 is kept for media/head, so it cannot take media/long[0] now",
      refusal: { hostId: "h1", reason: "kept", keptFor: "media/head", untilMs },
    });
    // The same of a job that nobody has submitted yet.
    const env = { nowMs: world.nowMs, makeAllocationId: world.makeAllocationId };
    const plan = unwrap(dryRun(world.state, makeSpec("other", small), env));
    expect(plan.tasks[0]?.outcome).toMatchObject({
      kind: "blocked",
      hosts: [{ reason: "kept", keptFor: "media/head" }],
    });
  });

  it("is told that it could run there when it is over in time", () => {
    const world = promised();
    expect(world.plan()).toEqual([]);
    world.submit(makeSpec("short", { ...small, runTimeoutMs: 10_000 }));
    expect(notOn(world, "short", "h1")).toMatchObject({ refusal: null });
    expect(notOn(world, "short", "h1").score?.total).toBeGreaterThan(0);
  });

  it("is told where it would go when there is another host, whatever is kept", () => {
    const world = promised();
    expect(world.plan()).toEqual([]);
    world.host("h2", resources(1000, 1024, 100));
    world.submit(makeSpec("long", small));
    expect(explain(world, "long").sentence).toBe("media/long[0] would be placed on h2");
    // Of two such tasks the later one is told what the first leaves.
    world.submit(makeSpec("later", small));
    expect(notOn(world, "later", "h2")).toMatchObject({ refusal: { reason: "exhausted", free: 0 } });
    expect(notOn(world, "long", "h2")).toMatchObject({ refusal: null });
  });

  it("is asked again only when something has changed, although there is a promise", () => {
    const world = promised();
    const queueOf = (name: string) =>
      inside(world.state).queues.get(inside(world.state).jobs.get(`media/${name}` as never)?.queueKey ?? "");
    world.submit(makeSpec("behind", { requests: resources(3500, 1024, 10) }));
    // It would fit where the promise is.
    world.submit(makeSpec("beside", small));
    expect(world.plan()).toEqual([]);
    expect(queueOf("behind")?.parkedAt).not.toBeNull();
    expect(queueOf("beside")?.parkedAt).toBeNull();
    world.exit("runs", 0, 0);
    expect(world.plan().map((line) => line.split(" ")[0])).toEqual(["media/head[0]#1"]);
    world.host("h2", resources(3500, 8192, 1000));
    expect(world.plan().map((line) => line.split(" ")[0])).toEqual(["media/behind[0]#1"]);
  });
});

it("what ends on a host is looked at once for all who wait, and again when something else stands there", () => {
  const world = new World();
  for (const name of ["h1", "h2", "h3"]) world.host(name, resources(4100, 8192, 1000));
  world.submit(makeSpec("stands", { ...large, count: 2 }));
  world.submit(makeSpec("short", { requests: resources(50, 64, 1), runTimeoutMs: 1_000 }));
  world.submit(makeSpec("serves", { ...large, kind: "service" }));
  world.plan();
  for (let at = 0; at < 20; at += 1) world.submit(makeSpec(`waits${at}`, { requests: resources(3000 + at, 64, 1) }));
  const { index } = inside(world.state);
  const { idOf } = index;
  let looks = 0;
  Object.assign(index, { idOf: (slot: number) => ((looks += 1), idOf(slot)) });
  expect(world.plan()).toEqual([]);
  expect(looks).toBe(3);
  world.exit("stands", 0, 0);
  expect(world.plan()).toHaveLength(1);
});

describe("a plan of what nobody has submitted yet", () => {
  it("lets the projects take turns with it: after its first task another is promised its room", () => {
    const world = new World();
    world.host("h1", resources(8000, 16_384, 1000));
    world.submit(makeSpec("runs", { requests: resources(3500, 1024, 10), runTimeoutMs: 100_000, project: "other" }));
    world.submit(makeSpec("tiny", { requests: resources(500, 512, 10), project: "sim" }));
    world.plan();
    world.submit(makeSpec("head", { requests: resources(4500, 1024, 10), project: "sim" }));
    expect(world.plan()).toEqual([]);
    const spec = makeSpec("new", { requests: resources(2000, 1024, 10), count: 3 });
    const env = { nowMs: world.nowMs, makeAllocationId: world.makeAllocationId };
    const foretold = unwrap(dryRun(world.state, spec, env)).tasks.map(({ outcome }) => outcome.kind);
    expect(foretold).toEqual(["placed", "blocked", "blocked"]);
    world.submit(spec);
    expect(world.plan().map((line) => line.split(" ")[0])).toEqual(["media/new[0]#1"]);
  });
});

describe("whoever stands behind one who perhaps never gets what he is promised", () => {
  it("costs no look at all hosts where there is no other to be promised", () => {
    const world = new World();
    for (const name of ["h1", "h2", "h3"]) world.host(name, resources(4100, 8192, 1000));
    world.submit(makeSpec("stands", large));
    world.submit(makeSpec("serves", { ...large, kind: "service", count: 2 }));
    world.plan();
    for (let at = 0; at < 20; at += 1) world.submit(makeSpec(`waits${at}`, { requests: resources(3000 + at, 64, 1) }));
    world.nowMs += 2 * HOLD_MS;
    expect(world.plan()).toEqual([]);
    const { index } = inside(world.state);
    const { refusals } = index;
    let looks = 0;
    Object.assign(index, { refusals: (...asked: Parameters<typeof refusals>) => ((looks += 1), refusals(...asked)) });
    expect(world.plan()).toEqual([]);
    expect(looks).toBe(1);
    // Nor where all that ends does so some day, and nobody has waited for long.
    world.nowMs -= 2 * HOLD_MS;
    world.submit(makeSpec("short", { requests: resources(50, 64, 1), runTimeoutMs: 1_000 }));
    expect(world.plan()).toHaveLength(1);
    looks = 0;
    expect(world.plan()).toEqual([]);
    expect(looks).toBe(0);
  });
});

describe("a gang", () => {
  const gang: Partial<Omit<JobSpec, "name" | "project" | "restart">> = { ...small, count: 3, gangMin: 3 };

  it("that has waited out its backoff is told of the room, before anything else has happened", () => {
    const world = new World();
    world.host("h1", resources(3000, 8192, 1000));
    world.submit(makeSpec("gang", { ...gang, restart: { on: "failure", backoffFirstMs: 1_000 } }));
    expect(world.plan()).toHaveLength(3);
    for (const index of [0, 1, 2]) world.exit("gang", index, 1);
    world.submit(makeSpec("fill", { requests: resources(1500, 1024, 10) }));
    world.plan();
    world.nowMs += 60_000;
    expect(explain(world, "gang").outcome).toEqual({ kind: "held", hold: { kind: "gang", needed: 3, able: 1 } });
    world.submit(makeSpec("more", { requests: resources(1500, 1024, 10) }));
    const { nowMs } = world;
    world.nowMs -= 60_000;
    world.plan();
    world.nowMs = nowMs;
    // No room for any of them: what each host lacks says more.
    expect(explain(world, "gang").outcome).toMatchObject({ kind: "blocked", hosts: [{ hostId: "h1", free: 0 }] });
  });

  it("of the largest size is placed at once, beyond the bound of a plan", () => {
    const world = new World();
    world.host("h1", resources(256_000, 65_536, 100_000));
    world.submit(makeSpec("gang", { requests: resources(1000, 64, 10), count: 256, gangMin: 256 }));
    world.submit(makeSpec("single", { requests: resources(0, 64, 10) }));
    const lines = world.plan(10);
    expect(lines.filter((line) => line.startsWith("media/gang"))).toHaveLength(256);
    expect(lines).toHaveLength(256);
    expect(world.plan(10)).toHaveLength(1);
  });

  it("that is not the first of a plan waits for one that has room for all of it", () => {
    const world = new World();
    world.host("h1", resources(32_000, 65_536, 100_000));
    world.submit(makeSpec("first", small));
    world.submit(makeSpec("gang", { ...small, count: 12, gangMin: 12 }));
    expect(world.plan(10)).toHaveLength(1);
    expect(world.plan(10)).toHaveLength(12);
  });
});
