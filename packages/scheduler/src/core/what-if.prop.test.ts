/** What is said of a cluster that is not, is checked against one that is: the same change made in the log. */
import type { HostId, JobName, ProjectName, WhatIfRequest, WhatIfView } from "@berth/schema";
import * as fc from "fast-check";
import { describe, expect, it, test } from "vitest";
import { drainPlan, hostLosses, whatIf, whyNot } from "./index.ts";
import { host, idMaker, makeExit, makeSpec, resources, unwrap, World } from "./testing/world.ts";

const amounts = fc.tuple(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 1, max: 6 }));
const toResources = ([cpu, memory]: [number, number], pids: number) => resources(cpu * 1000, memory * 1024, pids);

const ask = (world: World, request: WhatIfRequest): WhatIfView =>
  unwrap(whatIf(world.state, request, { nowMs: world.nowMs, makeAllocationId: idMaker() }));

const build = (hosts: readonly [number, number][], jobs: readonly [number, number][]): World => {
  const world = new World();
  hosts.forEach((all, at) => world.host(`h${at}`, toResources(all, 100)));
  jobs.forEach((requests, at) => world.submit(makeSpec(`job${at}`, { requests: toResources(requests, 1) })));
  world.plan();
  return world;
};

const placements = (world: World): string[] =>
  [...world.state.jobs.values()].map((job) => {
    const active = job.tasks[0]?.active ?? null;
    return `${job.name} ${active === null ? null : world.state.allocations.get(active)?.hostId}`;
  });

