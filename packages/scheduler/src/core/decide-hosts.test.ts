import type { AllocationReport } from "@berth/schema";
import { describe, expect, it } from "vitest";
import { decideEnrol, decideHello, decideReady, decideReports } from "./index.ts";
import { host, makeExit, makeHello, makeSpec, resources, silence, unwrap, World } from "./testing/world.ts";

const key = (letter: string): string => `U${letter.repeat(55)}`;
const all = resources(4000, 8192, 1000);

describe("a host", () => {
  it("is admitted once with its key, and never with another", () => {
    const world = new World();
    const enrol = (publicKey: string) => decideEnrol(world.state, { id: host("h1"), publicKey, by: "admin" });
    world.append(unwrap(enrol(key("A"))));
    expect(enrol(key("A"))).toEqual({ ok: true, value: [] });
    expect(enrol(key("B"))).toMatchObject({ ok: false, error: { code: "host.key_differs" } });
  });

  it("must be admitted before it says hello, and is recorded when something changed", () => {
    const world = new World();
    const hello = (session?: string) => decideHello(world.state, host("h1"), makeHello(all, session));
    expect(hello()).toMatchObject({ ok: false, error: { code: "host.unknown" } });
    world.append(unwrap(decideEnrol(world.state, { id: host("h1"), publicKey: key("A"), by: "admin" })));
    const kinds = (session?: string) => unwrap(hello(session)).map((record) => record.kind);
    expect(kinds()).toEqual(["host_registered"]);
    world.append(unwrap(hello()));
    expect(world.state.hosts.get(host("h1"))).toMatchObject({ state: "ready", allocatable: all });
    expect(kinds()).toEqual([]);
    world.append(silence(world.state, host("h1"), 5_000.7));
    expect(kinds()).toEqual(["host_ready"]);
    expect(kinds("session-0000000002")).toEqual(["host_registered", "host_ready"]);
  });

  it("is refused with devices that nobody could tell apart, which would spoil every plan", () => {
    const world = new World();
    world.append(unwrap(decideEnrol(world.state, { id: host("h1"), publicKey: key("A"), by: "admin" })));
    const gpu = { kind: "gpu", id: "0", has: { milli: 1000 } };
    const hello = makeHello(all);
    const twice = { ...hello, capacity: { ...hello.capacity, devices: [gpu, gpu] } };
    expect(decideHello(world.state, host("h1"), twice)).toMatchObject({
      ok: false,
      error: { code: "message.invalid", detail: expect.stringContaining("two devices gpu:0") },
    });
  });

  it("is refused with more devices than can be told apart, and what others have is no burden to it", () => {
    const world = new World();
    for (const name of ["h1", "h2"])
      world.append(unwrap(decideEnrol(world.state, { id: host(name), publicKey: key("A"), by: "admin" })));
    const having = (kind: string, count: number) => {
      const devices = Array.from({ length: count }, (_, at) => ({ kind, id: `${at}`, has: { milli: 1000 } }));
      const hello = makeHello(all);
      return { ...hello, capacity: { ...hello.capacity, devices } };
    };
    expect(decideHello(world.state, host("h1"), having("gpu", 64))).toMatchObject({
      ok: false,
      error: { code: "message.invalid", detail: expect.stringContaining("16 amounts more than the cluster can book") },
    });
    world.append(unwrap(decideHello(world.state, host("h1"), having("gpu", 40))));
    expect(decideHello(world.state, host("h2"), having("gpu", 40)).ok).toBe(true);
    expect(decideHello(world.state, host("h2"), having("fpga", 8)).ok).toBe(true);
    expect(decideHello(world.state, host("h2"), having("fpga", 9)).ok).toBe(false);
  });

  it("is lost once and ready once", () => {
    const world = new World();
    const h1 = world.host("h1");
    expect(decideReady(world.state, h1)).toEqual([]);
    const lost = silence(world.state, h1, 5_000.7);
    expect(lost).toEqual([{ kind: "host_lost", hostId: "h1", silentMs: 5000 }]);
    world.append(lost);
    expect(silence(world.state, h1, 9_000)).toEqual([]);
    world.append(decideReady(world.state, h1));
    expect(decideReady(world.state, h1)).toEqual([]);
    expect(silence(world.state, host("nobody"), 9_000)).toEqual([]);
  });
});

describe("reports", () => {
  const states = (world: World, by: string, reports: readonly AllocationReport[]): string[] =>
    decideReports(world.state, host(by), reports).map((record) =>
      record.kind === "allocation_reported" ? record.report.state : record.kind,
    );

  it("are taken when they are forward news about the host's own allocations", () => {
    const world = new World();
    world.host("h1", all);
    world.host("h2", all);
    world.submit(makeSpec("a"));
    world.plan();
    const id = world.active("a");
    const report = (state: AllocationReport["state"]): AllocationReport => ({
      id,
      state,
      reason: "test",
      startedAtMs: 5,
      exit: state === "exited" ? makeExit(0) : null,
    });
    const unknown = { ...report("running"), id: world.makeAllocationId() };
    expect(
      states(world, "h1", [report("starting"), report("preparing"), report("running"), report("running"), unknown]),
    ).toEqual(["starting", "running"]);
    expect(states(world, "h2", [report("running")])).toEqual([]);
    expect(states(world, "h1", [report("lost"), report("placed")])).toEqual([]);
    world.append(decideReports(world.state, host("h1"), [report("exited")]));
    expect(states(world, "h1", [report("running"), report("failed"), report("exited")])).toEqual([]);
    expect(world.state.allocations.get(id)).toMatchObject({ state: "exited", startedAtMs: 5, exit: { code: 0 } });
  });
});
