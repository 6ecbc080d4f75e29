// Stories of volumes: bound by the first placement, found again, waited for, given up.
import { describe, expect, test } from "vitest";
import { VOLUME_SIZES_NOT_ENFORCED, type JobSpec, type ProjectName } from "@berth/schema";
import {
  createState,
  decideCopyVolume,
  decideReady,
  decideRemove,
  decideRemoveVolume,
  decideVolume,
  decideVolumeStep,
  desiredFor,
  dryRun,
  imageOf,
  restoreImage,
  validatePlan,
  why,
  type ImageLine,
} from "./index.ts";
import { reservedOn } from "./reserved-on.ts";
import { host, makeSpec, resources, silence, unwrap, World } from "./testing/world.ts";

const media = "media" as ProjectName;
const GiB = 2 ** 30;
const disk = (gibibytes: number) => ({ ...resources(4000, 8192, 1000), more: { diskBytes: gibibytes * GiB } });

const volume = (name: string, more: Partial<Extract<JobSpec["volumes"][number], { volume: string }>> = {}) => ({
  ...{ volume: name, target: `/${name.replaceAll(/[^a-z]/g, "")}`, readOnly: false, shared: false, sizeBytes: 0 },
  ...more,
});
const sentenceOf = (world: World, job: string, index = 0): string =>
  unwrap(why(world.state, media, job as JobSpec["name"], index, world.nowMs)).sentence;
const hostsOf = (world: World) =>
  Object.fromEntries([...world.state.volumes].map(([key, { hostId }]) => [key, hostId]));
const lines = (world: World): string[] => world.plan().map((line) => line.split(" ").slice(0, 3).join(" "));

describe("a gang that shares a new volume", () => {
  const spec = makeSpec("ring", {
    ...{ count: 4, gangMin: 4, requests: resources(1000, 1024, 10) },
    volumes: [volume("common", { shared: true })],
  });

  test("goes to a host that holds all of it, also when another is the best for its first task", () => {
    const world = new World();
    // The tightest for one task, and too small for four.
    world.host("h1", resources(1000, 1024, 10));
    world.host("h2", resources(3000, 4096, 100));
    world.host("h3", resources(5000, 8192, 100));
    const forecast = unwrap(dryRun(world.state, spec, world));
    world.submit(spec);
    expect(lines(world)).toEqual([0, 1, 2, 3].map((index) => `media/ring[${index}]#1 → h3`));
    expect(forecast.tasks.map(({ outcome }) => outcome.kind === "placed" && outcome.hostId)).toEqual(
      Array.from({ length: 4 }, () => "h3"),
    );
    expect(hostsOf(world)).toEqual({ "media/common": "h3" });
  });

  test("waits while no host holds all of it, and is told how many would fit together", () => {
    const world = new World();
    world.host("h1", resources(1000, 1024, 10));
    world.host("h2", resources(3000, 4096, 100));
    world.submit(spec);
    expect(world.plan()).toEqual([]);
    expect(sentenceOf(world, "ring")).toMatch(/^media\/ring\[0\] .*4/);
  });
});

