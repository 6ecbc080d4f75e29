import { decoder, AllocationViewSchema, HostViewSchema, JobViewSchema } from "@berth/schema";
import { describe, expect, it } from "vitest";
import { allocationView, decideEnrol, decideStop, hostView, jobView } from "./index.ts";
import { host, makeExit, makeSpec, resources, silence, unwrap, World } from "./testing/world.ts";

const view = (world: World, job: string) => jobView(world.state, world.job(job).key, world.nowMs, true);
const state = (world: World, job: string): string => `${view(world, job)?.state} ${view(world, job)?.exitCode}`;

describe("views", () => {
  it("have the form that the API promises", () => {
    const world = new World();
    world.host("h1");
    world.submit(makeSpec("a", { count: 2 }));
    world.plan();
    const id = world.active("a");
    world.report(id, "exited", makeExit(0));
    const live = { usage: null, pressure: null, lastHeartbeatAgoMs: 12 };
    expect(decoder(JobViewSchema)(view(world, "a"))).toMatchObject({ ok: true });
    expect(decoder(AllocationViewSchema)(allocationView(world.state, id, null))).toMatchObject({ ok: true });
    expect(decoder(HostViewSchema)(hostView(world.state, host("h1"), live))).toMatchObject({ ok: true });
  });

  it("show of a host what is booked, and nothing before its first hello", () => {
    const world = new World();
    const publicKey = `U${"A".repeat(55)}`;
    world.append(unwrap(decideEnrol(world.state, { id: host("h0"), publicKey, by: "admin" })));
    expect(hostView(world.state, host("h0"), null)).toBeUndefined();
    expect(hostView(world.state, host("nobody"), null)).toBeUndefined();
    world.host("h1");
    world.submit(makeSpec("a", { count: 2 }));
    world.plan();
    world.append(silence(world.state, host("h1"), 9_000));
    expect(hostView(world.state, host("h1"), null)).toMatchObject({
      state: "lost",
      reserved: resources(2000, 2048, 20),
      allocations: 2,
      lastHeartbeatAgoMs: null,
    });
  });

  it("follow a job through its states to its exit code", () => {
    const world = new World();
    world.submit(makeSpec("a", { count: 3 }));
    const states = [state(world, "a")];
    world.host("h1");
    world.plan();
    states.push(state(world, "a"));
    world.exit("a", 2, 9);
    world.exit("a", 0, 0);
    states.push(state(world, "a"));
    world.exit("a", 1, 7);
    states.push(state(world, "a"));
    // The lowest failed index speaks for the job.
    expect(states).toEqual(["pending null", "running null", "running null", "failed 7"]);
  });

  it("say 143 of a job that was stopped, and stopping until all of it has ended", () => {
    const world = new World();
    world.host("h1");
    world.submit(makeSpec("web", { kind: "service" }));
    world.plan();
    const { project, name } = world.job("web");
    world.append(unwrap(decideStop(world.state, project, name, "ann")));
    expect(state(world, "web")).toBe("stopping null");
    world.exit("web", 0, 0);
    expect(state(world, "web")).toBe("stopped 143");
  });

  it("do not claim that a service runs while all of it waits out a backoff", () => {
    const world = new World();
    world.host("h1");
    world.submit(makeSpec("web", { kind: "service" }));
    world.plan();
    world.exit("web", 0, 1);
    expect(view(world, "web")).toMatchObject({
      state: "pending",
      pendingReason: "media/web[0] is tried again in 1s, as attempt 2; attempt 1 ended with exit code 1",
    });
  });

  it("tell of room that is kept for another only when nothing is left to plan", () => {
    const world = new World();
    world.host("h1", resources(4000, 8192, 1000));
    world.submit(makeSpec("runs", { requests: resources(3000, 1024, 10), runTimeoutMs: 100_000 }));
    world.plan();
    world.submit(makeSpec("head", { requests: resources(4000, 1024, 10) }));
    world.submit(makeSpec("long", { requests: resources(1000, 1024, 10) }));
    world.plan();
    world.nowMs += 3_000;
    const reason = (isSettled: boolean) =>
      jobView(world.state, world.job("long").key, world.nowMs, isSettled)?.pendingReason;
    expect(reason(false)).toBeNull();
    expect(reason(true)).toMatch(/^media\/long\[0\] would fit on h1, which is kept for media\/head/);
  });
});
