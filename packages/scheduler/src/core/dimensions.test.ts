import { DIMENSIONS, MAX_COUNTED } from "@berth/schema";
import { describe, expect, it } from "vitest";
import {
  createState,
  decideHello,
  decideRemove,
  decideSubmit,
  dryRun,
  fold,
  imageOf,
  planEvaluations,
  reservedOn,
  restoreImage,
  why,
  type ImageLine,
} from "./index.ts";
import { inside } from "./state.ts";
import { host, makeExit, makeHello, makeSpec, resources, unwrap, World } from "./testing/world.ts";
import { BASE } from "./vector.ts";

const having = (more: Readonly<Record<string, number>>) => ({ ...resources(4000, 8192, 1000), more: { ...more } });
const asking = (more: Readonly<Record<string, number>>) => ({
  requests: { ...resources(100, 64, 1), more: { ...more } },
});
const named = (of: string): Record<string, number> =>
  Object.fromEntries(Array.from({ length: MAX_COUNTED }, (_, at) => [`${of}${at}`, 1]));

describe("further dimensions", () => {
  it("of which hosts name dozens leave room for one that a job asks for", () => {
    const world = new World();
    for (const name of ["greedy", "worse", "worst"]) world.host(name, having(named(name)));
    world.host("honest", having({ "license.matlab": 2 }));
    expect(world.state.dimensions).toEqual([...DIMENSIONS]);
    const spec = makeSpec("solve", { count: 3, ...asking({ "license.matlab": 1 }) });
    const env = { nowMs: world.nowMs, makeAllocationId: world.makeAllocationId };
    const foretold = unwrap(dryRun(world.state, spec, env)).tasks.map(({ outcome }) => outcome.kind);
    expect(foretold).toEqual(["placed", "placed", "blocked"]);
    // By asking alone nothing has changed.
    expect(world.state.dimensions).toEqual([...DIMENSIONS]);
    world.submit(spec);
    expect(world.state.dimensions).toEqual([...DIMENSIONS, "license.matlab"]);
    expect(world.plan()).toHaveLength(2);
    const answer = unwrap(why(world.state, "media" as never, "solve" as never, 2, world.nowMs));
    expect(answer.sentence).toContain("honest lacks license.matlab (1 license.matlab short)");
  });

  it("are refused to a job as soon as others have all places, and said to be the reason where it waits for them already", () => {
    const world = new World();
    const places = named("all");
    world.submit(makeSpec("early", asking({ late: 1 })));
    world.host("h1", having(places));
    world.submit(makeSpec("greedy", asking(places)));
    expect(world.plan()).toHaveLength(1);
    world.host("h2", having({ late: 1, diskBytes: 10 }));
    expect(world.state.dimensions).toContain("diskBytes");
    expect(world.plan()).toEqual([]);
    const { outcome, sentence } = unwrap(why(world.state, "media" as never, "early" as never, 0, world.nowMs));
    expect(sentence).toContain("h2 cannot be booked for late (a cluster counts 9 such amounts, taken by all0,");
    expect(outcome).toMatchObject({ kind: "blocked", unblockedBy: [] });

    const spec = makeSpec("late", asking({ late: 1, diskBytes: 1 }));
    const env = { nowMs: world.nowMs, makeAllocationId: world.makeAllocationId };
    const submission = { spec, by: "me", idempotencyKey: null, requestDigest: "" };
    for (const answer of [decideSubmit(world.state, submission), dryRun(world.state, spec, env)]) {
      if (answer.ok) throw new Error("it was taken");
      expect(answer.error).toMatchObject({ code: "job.spec_invalid", errors: [{ pointer: "/resources" }] });
      expect(answer.error.detail).toContain("late cannot be booked: a cluster counts 9 such amounts");
    }
  });

  it("of which a job asks for as many as it may leave room for ports, disk and network", () => {
    const world = new World();
    const link = { netIngressBits: 1_000, netEgressBits: 1_000 };
    const more = { ...named("all"), ...link, diskBytes: 10, ports: 1 };
    world.host("h1", having(more));
    const hello = makeHello(having(more), "session-0000000002");
    const capacity = { ...hello.capacity, ports: { first: 20_000, last: 20_000 } };
    world.append(unwrap(decideHello(world.state, host("h1"), { ...hello, capacity })));
    world.submit(makeSpec("greedy", asking(named("all"))));
    world.plan();
    world.submit(makeSpec("web", { ...asking({ ...link, ports: 1 }), ports: [{ name: "http", port: null }] }));
    expect(world.plan()).toEqual([expect.stringMatching(/^media\/web\[0\]#1 → h1 /)]);
    expect(world.state.dimensions).toHaveLength(BASE);
  });

  const full = (kind: "batch" | "service"): World => {
    const world = new World();
    world.host("h1", having({ ...named("all"), late: 1 }));
    world.submit(makeSpec("greedy", { kind, ...asking(named("all")) }));
    expect(world.plan()).toHaveLength(1);
    return world;
  };
  /** Refolded, and from a snapshot that was taken when the log was as long as `before`. */
  const sameElsewhere = (world: World, image: string, before: number): void => {
    const [refolded, restored] = [createState(), createState()];
    restoreImage(restored, JSON.parse(image) as ImageLine[]);
    for (const { sequence, transaction } of world.log) fold(refolded, sequence, transaction);
    for (const { sequence, transaction } of world.log.slice(before)) fold(restored, sequence, transaction);
    const planOf = (state: typeof refolded) =>
      planEvaluations(state, { nowMs: world.nowMs, makeAllocationId: () => "id" as never }, { maxPlacements: 10 })
        .records;
    for (const state of [refolded, restored]) {
      expect(state.dimensions).toEqual(world.state.dimensions);
      expect(planOf(state)).toEqual(planOf(world.state));
      expect([...imageOf(state)]).toEqual([...imageOf(world.state)]);
    }
  };

  it("leave their place to one that is asked for once nobody asks for them, nor has any of them booked", () => {
    const world = full("batch");
    const [image, before] = [JSON.stringify([...imageOf(world.state)]), world.log.length];
    world.exit("greedy", 0, 0);
    const spec = makeSpec("late", { count: 2, ...asking({ late: 1 }) });
    const env = { nowMs: world.nowMs, makeAllocationId: world.makeAllocationId };
    const foretold = unwrap(dryRun(world.state, spec, env)).tasks.map(({ outcome }) => outcome.kind);
    expect(foretold).toEqual(["placed", "blocked"]);
    world.submit(spec);
    expect(world.state.dimensions).toEqual([...DIMENSIONS, "late", ...Object.keys(named("all")).slice(1)]);
    expect(world.plan()).toHaveLength(1);
    const { sentence } = unwrap(why(world.state, "media" as never, "late" as never, 1, world.nowMs));
    expect(sentence).toContain("h1 lacks late (1 late short)");
    // What was learned of what stood there is not taken for what stands there now.
    expect(
      inside(world.state)
        .demand.facts()
        .known.map(([request]) => request.at(DIMENSIONS.length)),
    ).toEqual([1]);
    sameElsewhere(world, image, before);
    // And the other way round: it is the only one that nobody asks for.
    world.exit("late", 0, 0);
    world.append([{ kind: "job_stopped", project: "media" as never, job: "late" as never, by: "ann" }]);
    world.submit(makeSpec("again", asking(named("all"))));
    expect(world.plan()).toHaveLength(1);
    sameElsewhere(world, image, before);
  });

  it("are there for whoever waits as soon as what has them booked has ended", () => {
    const world = full("service");
    const [image, before] = [JSON.stringify([...imageOf(world.state)]), world.log.length];
    world.submit(makeSpec("greedy", { kind: "service" }));
    world.submit(makeSpec("late", asking({ late: 1 })));
    expect(world.plan()).toEqual([expect.stringMatching(/^stop media\/greedy/)]);
    const { sentence } = unwrap(why(world.state, "media" as never, "late" as never, 0, world.nowMs));
    expect(sentence).toContain("h1 cannot be booked for late (a cluster counts 9 such amounts");
    world.report([...world.state.allocations.values()][0]!.id, "exited", makeExit(143, { cause: "stopped" }));
    expect(world.state.dimensions).toContain("late");
    expect(world.plan()).toHaveLength(2);
    sameElsewhere(world, image, before);
  });

  it("that no host has any more are waited for by those who ask for them, and count no longer", () => {
    const world = full("batch");
    world.submit(makeSpec("next", asking({ all0: 1 })));
    world.exit("greedy", 0, 0);
    const hello = makeHello(having({ late: 1 }), "session-0000000002");
    world.append(unwrap(decideHello(world.state, host("h1"), hello)));
    world.submit(makeSpec("late", asking({ late: 1 })));
    expect(world.plan()).toEqual([expect.stringMatching(/^media\/late/)]);
    const answer = () => unwrap(why(world.state, "media" as never, "next" as never, 0, world.nowMs));
    expect(answer().sentence).toContain("h1 is too small (all0: 1 all0 more than it has in all)");
    world.host("h2", having(named("all")));
    expect(world.plan()).toEqual([expect.stringMatching(/^media\/next/)]);
  });

  it("that no host has any more leave their place at once to one that waits for it", () => {
    const leave: Readonly<Record<string, (world: World) => void>> = {
      removed: (world) => world.append(unwrap(decideRemove(world.state, host("h1"), "ann", true))),
      changed: (world) =>
        world.append(unwrap(decideHello(world.state, host("h1"), makeHello(having({}), "session-0000000002")))),
    };
    for (const [how, leaves] of Object.entries(leave)) {
      const world = new World();
      world.submit(makeSpec("early", asking({ late: 1 })));
      world.host("h1", having(named("all")));
      world.submit(makeSpec("greedy", { kind: "service", ...asking(named("all")) }));
      if (how === "removed") expect(world.plan()).toHaveLength(1);
      world.host("h2", having({ late: 1 }));
      expect(world.state.dimensions).not.toContain("late");
      const [image, before] = [JSON.stringify([...imageOf(world.state)]), world.log.length];
      leaves(world);
      expect(world.state.dimensions, how).toContain("late");
      expect(world.plan()).toEqual([expect.stringMatching(/^media\/early\[0\]#1 → h2 /)]);
      sameElsewhere(world, image, before);
    }
  });

  it("count as soon as a host has what waits, and disk from the first host on", () => {
    const world = new World();
    world.host("h1", having({ diskBytes: 10 }));
    expect(world.state.dimensions).toEqual([...DIMENSIONS, "diskBytes"]);
    world.submit(makeSpec("job", asking({ fpga: 1 })));
    expect(world.plan()).toEqual([]);
    world.host("h2", having({ fpga: 1, other: 5 }));
    expect(world.plan()).toHaveLength(1);
    expect(world.state.dimensions).toEqual([...DIMENSIONS, "diskBytes", "fpga"]);
  });

  it("may have the names that every object has, and are amounts and nothing else", () => {
    const hello = (more: Record<string, number>, capacity: Record<string, number>) => {
      const all = makeHello(having(more));
      const systemReserved = { ...resources(0, 0, 0), more: { diskBytes: 1 } };
      return { ...all, capacity: { ...all.capacity, capacity: having(capacity), systemReserved } };
    };
    const world = new World();
    for (const name of ["h1", "h2"]) world.host(name);
    const claims: [string, Record<string, number>, Record<string, number>][] = [
      ["h1", { constructor: 5 }, { constructor: 5 }],
      ["h2", { constructor: 5, valueOf: 1 }, { diskBytes: 9 }],
    ];
    for (const [name, more, capacity] of claims)
      world.append(unwrap(decideHello(world.state, host(name), hello(more, capacity))));
    expect(world.state.hosts.get(host("h1"))?.allocatable.more).toEqual({ constructor: 5 });
    expect(world.state.hosts.get(host("h2"))?.allocatable.more).toBeUndefined();
    world.submit(makeSpec("some", { count: 3, ...asking({ constructor: 2 }) }));
    world.submit(makeSpec("none", asking({ toString: 1 })));
    expect(world.plan().map((line) => line.split(" ").slice(0, 3).join(" "))).toEqual([
      "media/some[0]#1 → h1",
      "media/some[1]#1 → h1",
    ]);
    expect(reservedOn(world.state, host("h1")).more).toEqual({ constructor: 4 });
  });

  it("come out of a snapshot and of the log alike, with what is asked for", () => {
    const world = new World();
    world.submit(makeSpec("job", asking({ fpga: 1 })));
    const restored = createState();
    restoreImage(restored, JSON.parse(JSON.stringify([...imageOf(world.state)])) as ImageLine[]);
    const before = world.log.length;
    world.host("h1", having({ fpga: 1, other: 5 }));
    for (const { sequence, transaction } of world.log.slice(before)) fold(restored, sequence, transaction);
    expect(restored.dimensions).toEqual(world.state.dimensions);
    const bounds = { maxPlacements: 10 };
    const plan = (state: typeof restored) =>
      planEvaluations(state, { nowMs: world.nowMs, makeAllocationId: () => "id" as never }, bounds).records;
    expect(plan(restored)).toEqual(plan(world.state));
    expect(plan(restored)).toHaveLength(1);
  });
});