describe("a volume for each task", () => {
  const spread = makeSpec("db", {
    kind: "service",
    count: 3,
    volumes: [volume("data-${INDEX}")],
    placement: { maxPerHost: 1 },
  });
  const world = () => {
    const made = new World();
    for (const name of ["h1", "h2", "h3"]) made.host(name);
    made.submit(spread);
    expect(made.plan()).toHaveLength(3);
    return made;
  };

  test("is bound where its task was placed first, and brings it back there", () => {
    const cluster = world();
    const before = hostsOf(cluster);
    expect(new Set(Object.values(before)).size).toBe(3);
    // The best host for all of them now: without its volume each would go there.
    cluster.host("h0", resources(1100, 1100, 20));
    for (const index of [2, 0, 1]) cluster.exit("db", index, 1);
    cluster.nowMs += 120_000;
    expect(lines(cluster).toSorted()).toEqual(
      [0, 1, 2].map((index) => `media/db[${index}]#2 → ${before[`media/data-${index}`]}`),
    );
    expect(hostsOf(cluster)).toEqual(before);
  });

  test("is waited for when its host is lost, and its host is told which volume it is", () => {
    const cluster = world();
    const hostId = cluster.state.volumes.get("media/data-1")?.hostId ?? host("none");
    expect(desiredFor(cluster.state, hostId).allocations).toMatchObject([
      { index: 1, volumes: [{ name: "data-1", id: expect.stringMatching(/^media\.data-1\.\d+$/), mustExist: false }] },
    ]);
    cluster.append(silence(cluster.state, hostId, 60_000));
    cluster.nowMs += 60_000;
    expect(cluster.plan()).toEqual([]);
    const sentence = sentenceOf(cluster, "db", 1);
    expect(sentence).toContain(`media/db[1] is on ${hostId}, which is lost`);
    expect(sentence).toContain(`cannot mount the volume data-1 (its data is on ${hostId})`);
    cluster.append(decideReady(cluster.state, hostId));
    expect(cluster.plan()).toEqual([]);
    expect(sentenceOf(cluster, "db", 1)).toContain(`on ${hostId}`);
  });

  test("one that waits does not hold up the others", () => {
    const cluster = world();
    const hostId = cluster.state.volumes.get("media/data-0")?.hostId ?? host("none");
    for (const index of [0, 1, 2]) cluster.exit("db", index, 1);
    cluster.append(silence(cluster.state, hostId, 60_000));
    cluster.nowMs += 120_000;
    expect(lines(cluster).map((line) => line.split("#")[0])).toEqual(["media/db[1]", "media/db[2]"]);
  });

  test("a host that is gone is said to be, and giving the volume up lets its task go elsewhere", () => {
    const cluster = world();
    const hostId = cluster.state.volumes.get("media/data-0")?.hostId ?? host("none");
    cluster.append(unwrap(decideRemove(cluster.state, hostId, "ann", true)));
    cluster.host("h4");
    expect(cluster.plan()).toEqual([]);
    expect(sentenceOf(cluster, "db", 0)).toContain(
      `its data was on ${hostId}, which is no longer a host; berth volume rm data-0 gives it up`,
    );
    const records = unwrap(decideRemoveVolume(cluster.state, media, "data-0", "ann"));
    expect(records.map(({ kind }) => kind)).toEqual(["volume_removing", "volume_removed"]);
    cluster.append(records);
    expect(lines(cluster)).toEqual(["media/db[0]#2 → h4"]);
    expect(hostsOf(cluster)["media/data-0"]).toBe("h4");
  });

  test("is another one after it was removed: its id is never used again", () => {
    const cluster = new World();
    cluster.host("h1");
    const once = makeSpec("one", { volumes: [volume("data")] });
    cluster.submit(once);
    cluster.plan();
    const first = cluster.state.volumes.get("media/data");
    cluster.exit("one", 0, 0);
    cluster.append(unwrap(decideRemoveVolume(cluster.state, media, "data", "ann")));
    cluster.submit({ ...once, command: ["again"] });
    expect(cluster.plan()).toEqual([]);
    expect(sentenceOf(cluster, "one")).toContain("it is being removed");
    if (first === undefined) throw new Error("no volume was made");
    cluster.append(decideVolumeStep(cluster.state, "volume_removed", first));
    expect(cluster.plan()).toHaveLength(1);
    const second = cluster.state.volumes.get("media/data");
    expect(second?.generation).toBeGreaterThan(first.generation);
    expect(decideVolumeStep(cluster.state, "volume_removed", first)).toEqual([]);
  });

  test("once something ran with it, an empty one would be a loss", () => {
    const cluster = world();
    const task = cluster.active("db", 2);
    const hostId = cluster.state.allocations.get(task)?.hostId ?? host("none");
    cluster.append([
      {
        kind: "allocation_reported",
        hostId,
        report: { id: task, state: "running", reason: "started", startedAtMs: 5, exit: null },
      },
    ]);
    expect(desiredFor(cluster.state, hostId).allocations).toMatchObject([{ volumes: [{ mustExist: true }] }]);
  });
});

