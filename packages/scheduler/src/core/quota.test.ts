/** Quotas of projects: what waits for them, what does not, and how projects are weighed. */
import type { JobName, LogRecord, ProjectChange, ProjectName, QuotaDocument } from "@berth/schema";
import { describe, expect, it } from "vitest";
import {
  createState,
  decideProject,
  decideProjectChange,
  decideRemoveProject,
  dryRun,
  imageOf,
  restoreImage,
  validatePlan,
  why,
  type ImageLine,
} from "./index.ts";
import { projectView } from "./project-view.ts";
import { host, makeSpec, resources, silence, unwrap, World } from "./testing/world.ts";

const media = "media" as ProjectName;
const small = { requests: resources(1000, 1024, 10) };

const declare = (world: World, quota: QuotaDocument, weight = 100, name = media): void =>
  void world.append(unwrap(decideProject(world.state, { name, quota, weight }, "ann")));
const change = (world: World, to: ProjectChange): void =>
  void world.append(unwrap(decideProjectChange(world.state, media, to, "ann")));
const explain = (world: World, job: string, index = 0) =>
  unwrap(why(world.state, media, job as JobName, index, world.nowMs));
const placedOf = (lines: readonly string[]): string[] =>
  lines.flatMap((line) => /^media\/(\S+\])#/.exec(line)?.slice(1) ?? []);

const withHost = (quota: QuotaDocument): World => {
  const world = new World();
  world.host("h1", resources(16_000, 65_536, 1000));
  declare(world, quota);
  return world;
};

