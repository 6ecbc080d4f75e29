import { describe, expect, it } from "vitest";
import type { LogRecord, PortAsk, PortGrant, PortRange } from "@berth/schema";
import { decideHello, desiredFor, dryRun, planEvaluations, validatePlan, why, whyNot } from "./index.ts";
import { host, makeHello, makeSpec, resources, unwrap, World } from "./testing/world.ts";

const RANGE = { first: 20_000, last: 20_003 };

const addHost = (world: World, name: string, ports: PortRange = RANGE, session = "session-0000000001"): void => {
  const allocatable = { ...resources(4000, 8192, 1000), more: { ports: ports.last - ports.first + 1 } };
  if (!world.state.hosts.has(host(name))) world.host(name, allocatable);
  const hello = makeHello(allocatable, session);
  world.append(unwrap(decideHello(world.state, host(name), { ...hello, capacity: { ...hello.capacity, ports } })));
};

/** A service that asks for these: null is any. */
const asking = (name: string, ports: Readonly<Record<string, number | null>>, count = 1, changes = {}) =>
  makeSpec(name, {
    kind: "service",
    count,
    ports: Object.entries(ports).map(([as, port]) => ({ name: as, port })),
    requests: { ...resources(100, 64, 1), more: { ports: Object.keys(ports).length } },
    ...changes,
  });

const portsOf = (world: World, job: string, index = 0): readonly PortGrant[] =>
  world.state.allocations.get(world.active(job, index))?.ports ?? [];

/** A host that is full of work of little importance. */
const crowded = (): World => {
  const world = new World();
  addHost(world, "h1");
  world.submit(makeSpec("batch", { count: 4, priority: { band: "batch", level: 50 } }));
  world.plan();
  return world;
};
/** Whoever of it had to make room has done so. */
const endStopped = (world: World): void => {
  for (const allocation of world.state.allocations.values())
    if (allocation.desired === "stop") world.exit("batch", allocation.index, 143, { cause: "stopped" });
};