describe("one volume for several tasks", () => {
  test("brings all of them to its host, those of one plan and those of another job", () => {
    const cluster = new World();
    for (const name of ["h1", "h2"]) cluster.host(name, resources(2000, 8192));
    cluster.submit(makeSpec("w", { count: 2, volumes: [volume("data", { shared: true })] }));
    cluster.submit(makeSpec("r", { volumes: [volume("data", { readOnly: true })] }));
    expect(lines(cluster)).toEqual(["media/w[0]#1 → h1", "media/w[1]#1 → h1"]);
    expect(sentenceOf(cluster, "r")).toBe(
      "0 of 2 hosts can take media/r: h1 lacks cpu (1 CPU short), h2 cannot mount the volume data (its data is on h1)".replace(
        "media/r:",
        "media/r[0]:",
      ),
    );
    cluster.exit("w", 0, 0);
    expect(lines(cluster)).toEqual(["media/r[0]#1 → h1"]);
  });

  test("has one writer at a time, unless every writer shares it; readers come along", () => {
    const cluster = new World();
    cluster.host("h1");
    for (const name of ["a", "b"]) cluster.submit(makeSpec(name, { volumes: [volume("data")] }));
    cluster.submit(makeSpec("c", { volumes: [volume("data", { readOnly: true })] }));
    expect(lines(cluster)).toEqual(["media/a[0]#1 → h1", "media/c[0]#1 → h1"]);
    expect(sentenceOf(cluster, "b")).toContain("a[0] writes it, and does not share it");
    cluster.exit("a", 0, 0);
    expect(lines(cluster)).toEqual(["media/b[0]#1 → h1"]);
  });

  test("two volumes on two hosts: nobody can mount both", () => {
    const cluster = new World();
    for (const [at, name] of ["x", "y"].entries()) {
      const made = cluster.host(`h${at}`);
      const wish = { project: media, name, hostId: made, sizeBytes: 0, readOnly: false, from: null };
      cluster.append(unwrap(decideVolume(cluster.state, { ...wish, state: "new", by: "ann" })));
    }
    cluster.submit(makeSpec("both", { volumes: [volume("x"), volume("y")] }));
    expect(cluster.plan()).toEqual([]);
    expect(sentenceOf(cluster, "both")).toContain("it is on h1, and the volume x on h0");
  });
});