describe("a quota", () => {
  it("lets so much be placed, and the rest when some of it has ended", () => {
    const world = withHost({ tasks: 2 });
    world.submit(makeSpec("a", { ...small, count: 4 }));
    expect(placedOf(world.plan())).toEqual(["a[0]", "a[1]"]);
    expect(world.plan()).toEqual([]);
    expect(explain(world, "a", 2)).toMatchObject({
      sentence:
        "media/a[2] waits for the quota of project media: the project holds 2 tasks of 2 tasks, it needs 1 task (1 task short)",
      outcome: { kind: "held", hold: { kind: "quota", dimension: "tasks", limit: 2, used: 2, requested: 1, short: 1 } },
    });
    world.exit("a", 0, 0);
    expect(placedOf(world.plan())).toEqual(["a[2]"]);
  });

  it("counts what tasks request, in each dimension that it limits, and says how much is short", () => {
    const world = withHost({ cpu: "3", memory: "2500Mi" });
    world.submit(makeSpec("a", { ...small, count: 4 }));
    expect(placedOf(world.plan())).toEqual(["a[0]", "a[1]"]);
    expect(explain(world, "a", 2).sentence).toContain(
      "the project holds 2 GiB memory of 2.44 GiB memory, it needs 1 GiB memory (572 MiB short)",
    );
    // What asks for less still fits.
    world.submit(makeSpec("b", { requests: resources(500, 256, 10) }));
    expect(placedOf(world.plan())).toEqual(["b[0]"]);
    expect(projectView(world.state, media, world.nowMs)).toMatchObject({
      used: { tasks: 3, cpuMillis: 2500 },
      pendingTasks: 2,
      activeJobs: 2,
    });
  });

  it("counts further dimensions that hosts have", () => {
    const world = new World();
    world.host("h1", { ...resources(16_000, 65_536, 1000), more: { gpu: 8 } });
    declare(world, { more: { gpu: 3 } });
    world.submit(makeSpec("a", { requests: { ...small.requests, more: { gpu: 2 } }, count: 3 }));
    expect(placedOf(world.plan())).toEqual(["a[0]"]);
    expect(explain(world, "a", 1).outcome).toMatchObject({ hold: { dimension: "gpu", limit: 3, used: 2, short: 1 } });
  });

  it("refuses what could not even start alone, also a gang, and says so before it is submitted", () => {
    const world = withHost({ cpu: 2 });
    const env = { nowMs: world.nowMs, makeAllocationId: world.makeAllocationId };
    for (const spec of [
      makeSpec("large", { requests: resources(2001, 1024, 10) }),
      makeSpec("gang", { ...small, count: 4, gangMin: 3 }),
    ]) {
      const refused = { code: "job.exceeds_quota" };
      expect(world.trySubmit(spec)).toMatchObject({ ok: false, error: refused });
      expect(dryRun(world.state, spec, env)).toMatchObject({ ok: false, error: refused });
    }
    expect(world.trySubmit(makeSpec("fits", { requests: resources(2000, 1024, 10) })).ok).toBe(true);
  });

  it("wakes what waits when it is raised or taken away, and ends nothing when it is lowered", () => {
    const world = withHost({ tasks: 1 });
    world.submit(makeSpec("a", { ...small, count: 5 }));
    expect(placedOf(world.plan())).toEqual(["a[0]"]);
    change(world, { quota: { tasks: 3 } });
    expect(placedOf(world.plan())).toEqual(["a[1]", "a[2]"]);
    change(world, { quota: { tasks: 1 } });
    expect(world.plan()).toEqual([]);
    expect(world.job("a").activeTasks).toBe(3);
    world.exit("a", 0, 0);
    expect(world.plan()).toEqual([]);
    change(world, { quota: { tasks: null } });
    expect(placedOf(world.plan())).toEqual(["a[3]", "a[4]"]);
  });

  it("tells what waits for it that nothing but a raise would help", () => {
    const world = withHost({ cpu: 4 });
    world.submit(makeSpec("a", { requests: resources(4000, 1024, 10) }));
    change(world, { quota: { cpu: 2 } });
    expect(world.plan()).toEqual([]);
    expect(explain(world, "a").sentence).toBe(
      "media/a[0] waits until the quota of project media is raised: it needs 4 CPUs, and the whole project may hold 2 CPUs",
    );
  });

  it("holds for restarts and for new versions of a job, too", () => {
    const world = withHost({ tasks: 2 });
    const spec = makeSpec("web", { ...small, kind: "service", count: 2, restart: { backoffFirstMs: 0 } });
    world.submit(spec);
    world.plan();
    world.submit({ ...spec, count: 3, command: ["other"] });
    expect(world.plan().filter((line) => line.startsWith("stop"))).toHaveLength(2);
    for (const index of [0, 1]) world.exit("web", index, 0, { cause: "stopped" });
    expect(placedOf(world.plan())).toEqual(["web[0]", "web[1]"]);
    expect(explain(world, "web", 2).outcome).toMatchObject({ hold: { kind: "quota" } });
    // While one waits out its backoff, another may have its turn.
    world.exit("web", 0, 1);
    expect(placedOf(world.plan())).toEqual(["web[2]"]);
    world.nowMs += 60_000;
    expect(world.plan()).toEqual([]);
  });

  it("places a gang as a whole or not at all", () => {
    const world = withHost({ tasks: 4 });
    world.submit(makeSpec("other", { ...small, count: 2 }));
    world.plan();
    world.submit(makeSpec("gang", { ...small, count: 3, gangMin: 3 }));
    expect(world.plan()).toEqual([]);
    expect(explain(world, "gang").outcome).toMatchObject({ hold: { kind: "quota", used: 2, requested: 3, short: 1 } });
    world.exit("other", 0, 0);
    expect(placedOf(world.plan())).toEqual(["gang[0]", "gang[1]", "gang[2]"]);
  });

  it("that is too small for a whole gang now is not too small for a job like it behind it", () => {
    const world = withHost({ tasks: 6 });
    const gang = {
      ...small,
      count: 6,
      gangMin: 4,
      restart: { ...makeSpec("x").restart, on: "failure", max: null },
    } as const;
    world.submit(makeSpec("first", { ...small, count: 2 }));
    world.submit(makeSpec("a", gang));
    world.submit(makeSpec("b", gang));
    expect(placedOf(world.plan())).toEqual(["first[0]", "first[1]", "a[0]", "a[1]", "a[2]", "a[3]"]);
    for (const index of [0, 1, 2, 3]) world.exit("a", index, 1);
    expect(placedOf(world.plan())).toEqual(["b[0]", "b[1]", "b[2]", "b[3]"]);
    for (const index of [0, 1]) world.exit("first", index, 0);
    world.nowMs += 3_600_000;
    expect(placedOf(world.plan())).toEqual(["b[4]", "b[5]"]);
  });

  it("keeps nobody's room: neither by preemption nor by waiting for it", () => {
    const world = new World();
    world.host("h1", resources(4000, 8192, 1000));
    declare(world, { cpu: 2 });
    const batch = { priority: { band: "batch", level: 50 } } as const;
    world.submit(makeSpec("low", { ...small, ...batch, project: "lab", count: 4 }));
    world.plan();
    world.submit(makeSpec("high", { ...small, count: 3 }));
    // Two of them get the room of less important work, and the quota holds back the third.
    expect(world.plan().filter((line) => line.startsWith("keep"))).toHaveLength(2);
    expect(world.plan()).toEqual([]);
    expect(explain(world, "high", 2).outcome).toMatchObject({ hold: { kind: "quota", used: 2000, requested: 1000 } });
    // With the quota lowered the room is anybody's again.
    change(world, { quota: { cpu: 1 } });
    expect(projectView(world.state, media, world.nowMs).used.cpuMillis).toBe(0);
  });

  it("lets what takes the place of an attempt on a lost host go on, as it is no more", () => {
    const world = withHost({ tasks: 2 });
    world.submit(makeSpec("a", { ...small, count: 3 }));
    world.plan();
    change(world, { quota: { tasks: 1 } });
    world.host("h2", resources(16_000, 65_536, 1000));
    for (const silentMs of [3_000, 6_000]) world.append(silence(world.state, host("h1"), silentMs));
    expect(placedOf(world.plan())).toEqual(["a[0]", "a[1]"]);
    expect(world.plan()).toEqual([]);
  });

  it("is checked again before a plan is appended", () => {
    const world = withHost({ tasks: 1 });
    world.submit(makeSpec("a", { ...small, count: 2 }));
    const placement = (index: number): LogRecord => ({
      kind: "allocation_placed",
      placement: {
        ...{ id: world.makeAllocationId(), project: media, job: "a" as JobName, jobVersion: 1, index, attempt: 1 },
        ...{ hostId: host("h1"), score: { total: 0, parts: [] }, replaces: null },
      },
    });
    expect(validatePlan(world.state, [placement(0)]).ok).toBe(true);
    expect(validatePlan(world.state, [placement(0), placement(1)])).toEqual({
      ok: false,
      error: ["media/a[1]: tasks of its project would be 1 over its quota"],
    });
  });

  it("is foretold by a dry run, task by task", () => {
    const world = withHost({ tasks: 2 });
    const env = { nowMs: world.nowMs, makeAllocationId: world.makeAllocationId };
    const plan = unwrap(dryRun(world.state, makeSpec("a", { ...small, count: 3 }), env));
    expect(plan.tasks.map(({ outcome }) => outcome.kind)).toEqual(["placed", "placed", "held"]);
  });
});

