/** Work that is too large for every host is met by no plan until there is a host of another size; and costs nothing until then. */
import type { JobName, ProjectName } from "@berth/schema";
import { expect, it } from "vitest";
import { decideStop } from "./index.ts";
import { inside } from "./state.ts";
import { makeSpec, resources, unwrap, World } from "./testing/world.ts";

const awake = (world: World): number => {
  const { index, queues } = inside(world.state);
  return queues.awake(index.sizes()).size;
};

/** Who a plan places, and where. */
const placed = (world: World): string[] =>
  world.plan().map((line) => line.replace(/^media\/(\S+)#1 → (\S+) .*$/, "$1 on $2"));

it("rests once it was found to be too large, and is placed when a host comes that is large enough", () => {
  const world = new World();
  world.host("h1", resources(2000, 8192, 100));
  for (const cpu of [3000, 5000]) world.submit(makeSpec(`large-${cpu}`, { requests: resources(cpu, 1024, 10) }));
  world.submit(makeSpec("fits", { requests: resources(2000, 1024, 10), count: 2 }));
  expect(placed(world)).toEqual(["fits[0] on h1"]);
  expect(awake(world)).toBe(3);
  expect(world.plan()).toEqual([]);
  // What would fit if others were gone is met by every plan.
  expect(awake(world)).toBe(1);

  world.submit(makeSpec("again", { requests: resources(3000, 1024, 10) }));
  world.exit("fits", 0, 0);
  expect(placed(world)).toEqual(["fits[1] on h1"]);
  expect(awake(world)).toBe(0);

  world.host("h2", resources(4000, 8192, 100));
  expect(awake(world)).toBe(2);
  expect(placed(world)).toEqual(["large-3000[0] on h2"]);
  world.exit("large-3000", 0, 0);
  expect(placed(world)).toEqual(["again[0] on h2"]);
  world.plan();
  expect(awake(world)).toBe(0);
  expect(inside(world.state).queues.all().size).toBe(1);
});

it("keeps its place while it rests, and stops waiting when its job does", () => {
  const world = new World();
  world.host("h1", resources(2000, 8192, 100));
  world.submit(makeSpec("large", { requests: resources(3000, 1024, 10) }));
  world.plan();
  world.plan();
  expect(awake(world)).toBe(0);
  const project = "media" as ProjectName;
  world.append(unwrap(decideStop(world.state, project, "large" as JobName, "ann")));
  expect(inside(world.state).queues.all().size).toBe(0);
  world.host("h2", resources(4000, 8192, 100));
  expect(world.plan()).toEqual([]);
});
