/** Whoever has to be together with somebody stops others for room, and not the last of those. */
import type { JobSpec } from "@berth/schema";
import { expect, it } from "vitest";
import { makeSpec, resources, World } from "./testing/world.ts";

const band = (name: "besteffort" | "batch" | "production") => ({ priority: { band: name, level: 50 } }) as const;
const cpus = (many: number) => ({ kind: "service", requests: resources(1000 * many, 512, 1) }) as const;
const zone = "host.labels.zone";
const on = (name: string) => [`host.id == "${name}"`];

const near = (by?: string): JobSpec =>
  makeSpec("near", {
    ...band("production"),
    ...cpus(2),
    placement: { together: [by === undefined ? { group: "db" } : { group: "db", by }] },
  });
const database = (count = 1, name = "h1", job = "db"): JobSpec =>
  makeSpec(job, { ...band("besteffort"), ...cpus(1), count, placement: { groups: ["db"], require: on(name) } });

/** Hosts of four processors each. */
const worldOf = (zones: Readonly<Record<string, string>>): World => {
  const world = new World();
  for (const [name, value] of Object.entries(zones))
    world.host(name, resources(4000, 8192, 100), undefined, { zone: value });
  return world;
};
const run = (world: World, ...specs: readonly JobSpec[]): void => {
  for (const spec of specs) world.submit(spec);
  world.plan();
  for (const { id } of world.state.allocations.values()) world.report(id, "running");
};

it("stops what is more important than the last of them, on the same host", () => {
  const world = worldOf({ h1: "a" });
  run(world, database(), makeSpec("work", { ...band("batch"), ...cpus(1), count: 3 }));
  world.submit(near());
  expect(world.plan()).toEqual(["keep h1 for media/near[0]: stop media/work[2], media/work[1]"]);
});

it("stops all of them but one, as they are the least important", () => {
  const world = worldOf({ h1: "a" });
  run(world, database(2), makeSpec("work", { ...band("batch"), ...cpus(1), count: 2 }));
  world.submit(near());
  expect(world.plan()).toEqual(["keep h1 for media/near[0]: stop media/db[1], media/work[1]"]);
});

it("waits where there is nobody else to stop", () => {
  const world = worldOf({ h1: "a", h2: "a" });
  run(world, makeSpec("db", { ...band("besteffort"), ...cpus(4), placement: { groups: ["db"], require: on("h1") } }));
  world.submit(near());
  expect(world.plan()).toEqual([]);
});

it("stops one on its host where another is left in the same place", () => {
  for (const other of ["a", "b"]) {
    const world = worldOf({ h1: "a", h2: other });
    const filler = { ...band("production"), ...cpus(3), count: 2 };
    run(world, database(), database(1, "h2", "other"), makeSpec("fill", filler));
    world.submit({ ...near(zone), ...cpus(1) });
    expect(world.plan()).toEqual(
      other === "a" ? [expect.stringMatching(/^keep h[12] for media\/near\[0\]: stop media\/(db|other)\[0\]$/)] : [],
    );
  }
});

it("is kept no room beside one that is about to end", () => {
  const world = worldOf({ h1: "a", h2: "a" });
  const large = { ...band("besteffort"), ...cpus(3), placement: { groups: ["db"], require: on("h1") } };
  run(world, makeSpec("db", large), makeSpec("low", { ...band("besteffort"), ...cpus(1) }));
  world.append([{ kind: "job_stopped", project: "media" as never, job: "db" as never, by: "ann" }]);
  world.plan();
  world.submit(near());
  expect(world.plan()).toEqual([]);
  world.exit("db", 0, 143, { cause: "stopped" });
  // It is the first of them then, and may be anywhere.
  expect(world.plan()).toEqual([expect.stringMatching(/^media\/near\[0\]#1 → h[12] /)]);
});