describe("records of projects", () => {
  it("survive in a snapshot, with their weight", () => {
    const world = withHost({ tasks: 2, more: { gpu: 1 } });
    change(world, { weight: 300, description: "films" });
    const state = createState();
    restoreImage(state, JSON.parse(JSON.stringify([...imageOf(world.state)])) as ImageLine[]);
    expect(state.projects).toEqual(world.state.projects);
    expect(projectView(state, media, world.nowMs)).toMatchObject({ weight: 300, description: "films" });
  });

  it("are made once, changed in what is said, and removed when nothing is in them", () => {
    const world = withHost({ tasks: 2 });
    const again = { name: media, quota: { tasks: 2 } };
    expect(unwrap(decideProject(world.state, again, "ann"))).toEqual([]);
    expect(decideProject(world.state, again, "bob")).toMatchObject({ ok: false, error: { code: "project.exists" } });
    change(world, { quota: { memory: "1Gi" } });
    expect(world.state.projects.get(media)).toMatchObject({ quota: { tasks: 2, memoryBytes: 2 ** 30 } });
    expect(unwrap(decideProjectChange(world.state, media, { quota: { memory: "1Gi" } }, "bob"))).toEqual([]);
    const wrong = decideProjectChange(world.state, media, { quota: { cpu: "many", memory: "1 elephant" } }, "ann");
    expect(wrong).toMatchObject({
      ok: false,
      error: { code: "request.invalid", errors: [{ pointer: "/quota/cpu" }, { pointer: "/quota/memory" }] },
    });
    world.submit(makeSpec("a", { ...small }));
    expect(decideRemoveProject(world.state, media, "ann")).toMatchObject({
      ok: false,
      error: {
        code: "project.in_use",
        detail: "media still has job a; stop its jobs and remove its volumes and secrets first",
      },
    });
    world.plan();
    world.exit("a", 0, 0);
    world.append(unwrap(decideRemoveProject(world.state, media, "ann")));
    expect(world.state.projects.size).toBe(0);
    expect(decideRemoveProject(world.state, media, "ann")).toMatchObject({ error: { code: "project.not_found" } });
  });
});

describe("the weight of a project", () => {
  it("is what its share is divided by, when room is short", () => {
    const world = new World();
    declare(world, {}, 300, "ann" as ProjectName);
    world.submit(makeSpec("a", { ...small, count: 8, project: "ann" }));
    world.submit(makeSpec("b", { ...small, count: 8, project: "bob" }));
    world.host("h1", resources(8000, 65_536, 1000));
    const placed = world.plan().map((line) => line.slice(0, 3));
    expect(placed.toSorted()).toEqual(["ann", "ann", "ann", "ann", "ann", "ann", "bob", "bob"]);
  });
});