describe("sizes", () => {
  const sized = (gibibytes: number) => volume("data-${INDEX}", { sizeBytes: gibibytes * GiB });

  test("are booked once, by the placement that makes the volume, and freed with it", () => {
    const cluster = new World();
    cluster.host("h1", disk(10));
    cluster.submit(makeSpec("db", { count: 3, volumes: [sized(4)] }));
    expect(lines(cluster)).toEqual(["media/db[0]#1 → h1", "media/db[1]#1 → h1"]);
    expect(sentenceOf(cluster, "db", 2)).toContain("h1 lacks disk (2 GiB short)");
    expect(reservedOn(cluster.state, host("h1")).more).toEqual({ diskBytes: 8 * GiB });
    cluster.exit("db", 0, 0);
    // The task has ended; its data has not.
    expect(reservedOn(cluster.state, host("h1")).more).toEqual({ diskBytes: 8 * GiB });
    const gone = cluster.state.volumes.get("media/data-0");
    if (gone === undefined) throw new Error("no volume was made");
    cluster.append(unwrap(decideRemoveVolume(cluster.state, media, "data-0", "ann")));
    cluster.append(decideVolumeStep(cluster.state, "volume_removed", gone));
    expect(lines(cluster)).toEqual(["media/db[2]#1 → h1"]);
  });

  test("are told to a host that enforces them, and to no other: an older agent knows of none", () => {
    const cluster = new World();
    cluster.host("h1", disk(4));
    cluster.host("h2", disk(4), [VOLUME_SIZES_NOT_ENFORCED]);
    cluster.submit(makeSpec("db", { count: 2, volumes: [sized(4)] }));
    cluster.plan();
    const told = ["h1", "h2"].map(
      (name) => desiredFor(cluster.state, host(name)).allocations[0]?.volumes?.[0]?.sizeBytes,
    );
    expect(told).toEqual([4 * GiB, undefined]);
  });

  test("choose a host with room, and a plan that overbooks one is refused", () => {
    const cluster = new World();
    cluster.host("h1", disk(3));
    cluster.host("h2", disk(100));
    cluster.submit(makeSpec("db", { count: 2, volumes: [sized(4)] }));
    expect(lines(cluster)).toEqual(["media/db[0]#1 → h2", "media/db[1]#1 → h2"]);
    const placements = cluster.log.flatMap(({ transaction }) => transaction.records).slice(-2);
    const fresh = new World();
    fresh.host("h1", disk(3));
    fresh.host("h2", disk(7));
    fresh.submit(makeSpec("db", { count: 2, volumes: [sized(4)] }));
    expect(validatePlan(fresh.state, placements)).toMatchObject({
      error: [expect.stringContaining("h2: media/db[1] does not fit, diskBytes is 1073741824 short")],
    });
    fresh.plan();
    expect(validatePlan(fresh.state, [])).toMatchObject({ ok: true });
  });

  test("a volume that a user makes is booked where there is room for it", () => {
    const cluster = new World();
    cluster.host("h1", disk(3));
    cluster.host("h2", disk(8));
    const wish = { project: media, readOnly: false, from: null, state: "new", by: "ann" } as const;
    const make = (name: string, gibibytes: number, hostId: string | null = null) =>
      decideVolume(cluster.state, {
        ...wish,
        ...{ name, sizeBytes: gibibytes * GiB, hostId: hostId === null ? null : host(hostId) },
      });
    cluster.append(unwrap(make("a", 6)));
    expect(hostsOf(cluster)).toEqual({ "media/a": "h2" });
    expect(make("b", 4)).toMatchObject({ error: { code: "volume.no_room" } });
    expect(make("b", 3, "h2")).toMatchObject({
      error: { code: "volume.no_room", detail: expect.stringContaining("h2 has 1 GiB") },
    });
    expect(make("a", 1)).toMatchObject({ error: { code: "volume.exists" } });
    expect(make("b", 1, "nowhere")).toMatchObject({ error: { code: "host.not_found" } });
  });
});

describe("copies", () => {
  const copy = (world: World, from: string, name: string, snapshot = false) =>
    decideCopyVolume(world.state, { project: media, from, name, snapshot, by: "ann" });
  const filled = (world: World, name: string): void => {
    const volume = world.state.volumes.get(`media/${name}`);
    if (volume === undefined) throw new Error(`no volume ${name}`);
    world.append(decideVolumeStep(world.state, "volume_filled", volume));
  };
  const cluster = () => {
    const world = new World();
    world.host("h1", disk(10));
    world.host("h2", disk(10));
    world.submit(makeSpec("db", { volumes: [volume("data", { sizeBytes: 4 * GiB })] }));
    world.plan();
    return world;
  };

  test("are of one moment: not while somebody writes, and nobody writes meanwhile", () => {
    const world = cluster();
    expect(copy(world, "data", "snap")).toMatchObject({
      error: { code: "volume.in_use", detail: expect.stringContaining("db[0] writes media/data; stop it first") },
    });
    world.exit("db", 0, 0);
    world.append(unwrap(copy(world, "data", "snap", true)));
    world.submit(makeSpec("again", { volumes: [volume("data")] }));
    world.submit(makeSpec("reader", { volumes: [volume("data", { readOnly: true })] }));
    world.submit(makeSpec("early", { volumes: [volume("snap", { readOnly: true })] }));
    expect(lines(world)).toEqual(["media/reader[0]#1 → h1"]);
    expect(sentenceOf(world, "again")).toContain("it is being copied");
    expect(sentenceOf(world, "early")).toContain("its content is still being copied");
    filled(world, "snap");
    expect(lines(world)).toEqual(["media/again[0]#1 → h1", "media/early[0]#1 → h1"]);
  });

  test("lie beside what they are of, take as much, and a snapshot is only read", () => {
    const world = cluster();
    world.exit("db", 0, 0);
    world.append(unwrap(copy(world, "data", "snap", true)));
    expect(reservedOn(world.state, host("h1")).more).toEqual({ diskBytes: 8 * GiB });
    expect(copy(world, "data", "more")).toMatchObject({ error: { code: "volume.no_room" } });
    // A copy that is not complete is not copied, and saying it again changes nothing.
    expect(copy(world, "snap", "x")).toMatchObject({ error: { code: "volume.in_use" } });
    expect(copy(world, "data", "snap", true)).toEqual({ ok: true, value: [] });
    filled(world, "snap");
    world.submit(makeSpec("w", { volumes: [volume("snap")] }));
    expect(world.plan()).toEqual([]);
    expect(sentenceOf(world, "w")).toContain("it is a snapshot, to be mounted with readOnly: true");
    expect(copy(world, "no", "x")).toMatchObject({ error: { code: "volume.not_found" } });
    expect(copy(world, "data", "snap")).toMatchObject({ error: { code: "volume.exists" } });
  });
});

