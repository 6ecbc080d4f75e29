import { describe, expect, it } from "vitest";
import { decideStop, decideSubmit, desiredFor, dryRun } from "./index.ts";
import { MAX_ACTIVE_TASKS, MAX_DAEMONS } from "./state.ts";
import { makeSpec, resources, unwrap, World } from "./testing/world.ts";

const outcome = (world: World, spec: ReturnType<typeof makeSpec>, key: string | null = null): string => {
  const decision = world.trySubmit(spec, key);
  return decision.ok
    ? `${decision.value.action} ${decision.value.version}`
    : `${decision.error.code}: ${decision.error.detail}`;
};
const service = (command = "true") => makeSpec("web", { kind: "service", command: [command], env: { A: "1", B: "2" } });

describe("a submission", () => {
  it("creates, leaves alone what is equal, replaces a service that differs", () => {
    const world = new World();
    expect(outcome(world, service())).toBe("create 1");
    expect(outcome(world, { ...service(), env: { B: "2", A: "1" } })).toBe("unchanged 1");
    expect(outcome(world, service("other"))).toBe("replace 2");
  });

  it("starts from a snapshot of its own project, and of no other, planned or not", () => {
    const world = new World();
    const spec = makeSpec("spy", { image: "oci://local/secretive/snapshots/web:0.before" });
    const env = { nowMs: world.nowMs, makeAllocationId: world.makeAllocationId };
    const refused = { ok: false, error: { code: "job.spec_invalid", detail: expect.stringContaining("secretive") } };
    expect(world.trySubmit(spec)).toMatchObject(refused);
    expect(dryRun(world.state, spec, env)).toMatchObject(refused);
    const own = makeSpec("own", { image: `oci://local/${spec.project}/snapshots/web:0.before` });
    expect(dryRun(world.state, own, env).ok).toBe(true);
    expect(outcome(world, own)).toBe("create 1");
    expect(outcome(world, makeSpec("image", { image: "oci://local/secretive/web:0.before" }))).toBe("create 1");
  });

  it("that is the same starts anew when it is to, once for each Idempotency-Key", () => {
    const world = new World();
    world.host("h1");
    world.submit(service());
    world.plan();
    const before = world.active("web", 0);
    const submission = { spec: service(), by: "ann", idempotencyKey: "k", requestDigest: "d", again: true };
    const decided = unwrap(decideSubmit(world.state, submission));
    expect(decided).toMatchObject({ action: "replace", version: 2 });
    world.append(decided.records);
    expect(unwrap(decideSubmit(world.state, submission))).toMatchObject({ action: "unchanged", version: 2 });
    expect(world.plan()).toEqual([expect.stringContaining("stop")]);
    expect(desiredFor(world.state, "h1" as never).allocations).toMatchObject([{ id: before, desired: "stop" }]);
    expect(unwrap(decideSubmit(world.state, { ...submission, idempotencyKey: null })).version).toBe(3);
  });

  it("that differs in limits only leaves everything where it is, also what a batch job runs", () => {
    for (const kind of ["service", "batch"] as const) {
      const world = new World();
      world.host("h1");
      const spec = makeSpec("a", { kind, count: 3 });
      const limits = { ...spec.limits, cpuMillis: 3000, ioWeight: 50 };
      expect(outcome(world, spec)).toBe("create 1");
      world.plan();
      world.exit("a", 2, 0);
      const before = [world.active("a", 0), world.active("a", 1)];
      const free = JSON.stringify(world.state.hosts.get("h1" as never)?.allocations.length);
      expect(outcome(world, { ...spec, limits }, "key")).toBe("change_limits 2");
      expect(outcome(world, { ...spec, limits }, "key")).toBe("unchanged 2");
      // Nothing is stopped, and a service's task that had ended is tried again when it would have been.
      expect(world.plan()).toEqual([]);
      expect(JSON.stringify(world.state.hosts.get("h1" as never)?.allocations.length)).toBe(free);
      world.nowMs += 1_000;
      expect(world.plan()).toEqual(kind === "batch" ? [] : [expect.stringContaining("media/a[2]#2 → h1")]);
      expect([world.active("a", 0), world.active("a", 1)]).toEqual(before);
      const document = desiredFor(world.state, "h1" as never);
      const wanted = document.allocations.filter(({ id }) => before.includes(id));
      expect(wanted.map(({ jobVersion, desired }) => [jobVersion, desired])).toEqual([
        [2, "run"],
        [2, "run"],
      ]);
      expect(document.specs[wanted[0]?.spec ?? ""]?.limits).toEqual(limits);
      expect(world.job("a")).toMatchObject({ version: 2, spec: { limits } });
      // What is requested is booked: that is another matter.
      const asks = { ...spec, limits, requests: { ...spec.requests, cpuMillis: spec.requests.cpuMillis + 10 } };
      expect(outcome(world, asks)).toMatch(kind === "service" ? /^replace 3$/ : /^job.active/);
    }
  });

  it("runs a finished job again, and refuses one that still runs", () => {
    const world = new World();
    world.host("h1");
    expect(outcome(world, makeSpec("a", { count: 2 }))).toBe("create 1");
    expect(outcome(world, makeSpec("a", { count: 2 }))).toBe(
      "job.active: media/a is a batch job with 2 of 2 tasks still to finish; wait for its end, stop it first, or submit under another name",
    );
    world.plan();
    world.exit("a", 0, 0);
    world.exit("a", 1, 0);
    expect(outcome(world, makeSpec("a", { count: 2 }))).toBe("run_again 2");
  });

  it("is done once per Idempotency-Key, per user", () => {
    const world = new World();
    world.host("h1");
    expect(outcome(world, makeSpec("a"), "k1")).toBe("create 1");
    expect(outcome(world, makeSpec("a"), "k1")).toBe("unchanged 1");
    expect(outcome(world, makeSpec("b"), "k1")).toBe(
      "idempotency.reused: this Idempotency-Key was used to submit media/a version 1; use a new key",
    );
    world.plan();
    world.exit("a", 0, 0);
    // The answer stays the same although the job could run again by now.
    expect(outcome(world, makeSpec("a"), "k1")).toBe("unchanged 1");
    const bob = decideSubmit(world.state, { spec: makeSpec("b"), by: "bob", idempotencyKey: "k1", requestDigest: "x" });
    expect(unwrap(bob).action).toBe("create");
  });

  it("is refused beyond the number of tasks that a cluster holds", () => {
    const world = new World();
    const each = 100_000;
    for (let at = 0; at < MAX_ACTIVE_TASKS / each; at += 1) world.submit(makeSpec(`j${at}`, { count: each }));
    expect(outcome(world, makeSpec("one"))).toBe(
      "job.too_many: 1 tasks more than the 1000000 of unfinished jobs would exceed the limit of 1000000; stop some jobs or wait",
    );
  });

  it("is refused beyond the number of daemons that a cluster holds, however many hosts there are", () => {
    const world = new World();
    const daemon = (name: string, command = ["true"]) => makeSpec(name, { kind: "daemon", count: 0, command });
    for (let at = 0; at < MAX_DAEMONS; at += 1) world.submit(daemon(`d${at}`));
    expect(outcome(world, daemon("one"))).toBe(
      "job.too_many: 100 daemons have not finished, the limit is 100; stop some",
    );
    expect(outcome(world, daemon("d7", ["false"]))).toBe("replace 2");
    world.append(unwrap(decideStop(world.state, "media" as never, "d7" as never, "ann")));
    expect(outcome(world, daemon("one"))).toBe("create 1");
  });

  it("is refused when its document would not fit the log", () => {
    const world = new World();
    const spec = makeSpec("a", { command: ["echo", "x".repeat(300_000)] });
    expect(outcome(world, spec)).toContain("request.too_large");
  });
});

describe("stopping", () => {
  it("is one record, then none; and a problem for a job that is not there", () => {
    const world = new World();
    world.host("h1", resources(0, 0));
    world.submit(makeSpec("a"));
    const { project, name } = world.job("a");
    const first = unwrap(decideStop(world.state, project, name, "ann"));
    expect(first).toEqual([{ kind: "job_stopped", project: "media", job: "a", by: "ann" }]);
    world.append(first);
    expect(world.job("a")).toMatchObject({ exitCode: 143, counts: { stopped: 1 } });
    expect(unwrap(decideStop(world.state, project, name, "ann"))).toEqual([]);
    const missing = decideStop(world.state, project, "nope" as typeof name, "ann");
    expect(missing).toMatchObject({ ok: false, error: { code: "job.not_found" } });
  });
});
