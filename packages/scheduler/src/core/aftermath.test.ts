/** What follows from what follows, held against a cluster in which it is carried out. */
import type { HostId, JobSpec, WhatIfRequest, WhatIfView } from "@berth/schema";
import * as fc from "fast-check";
import { describe, expect, it, test } from "vitest";
import { whatIf } from "./index.ts";
import { host, idMaker, makeExit, makeSpec, resources, unwrap, World } from "./testing/world.ts";

const ask = (world: World, request: WhatIfRequest): WhatIfView =>
  unwrap(whatIf(world.state, request, { nowMs: world.nowMs, makeAllocationId: idMaker() }));

const BANDS = ["besteffort", "batch", "production"] as const;
const at = (band: (typeof BANDS)[number]): Pick<JobSpec, "priority"> => ({ priority: { band, level: 50 } });
const moves = ({ placed }: WhatIfView): string[] =>
  placed.map(({ from, index, job, to }) => `${job}[${index}] ${from} ${to}`).sort();

describe("what if a host is lost", () => {
  it("a task that belongs to a group is placed where the group is after that", () => {
    const world = new World();
    const zones = { h1: "a", h2: "b" };
    for (const [name, zone] of Object.entries(zones)) world.host(name, undefined, [], { zone });
    const zone = "host.labels.zone";
    world.submit(makeSpec("db", { kind: "service", placement: { groups: ["db"] }, ...at("besteffort") }));
    world.plan();
    const beside = { placement: { together: [{ group: "db", by: zone }] }, ...at("production") };
    world.submit(makeSpec("web", { kind: "service", ...beside }));
    world.plan();
    const lost = world.state.allocations.get(world.active("db"))!.hostId;
    const other = lost === "h1" ? "h2" : "h1";
    expect(world.state.allocations.get(world.active("web"))!.hostId).toBe(lost);
    const revision = JSON.stringify([world.state.revision, world.log.length]);
    const view = ask(world, { lose: [lost] });
    // More important, it is asked first, and then its group is nowhere but on the host that is lost.
    expect(moves(view)).toEqual([`db[0] ${lost} ${other}`, `web[0] ${lost} ${other}`]);
    expect(view.totals).toEqual({ placed: 2, blocked: 0, finish: 0 });
    expect(JSON.stringify([world.state.revision, world.log.length])).toBe(revision);
    expect(world.plan()).toEqual([]);
  });

  it("what is left of the room of those that are stopped is given to others", () => {
    const world = new World();
    world.host("h1");
    const small = { requests: resources(1000, 1024, 10) };
    world.submit(makeSpec("vip", { kind: "service", ...small, ...at("production") }));
    world.submit(makeSpec("low", { kind: "service", ...small, ...at("besteffort") }));
    world.plan();
    world.host("h2");
    world.submit(makeSpec("mid", { requests: resources(4000, 1024, 10), ...at("batch") }));
    world.plan();
    const view = ask(world, { lose: [host("h1")] });
    expect(moves(view)).toEqual(["low[0] h1 h2", "vip[0] h1 h2"]);
    expect(view.blocked).toEqual([expect.objectContaining({ job: "mid", from: "h2" })]);
    expect(view.blocked[0]?.outcome).toMatchObject({
      kind: "blocked",
      hosts: expect.arrayContaining([expect.objectContaining({ hostId: "h2", dimension: "cpuMillis" })]),
    });
  });

  it("what was to end anyway goes on with that, and is not asked about", () => {
    const world = new World();
    world.host("h1");
    world.submit(makeSpec("web", { kind: "service" }));
    world.plan();
    world.submit(makeSpec("web", { kind: "service", command: ["false"] }));
    world.host("h2");
    expect(ask(world, { lose: [host("h2")] })).toMatchObject({ placed: [], blocked: [] });
    world.plan();
    expect(ask(world, { lose: [host("h2")] })).toMatchObject({ placed: [], blocked: [] });
  });
});

const hosts = fc.array(fc.integer({ min: 1, max: 6 }), { minLength: 2, maxLength: 5 });
const jobs = fc.array(
  fc.record({
    ...{
      cpu: fc.integer({ min: 1, max: 6 }),
      band: fc.constantFrom(...BANDS),
      kind: fc.constantFrom("batch", "service"),
    },
    ...{ count: fc.integer({ min: 1, max: 3 }), gang: fc.boolean(), group: fc.constantFrom("in", "beside", "none") },
  }),
  { maxLength: 6 },
);

const runningIn = (world: World): string[] =>
  [...world.state.jobs.values()].flatMap(({ name, tasks }) =>
    tasks.flatMap(({ active, index }) => {
      const allocation = active === null ? undefined : world.state.allocations.get(active);
      return allocation === undefined || allocation.hostId === "h0" ? [] : [`${name}[${index}]`];
    }),
  );

/** Carries out what is planned, and what is stopped ends, until nothing is left to do. */
const carryOut = (world: World): void => {
  for (let plans = 0; plans < 20; plans += 1) {
    const lines = world.plan();
    for (const { desired, hostId, id, state } of [...world.state.allocations.values()])
      if (desired === "stop" && state !== "exited" && hostId !== "h0")
        world.report(id, "exited", makeExit(143, { cause: "stopped" }));
    if (lines.length === 0) return;
    world.nowMs += 5_000;
  }
};

test("what runs in the end is what runs when it is lost, and all is carried out", () => {
  fc.assert(
    fc.property(hosts, jobs, (sizes, specs) => {
      const world = new World();
      sizes.forEach((cpu, one) => world.host(`h${one}`, resources(cpu * 1000, 8192), [], { zone: `z${one % 2}` }));
      specs.forEach(({ band, count, cpu, gang, group, kind }, one) => {
        const by = "host.labels.zone";
        const placement = group === "in" ? { groups: ["g"] } : { together: [{ group: "g", by }] };
        const base = { kind: kind as "batch", count, requests: resources(cpu * 1000, 64, 1), ...at(band) };
        const restart = { backoffFirstMs: 100 };
        const more = { ...(gang && { gangMin: count }), ...(group !== "none" && { placement }) };
        world.submit(makeSpec(`j${one}`, { ...base, ...more, restart }));
      });
      carryOut(world);
      const before = runningIn(world);
      const view = ask(world, { lose: ["h0" as HostId] });
      world.append([{ kind: "host_lost", hostId: host("h0"), silentMs: 60_000 }]);
      carryOut(world);
      const after = runningIn(world);
      const placed = view.placed.map(({ index, job }) => `${job}[${index}]`);
      const blocked = view.blocked.map(({ index, job }) => `${job}[${index}]`);
      const foretold = new Set([...before, ...placed].filter((name) => !blocked.includes(name)));
      expect([...foretold].sort()).toEqual([...after].sort());
    }),
    { numRuns: 60 },
  );
});