describe("what if", () => {
  it("a lost host is followed by what follows when it is lost", () => {
    fc.assert(
      fc.property(
        fc.array(amounts, { minLength: 1, maxLength: 4 }),
        fc.array(amounts, { maxLength: 6 }),
        (hosts, jobs) => {
          const world = build(hosts, jobs);
          const before = placements(world);
          const revision = world.state.revision;
          const view = ask(world, { lose: [host("h0")] });
          expect(world.state.revision).toBe(revision);
          expect(placements(world)).toEqual(before);
          expect(world.plan()).toEqual([]);

          const loss = [...hostLosses(world.state, world.nowMs)].find((one) => one.host === "h0");
          world.append([{ kind: "host_lost", hostId: host("h0"), silentMs: 0 }]);
          world.plan();
          const expected = placements(world).filter((line, at) => line !== before[at]);
          expect(view.placed.map(({ job, to }) => `${job} ${to}`).sort()).toEqual([...expected].sort());
          const left = placements(world).filter((line) => line.endsWith(" h0"));
          expect(view.blocked.map(({ job }) => `${job} h0`).sort()).toEqual([...left].sort());
          // Each by itself: the standing answer counts the same tasks when nothing else waits for room.
          const waiting = before.some((line) => line.endsWith(" null"));
          if (!waiting) expect(loss?.stranded).toBe(left.length);
        },
      ),
      { numRuns: 100 },
    );
  });

  it("more tasks and more hosts are what a submission and a hello make of them", () => {
    fc.assert(
      fc.property(
        amounts,
        amounts,
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 1, max: 9 }),
        (size, asked, hosts, more) => {
          const world = build([size], [asked]);
          const runsAlready = !(placements(world)[0] ?? "").endsWith(" null");
          const name = { project: "media" as ProjectName, job: "job0" as JobName };
          const view = ask(world, { add: [{ like: host("h0"), count: hosts }], more: [{ ...name, count: more }] });
          expect(view.added).toHaveLength(hosts);
          const each = Math.min(Math.floor(size[0] / asked[0]), Math.floor(size[1] / asked[1]));
          const room = each * (hosts + 1) - (runsAlready ? 1 : 0);
          // The one that waits comes first.
          const wanted = more + (runsAlready ? 0 : 1);
          expect(view.totals.placed).toBe(Math.min(room, wanted));
          expect(view.totals.blocked).toBe(Math.max(0, more - Math.max(0, room)));
          if (view.totals.blocked > 0) expect(view.blocked[0]?.outcome).toMatchObject({ kind: "blocked" });
        },
      ),
      { numRuns: 100 },
    );
  });

  test("services leave a host that is drained, batch tasks finish there, and the drain plan says the same", () => {
    const world = new World();
    world.host("h0");
    world.submit(makeSpec("web", { kind: "service", count: 2 }));
    world.submit(makeSpec("sums", { count: 1 }));
    world.plan();
    world.host("h1");
    const view = ask(world, { drain: [host("h0")] });
    expect(view.placed.map(({ job, from, to }) => [job, from, to])).toEqual([
      ["web", "h0", "h1"],
      ["web", "h0", "h1"],
    ]);
    expect(view.finish).toEqual([world.active("sums")]);
    expect(view.hosts).toEqual({ open: 1, empty: 0 });
    const { steps } = drainPlan(world.state, host("h0"), 60_000, world.nowMs);
    expect(steps.map(({ job, kind, to }) => [job, kind, to])).toEqual([
      ["web", "move", "h1"],
      ["web", "move", "h1"],
      ["sums", "finish", null],
    ]);
  });

  const racks = (): World => {
    const world = new World();
    for (const name of ["h0", "h1", "h2"]) world.host(name);
    return world;
  };
  const losing = (world: World, name: string): WhatIfView => {
    const index = [0, 1].find((at) => world.state.allocations.get(world.active(name, at))?.hostId === "h0") ?? 0;
    expect(world.state.allocations.get(world.active(name, index))?.hostId).toBe("h0");
    return ask(world, { lose: [host("h0")] });
  };

  test("a gang that loses a host begins anew as a whole where there is room for all of it", () => {
    const world = racks();
    world.submit(makeSpec("gang", { count: 2, gangMin: 2, placement: { maxPerHost: 1 } }));
    world.plan();
    const view = losing(world, "gang");
    expect(view.totals).toEqual({ placed: 2, blocked: 0, finish: 0 });
    world.append([{ kind: "host_lost", hostId: host("h0"), silentMs: 0 }]);
    expect(world.plan()).toEqual([expect.stringMatching(/^stop media\/gang\[.\] on h.: gang_incomplete$/)]);
    for (const { id } of [...world.state.allocations.values()].filter(({ desired }) => desired === "stop"))
      world.report(id, "exited", makeExit(143, { cause: "stopped" }));
    world.nowMs += 60_000;
    expect(world.plan()).toHaveLength(2);
  });

  test("one that lacks room for some of it does not, and that is what is said", () => {
    const world = racks();
    world.submit(makeSpec("gang", { count: 3, gangMin: 3, placement: { maxPerHost: 1 } }));
    world.plan();
    const view = losing(world, "gang");
    expect(view.placed).toEqual([]);
    // Those that stood elsewhere are without a place then, too.
    expect(new Set(view.blocked.map(({ from }) => from))).toEqual(new Set(["h0", "h1", "h2"]));
    expect(view.totals.blocked).toBe(3);
    expect(view.blocked[0]).toMatchObject({ outcome: { kind: "held", hold: { kind: "gang", needed: 3, able: 2 } } });
  });

  test("whoever is stopped for what was on the lost host is said to have no place, or another", () => {
    const world = racks();
    const whole = { requests: resources(4000, 1024, 10) };
    world.submit(makeSpec("vip", { kind: "service", ...whole, priority: { band: "production", level: 50 } }));
    world.plan();
    world.submit(makeSpec("low", { ...whole, count: 2, priority: { band: "besteffort", level: 50 } }));
    world.plan();
    const view = losing(world, "vip");
    expect(view.placed).toEqual([expect.objectContaining({ job: "vip", from: "h0" })]);
    const [vip] = view.placed;
    expect(view.blocked).toEqual([expect.objectContaining({ job: "low", from: vip?.to })]);
    expect(view.totals).toEqual({ placed: 1, blocked: 1, finish: 0 });
  });

  test("what waits for its host is not said to be placed elsewhere", () => {
    const world = racks();
    const disconnect = { afterMs: null, action: "keep", singleton: false } as const;
    world.submit(makeSpec("kept", { kind: "service", count: 2, disconnect }));
    world.plan();
    const view = losing(world, "kept");
    expect(view.placed).toEqual([]);
    expect(view.blocked.map(({ sentence }) => sentence)).toEqual([
      "media/kept[0] is on h0, which is lost; it waits for it, as disconnect.action says",
      "media/kept[1] is on h0, which is lost; it waits for it, as disconnect.action says",
    ]);
  });

  test("hosts and jobs that are not there are named", () => {
    const world = build([[1, 1]], []);
    const env = { nowMs: 0, makeAllocationId: idMaker() };
    const of = (request: WhatIfRequest) => {
      const answer = whatIf(world.state, request, env);
      return answer.ok ? "ok" : `${answer.error.code}: ${answer.error.detail}`;
    };
    expect(of({ lose: ["h9" as HostId] })).toBe("host.not_found: there is no host h9; see berth hosts");
    expect(of({ add: [{ like: "h9" as HostId, count: 1 }] })).toMatch("host.not_found: there is no host h9");
    expect(of({ more: [{ project: "media" as ProjectName, job: "x" as JobName, count: 1 }] })).toMatch(
      "job.not_found: there is no job media/x",
    );
  });
});

test("why not: where it is, what a host lacks, and how one with room scores beside the chosen one", () => {
  const world = new World();
  world.host("h0", resources(4_000, 8_192));
  world.host("h1", resources(8_000, 16_384));
  world.host("h2", resources(100, 16_384));
  world.submit(makeSpec("task", { requests: resources(1_000, 1_024) }));
  world.plan();
  const of = (name: string) =>
    unwrap(whyNot(world.state, "media" as ProjectName, "task" as JobName, 0, name as HostId, world.nowMs));
  expect(of("h0").sentence).toBe("media/task[0] is on h0");
  expect(of("h1").sentence).toMatch(
    /^h1 could take media\/task\[0\] now, with a score of 0\.\d{3}; h0 was chosen with 0\.\d{3}$/,
  );
  const [other, chosen] = [of("h1").score?.total ?? 1, of("h1").chosen?.score.total ?? 0];
  expect(other).toBeLessThan(chosen);
  expect(of("h2")).toMatchObject({
    sentence: "h2 is too small (cpu: 0.9 CPUs more than it has in all), so it cannot take media/task[0] now",
    refusal: { reason: "too_small", dimension: "cpuMillis", short: 900 },
    score: null,
  });
  const missing = whyNot(world.state, "media" as ProjectName, "task" as JobName, 0, "h9" as HostId, world.nowMs);
  expect(missing).toMatchObject({ ok: false, error: { code: "host.not_found" } });
});
