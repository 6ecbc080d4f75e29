/** An attempt that another takes the place of is over when the other begins: rules of placement do not count it. */
import type { JobName, JobSpec, ProjectName } from "@berth/schema";
import { expect, it } from "vitest";
import { decideDrain, decideDraining, why } from "./index.ts";
import { host, makeSpec, resources, unwrap, World } from "./testing/world.ts";

const RACK = "host.labels.rack";
const APART: JobSpec["placement"] = { groups: ["db"], apart: [{ group: "db", by: RACK }] };

const racks = (world: World, ...names: string[]): void =>
  names.forEach((rack, at) => world.host(`h${at + 1}`, resources(4000, 8192, 1000), [], { rack }));

const service = (world: World, placement: JobSpec["placement"]): void => {
  world.submit(makeSpec("db", { kind: "service", count: 2, ...(placement !== undefined && { placement }) }));
  world.plan();
};

const racksOf = (world: World): (string | undefined)[] =>
  [0, 1].map((index) => {
    const { hostId } = world.state.allocations.get(world.active("db", index)) ?? {};
    return hostId === undefined ? undefined : world.state.hosts.get(hostId)?.inventory?.labels?.["rack"];
  });

const lose = (world: World, index: number): void => {
  const hostId = world.state.allocations.get(world.active("db", index))?.hostId ?? host("none");
  world.append([{ kind: "host_lost", hostId, silentMs: 60_000 }]);
};

it("a task whose host is lost goes to the same rack, where none but itself is in its way", () => {
  const world = new World();
  racks(world, "a", "b", "a", "b");
  service(world, APART);
  expect(racksOf(world)).toEqual(["a", "b"]);
  lose(world, 0);
  expect(world.plan()).toEqual([expect.stringMatching(/^media\/db\[0\]#2 → h3 .* instead of h1$/)]);
});

it("a task whose host is lost keeps within the skew of those that go on", () => {
  const world = new World();
  racks(world, "a", "a", "b", "b", "b");
  service(world, {
    spread: [{ by: RACK, maxSkew: 1, weight: 1 }],
    prefer: [{ rule: `${RACK} == "b"`, weight: 100 }],
  });
  expect(racksOf(world)).toEqual(["b", "a"]);
  lose(world, 1);
  world.plan();
  expect(racksOf(world)).toEqual(["b", "a"]);
});

it("what is said of a rack in which only the lost one stands is what lacks there, and not the rule", () => {
  const world = new World();
  racks(world, "a", "b", "b");
  service(world, APART);
  lose(world, 0);
  expect(world.plan()).toEqual([]);
  world.host("h4", resources(100, 8192, 1000), [], { rack: "a" });
  expect(world.plan()).toEqual([]);
  const { outcome } = unwrap(why(world.state, "media" as ProjectName, "db" as JobName, 0, world.nowMs));
  const reasons = outcome.kind === "blocked" ? outcome.hosts.map(({ hostId, reason }) => [hostId, reason]) : outcome;
  expect(reasons).toEqual([
    ["h1", "lost"],
    ["h2", "apart"],
    ["h3", "apart"],
    ["h4", "too_small"],
  ]);
});

it("room that is kept for it there is its own, and it goes there when others have left", () => {
  const world = new World();
  racks(world, "a", "b");
  service(world, APART);
  world.host("h3", resources(1000, 1024, 10), [], { rack: "a" });
  const low = { band: "besteffort", level: 50 } as const;
  world.submit(makeSpec("low", { priority: low, placement: { require: ['host.id == "h3"'] } }));
  world.plan();
  lose(world, 0);
  expect(world.plan()).toEqual(["keep h3 for media/db[0]: stop media/low[0]"]);
  world.exit("low", 0, 0);
  expect(world.plan()).toEqual([expect.stringMatching(/^media\/db\[0\]#2 → h3 .* instead of h1$/)]);
});

it("a host is emptied into another of its rack", () => {
  const world = new World();
  racks(world, "a", "b", "a");
  service(world, APART);
  for (const index of [0, 1]) world.report(world.active("db", index), "running");
  world.append(unwrap(decideDraining(world.state, host("h1"), "ann", world.nowMs + 60_000)));
  world.append(decideDrain(world.state, world.nowMs).records);
  expect(world.state.allocations.get(world.active("db", 0))?.desired).toBe("stop");
});