test("a volume is not removed while it is copied; its copy may be, and then it may be too", () => {
  const cluster = new World();
  cluster.host("h1");
  const wish = { project: media, readOnly: false, from: null, by: "ann", hostId: null, sizeBytes: 0 } as const;
  cluster.append(unwrap(decideVolume(cluster.state, { ...wish, name: "data", state: "new" })));
  cluster.append(
    unwrap(decideCopyVolume(cluster.state, { project: media, from: "data", name: "twin", snapshot: false, by: "ann" })),
  );
  const remove = (name: string) => decideRemoveVolume(cluster.state, media, name, "ann");
  expect(remove("data")).toMatchObject({
    error: {
      code: "volume.in_use",
      detail: "media/twin is being copied from media/data: wait, or remove twin first",
    },
  });
  cluster.append(unwrap(remove("twin")));
  expect(remove("data")).toMatchObject({ ok: true });
});

test("a volume that something mounts cannot be removed", () => {
  const cluster = new World();
  cluster.host("h1");
  cluster.submit(makeSpec("db", { volumes: [volume("data")] }));
  cluster.plan();
  expect(decideRemoveVolume(cluster.state, media, "data", "ann")).toMatchObject({
    error: { code: "volume.in_use", detail: expect.stringContaining("media/db[0] uses media/data on h1") },
  });
  expect(decideRemoveVolume(cluster.state, media, "no", "ann")).toMatchObject({ error: { code: "volume.not_found" } });
});

test("a snapshot of the state keeps volumes, and what they book, with hosts that leave and come back", () => {
  const cluster = new World();
  cluster.host("h1", disk(10));
  cluster.host("h2", disk(10));
  cluster.submit(makeSpec("db", { count: 2, volumes: [volume("data-${INDEX}", { sizeBytes: 4 * GiB })] }));
  cluster.plan();
  for (const index of [0, 1]) cluster.exit("db", index, 0);
  cluster.append(unwrap(decideRemove(cluster.state, host("h1"), "ann", true)));
  const again = createState();
  restoreImage(again, JSON.parse(JSON.stringify([...imageOf(cluster.state)])) as ImageLine[]);
  expect([...again.volumes]).toEqual([...cluster.state.volumes]);
  const restored = new World();
  Object.assign(restored, { state: again });
  restored.log.push(...cluster.log);
  for (const world of [cluster, restored]) {
    world.host("h1", disk(10));
    const spec = makeSpec("more", { volumes: [volume("more", { sizeBytes: 5 * GiB })] });
    const env = { nowMs: 0, makeAllocationId: world.makeAllocationId };
    const [task] = unwrap(dryRun(world.state, spec, env)).tasks;
    expect(task?.outcome).toMatchObject({ kind: "placed", hostId: "h2" });
    expect(reservedOn(world.state, host("h1")).more).toEqual({ diskBytes: 8 * GiB });
  }
});