describe("ports of hosts", () => {
  it("of which any will do are the lowest that nobody has, in one plan and the next, and come to the host", () => {
    const world = new World();
    addHost(world, "h1");
    world.submit(asking("web", { http: null, metrics: null }));
    world.submit(asking("db", { sql: null }));
    world.plan();
    expect(portsOf(world, "web")).toEqual([
      { name: "http", port: 20_000 },
      { name: "metrics", port: 20_001 },
    ]);
    expect(portsOf(world, "db")).toEqual([{ name: "sql", port: 20_002 }]);
    world.exit("web", 0, 1);
    world.submit(asking("new", { a: null }));
    world.plan();
    expect(portsOf(world, "new")).toEqual([{ name: "a", port: 20_000 }]);
    const { allocations } = desiredFor(world.state, host("h1"));
    expect(allocations.find(({ job }) => job === "db")?.ports).toEqual([{ name: "sql", port: 20_002 }]);
  });

  it("are counted, so that a host gives out no more than it has", () => {
    const world = new World();
    addHost(world, "h1");
    world.submit(asking("web", { http: null, metrics: null }, 3));
    expect(world.plan()).toHaveLength(2);
    const answer = unwrap(why(world.state, "media" as never, "web" as never, 2, world.nowMs));
    expect(answer.sentence).toBe("0 of 1 host can take media/web[2]: h1 lacks ports (2 ports short)");
  });

  it("that a job names by their number are one task's on each host, and why says whose", () => {
    const world = new World();
    addHost(world, "h1");
    addHost(world, "h2");
    world.submit(asking("web", { http: 8080 }, 3));
    expect(world.plan()).toHaveLength(2);
    world.submit(asking("other", { admin: 8080 }));
    expect(world.plan()).toEqual([]);
    const answer = unwrap(why(world.state, "media" as never, "other" as never, 0, world.nowMs));
    expect(answer.sentence).toBe(
      "0 of 2 hosts can take media/other[0]: port 8080 of h1 is taken by media/web[0], port 8080 of h2 is taken by media/web[1]",
    );
    const there = unwrap(whyNot(world.state, "media" as never, "other" as never, 0, host("h2"), world.nowMs));
    expect(there.sentence).toBe("port 8080 of h2 is taken by media/web[1], so it cannot take media/other[0] now");
    const env = { nowMs: world.nowMs, makeAllocationId: world.makeAllocationId };
    const { tasks } = unwrap(dryRun(world.state, asking("third", { x: 8080 }), env));
    expect(tasks[0]?.outcome.kind).toBe("blocked");
    world.exit("web", 1, 0);
    world.nowMs += 1;
    expect(world.plan()).toEqual([expect.stringMatching(/^media\/web\[2\]#1 → h2 /)]);
  });

  it("by number are not those that the host gives to whoever asks for any", () => {
    const world = new World();
    addHost(world, "h1");
    world.submit(asking("web", { http: 20_002 }));
    expect(world.plan()).toEqual([]);
    const answer = unwrap(why(world.state, "media" as never, "web" as never, 0, world.nowMs));
    expect(answer.sentence).toContain(
      'h1 is against the rule "port 20002" (it is one of 20000-20003, which it gives to whoever asks for any)',
    );
    addHost(world, "h1", { first: 21_000, last: 21_003 }, "session-0000000002");
    expect(world.plan()).toHaveLength(1);
  });

  it("stay whose they are when a host gives out others", () => {
    const world = new World();
    addHost(world, "h1");
    world.submit(asking("any", { a: null }));
    world.submit(asking("said", { b: 8080 }));
    world.plan();
    addHost(world, "h1", { first: 8_079, last: 8_083 }, "session-0000000002");
    // 20000 is nobody's to give any more, and still taken; 8080 is in the range, and taken as well.
    world.submit(asking("wants", { c: 20_000 }));
    world.submit(asking("more", { d: null, e: null }));
    expect(world.plan()).toHaveLength(1);
    expect(portsOf(world, "more").map(({ port }) => port)).toEqual([8_079, 8_081]);
    const answer = unwrap(why(world.state, "media" as never, "wants" as never, 0, world.nowMs));
    expect(answer.sentence).toContain("port 20000 of h1 is taken by media/any[0]");
  });

  it("are asked for by daemons too, and kept for whoever gets the room of others", () => {
    const world = crowded();
    const daemon = { kind: "daemon" as const, requests: { ...resources(1000, 64, 1), more: { ports: 1 } } };
    world.submit(asking("node", { metrics: 9100 }, 0, daemon));
    expect(world.plan()).toHaveLength(1);
    // What is kept is not another's meanwhile.
    world.submit(asking("thief", { metrics: 9100 }));
    expect(world.plan()).toEqual([]);
    endStopped(world);
    expect(world.plan()).toEqual([expect.stringMatching(/^media\/node\[0\]#1 → h1 /)]);
    expect(portsOf(world, "node")).toEqual([{ name: "metrics", port: 9100 }]);
  });

  it("are nobody's where a host counts some and says no numbers, and more than it has where it says fewer", () => {
    const world = new World();
    world.host("h1", { ...resources(4000, 8192, 1000), more: { ports: 4 } });
    world.submit(asking("web", { http: null }));
    expect(world.plan()).toEqual([]);
    const hello = makeHello({ ...resources(4000, 8192, 1000), more: { ports: 4 } }, "session-0000000002");
    const capacity = { ...hello.capacity, ports: { first: 20_000, last: 20_001 } };
    world.append(unwrap(decideHello(world.state, host("h1"), { ...hello, capacity })));
    world.submit(asking("more", { a: null, b: null }));
    expect(world.plan()).toEqual([expect.stringMatching(/^media\/web\[0\]#1 → h1 /)]);
    const answer = unwrap(why(world.state, "media" as never, "more" as never, 0, world.nowMs));
    expect(answer.sentence).toContain("h1 lacks ports (1 port short)");
  });

  it("that are said by whom room is kept for are not given to others", () => {
    const world = crowded();
    world.submit(asking("kept", { metrics: 9100 }, 1, { requests: { ...resources(500, 64, 1), more: { ports: 1 } } }));
    expect(world.plan()).toEqual([expect.stringMatching(/^keep h1 for media\/kept\[0\]/)]);
    endStopped(world);
    world.submit(asking("thief", { metrics: 9101 }));
    const env = { nowMs: world.nowMs, makeAllocationId: world.makeAllocationId };
    const { records } = planEvaluations(world.state, env, { maxPlacements: 10 });
    const stolen = records.flatMap((record) =>
      record.kind === "allocation_placed" && record.placement.job === ("thief" as never) ? [record] : [],
    );
    const check = (port: number) => {
      const ports = [{ name: "metrics", port }];
      return validatePlan(
        world.state,
        stolen.map((record) => ({ ...record, placement: { ...record.placement, ports } })),
      );
    };
    expect(stolen).toHaveLength(1);
    expect(check(9101)).toEqual({ ok: true, value: undefined });
    const verdict = check(9100);
    expect(verdict.ok ? [] : verdict.error).toContain("h1: media/thief[0] is given port 9100, which is taken");
  });

  it("are not kept for whoever could not have them: they stay another's, go to another, or are the host's to give", () => {
    const world = crowded();
    const small = { requests: { ...resources(500, 64, 1), more: { ports: 1 } } };
    world.submit(asking("kept", { metrics: 9100 }, 1, small));
    const env = { nowMs: world.nowMs, makeAllocationId: world.makeAllocationId };
    const { records } = planEvaluations(world.state, env, { maxPlacements: 10 });
    const check = (more: readonly LogRecord[] = []) => {
      const verdict = validatePlan(world.state, [...records, ...more]);
      return verdict.ok ? [] : verdict.error;
    };
    expect(records.map(({ kind }) => kind)).toEqual(["room_reserved"]);
    expect(check()).toEqual([]);
    // As if the job had asked for other numbers when the plan was made.
    const asksFor = (job: string, port: number) => {
      const { spec } = world.state.jobs.get(`media/${job}` as never) as { spec: { ports: PortAsk[] } };
      spec.ports = [{ name: "metrics", port }];
    };
    asksFor("kept", 20_001);
    expect(check()).toEqual(["h1: media/kept[0] is to have port 20001, which is the host's to give"]);
    asksFor("kept", 9100);
    world.submit(asking("also", { metrics: 9100 }, 1, small));
    const twice = records.flatMap((record) =>
      record.kind === "room_reserved" ? [{ ...record, job: "also" as never, victims: [] }] : [],
    );
    expect(check(twice)).toEqual(["h1: media/also[0] is to have port 9100, which is taken"]);
  });

  it("that a plan gives wrongly are refused", () => {
    const world = new World();
    addHost(world, "h1");
    world.submit(asking("first", { a: null }));
    world.plan();
    world.submit(asking("web", { http: null, said: 8080 }));
    const env = { nowMs: world.nowMs, makeAllocationId: world.makeAllocationId };
    const [record] = planEvaluations(world.state, env, { maxPlacements: 10 }).records;
    if (record?.kind !== "allocation_placed") throw new Error("no placement");
    const { placement } = record;
    const check = (ports: readonly (readonly [string, number])[]) => {
      const given = ports.map(([name, port]) => ({ name, port }));
      const verdict = validatePlan(world.state, [{ ...record, placement: { ...placement, ports: given } }]);
      return verdict.ok ? [] : verdict.error.map((wrong) => wrong.replace("h1: media/web[0] ", ""));
    };
    expect(
      check([
        ["http", 20_001],
        ["said", 8080],
      ]),
    ).toEqual([]);
    expect(
      check([
        ["http", 20_000],
        ["said", 8080],
      ]),
    ).toEqual(["is given port 20000, which is taken"]);
    expect(
      check([
        ["http", 20_001],
        ["said", 8081],
      ]),
    ).toEqual(["asks for port 8080 and is given 8081"]);
    expect(
      check([
        ["http", 30_000],
        ["said", 8080],
      ]),
    ).toEqual(["is given port 30000 as http, of a host that gives out 20000-20003"]);
    expect(check([["http", 20_001]])).toEqual(["is given other ports"]);
  });
});
