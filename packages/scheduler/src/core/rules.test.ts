/** Rules of placement and further dimensions, from the document's words to the plan and the explanation. */
import type { HostId, JobName, JobSpec, ProjectName } from "@berth/schema";
import { expect, it } from "vitest";
import { createState, decideHello, fold, why } from "./index.ts";
import { reservedOn } from "./reserved-on.ts";
import { makeHello, makeSpec, resources, unwrap, World } from "./testing/world.ts";

const racks = (world: World, ...names: string[]): void =>
  names.forEach((rack, at) => world.host(`h${at + 1}`, resources(4000, 8192, 1000), [], { rack }));

const hostsOf = (world: World, job: string): string[] =>
  (world.state.jobs.get(`media/${job}` as never)?.tasks ?? []).map(
    ({ active }) => (active === null ? undefined : world.state.allocations.get(active)?.hostId) ?? "-",
  );

const explain = (world: World, job: string) =>
  unwrap(why(world.state, "media" as ProjectName, job as JobName, 0, world.nowMs));

const submit = (world: World, name: string, placement: JobSpec["placement"], changes: Partial<JobSpec> = {}): void => {
  world.submit(makeSpec(name, { ...changes, ...(placement === undefined ? {} : { placement }) } as never));
  world.plan();
};

it("places only where what is required is true, and says what stands against the others", () => {
  const world = new World();
  racks(world, "a", "b");
  submit(world, "picky", { require: ['host.labels.rack == "b"'] });
  expect(hostsOf(world, "picky")).toEqual(["h2"]);
  submit(world, "nowhere", { require: ['host.labels.rack == "c"', "host.cpuCount >= 2"] });
  const { sentence, outcome } = explain(world, "nowhere");
  expect(sentence).toMatchInlineSnapshot(
    `"0 of 2 hosts can take media/nowhere[0]: h1 is against the rule "host.labels.rack == "c"" (host.labels.rack is a), h2 is against the rule "host.labels.rack == "c"" (host.labels.rack is b)"`,
  );
  expect(outcome).toMatchObject({
    kind: "blocked",
    unblockedBy: [{ kind: "relax_rule", reason: "constraint", hosts: 2 }, { kind: "add_host" }],
  });
});

it("spreads over racks within the skew, keeps groups apart and together", () => {
  const world = new World();
  racks(world, "a", "a", "b", "c");
  submit(
    world,
    "web",
    { spread: [{ by: "host.labels.rack", maxSkew: 1 }], maxPerHost: 1, groups: ["web"] },
    { count: 3 },
  );
  expect(
    hostsOf(world, "web")
      .map((id) => world.state.hosts.get(id as HostId)?.inventory?.labels?.["rack"])
      .toSorted((a, b) => ((a ?? "") < (b ?? "") ? -1 : 1)),
  ).toEqual(["a", "b", "c"]);
  submit(world, "quiet", { apart: [{ group: "web" }] }, { count: 2 });
  const free = ["h1", "h2"].find((id) => !hostsOf(world, "web").includes(id));
  expect(hostsOf(world, "quiet")).toEqual([free, free]);
  submit(world, "close", {
    together: [{ group: "web", by: "host.labels.rack" }],
    require: ['host.labels.rack == "c"'],
  });
  expect(hostsOf(world, "close")).toEqual(["h4"]);
});

it("a host that is given the label takes what waits for it", () => {
  const world = new World();
  racks(world, "a");
  submit(world, "ssd", { require: ["has(host.labels.ssd)"] });
  expect(hostsOf(world, "ssd")).toEqual(["-"]);
  const hello = makeHello(resources(4000, 8192, 1000), "session-0000000002", [], { rack: "a", ssd: "yes" });
  world.append(unwrap(decideHello(world.state, "h1" as HostId, hello)));
  world.plan();
  expect(hostsOf(world, "ssd")).toEqual(["h1"]);
});

it("books whatever dimension a host has, and tells what no host has", () => {
  const world = new World();
  world.host("plain");
  submit(world, "train", undefined, {
    requests: { ...resources(1000, 1024, 10), more: { gpu: 2, diskBytes: 2 ** 30 } },
  });
  expect(explain(world, "train").sentence).toBe(
    "0 of 1 host can take media/train[0]: plain is too small (disk: 1 GiB more than it has in all)",
  );
  world.host("big", { ...resources(4000, 8192, 1000), more: { gpu: 3, diskBytes: 2 ** 40 } });
  world.plan();
  expect(hostsOf(world, "train")).toEqual(["big"]);
  expect(reservedOn(world.state, "big" as HostId).more).toEqual({ gpu: 2, diskBytes: 2 ** 30 });
  submit(world, "second", undefined, { requests: { ...resources(1000, 1024, 10), more: { gpu: 2 } } });
  expect(explain(world, "second").outcome).toMatchObject({
    hosts: [
      { hostId: "big", reason: "exhausted", dimension: "gpu", free: 1, short: 1 },
      { hostId: "plain", reason: "too_small", dimension: "gpu" },
    ],
  });
  const replayed = createState();
  for (const { sequence, transaction } of world.log) fold(replayed, sequence, transaction);
  expect(replayed.dimensions).toEqual(world.state.dimensions);
});
