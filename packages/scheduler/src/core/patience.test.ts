import { leaseTermsOf, type JobSpec } from "@berth/schema";
import { describe, expect, it } from "vitest";
import { decideLease, decideReady, decideRemove, planEvaluations, validatePlan, why } from "./index.ts";
import { nextSilenceMs } from "./patience.ts";
import { host, makeSpec, resources, silence, unwrap, World } from "./testing/world.ts";

const LIMITS = { disconnectedAfterMs: 2_000, lostAfterMs: 5_000 };
type Disconnect = NonNullable<JobSpec["disconnect"]>;
const replace = (afterMs: number | null): Disconnect => ({ afterMs, action: "replace", singleton: false });
const keep: Disconnect = { afterMs: null, action: "keep", singleton: false };
const singleton: Disconnect = { afterMs: null, action: "replace", singleton: true };

/** One service on h1, and room on h2. */
const running = (disconnect: Disconnect | undefined): World => {
  const world = new World();
  world.host("h1", resources(4000, 4096));
  world.submit(makeSpec("a", { kind: "service", ...(disconnect === undefined ? {} : { disconnect }) }));
  world.plan();
  world.report(world.active("a"), "running");
  world.host("h2", resources(4000, 4096));
  return world;
};
const next = (world: World): number | undefined => nextSilenceMs(world.state, host("h1"), LIMITS);
/** Without scores. */
const plan = (world: World): string[] => world.plan().map((line) => line.replace(/ [0-9.]+( instead|$)/, "$1"));
const silent = (world: World, ms: number): string[] => {
  world.append(silence(world.state, host("h1"), ms));
  return plan(world);
};
const sentence = (world: World): string =>
  unwrap(why(world.state, world.job("a").project, world.job("a").name, 0, world.nowMs)).sentence;

describe("how long a host is waited for", () => {
  it("as long as the cluster does, when a job says nothing", () => {
    const world = running(undefined);
    expect([next(world), silent(world, 2_001)]).toEqual([2_000, []]);
    expect([next(world), silent(world, 5_001)]).toEqual([5_000, ["media/a[0]#2 → h2 instead of h1"]]);
    expect(next(world)).toBeUndefined();
  });

  it("shorter than the cluster, though not before the host is disconnected", () => {
    const world = running(replace(1_000));
    expect(silent(world, 1_500)).toEqual([]);
    expect(world.state.hosts.get(host("h1"))?.state).toBe("ready");
    expect(silent(world, 2_001)).toEqual(["media/a[0]#2 → h2 instead of h1"]);
    expect(world.state.hosts.get(host("h1"))?.state).toBe("disconnected");
  });

  it("longer than the cluster: the host is lost meanwhile, and its return ends the count", () => {
    const world = running(replace(60_000));
    expect(silent(world, 5_001)).toEqual([]);
    expect(sentence(world)).toContain("placed elsewhere after 60 s of silence, as disconnect.after says");
    expect(next(world)).toBe(60_000);
    world.append(decideReady(world.state, host("h1")));
    expect(world.state.hosts.get(host("h1"))?.silentMs).toBe(0);
    expect(silent(world, 5_001)).toEqual([]);
    expect(silent(world, 60_001)).toEqual(["media/a[0]#2 → h2 instead of h1"]);
    expect(world.state.hosts.get(host("h1"))?.silentMs).toBe(60_001);
  });

  it("for ever, when the task is to be kept", () => {
    const world = running(keep);
    expect(silent(world, 5_001)).toEqual([]);
    expect([next(world), silent(world, 1e12)]).toEqual([undefined, []]);
    expect(sentence(world)).toContain("it waits for it");
  });

  it("until a singleton has stopped itself", () => {
    const world = running(singleton);
    const afterMs = leaseTermsOf(world.job("a").spec)?.replaceAfterMs ?? 0;
    expect(afterMs).toBeGreaterThan(world.job("a").spec.stopTimeoutMs);
    expect(silent(world, afterMs - 1)).toEqual([]);
    expect(silent(world, afterMs + 1)).toEqual(["media/a[0]#2 → h2 instead of h1"]);
  });

  it("refuses a plan that takes what is still waited for", () => {
    const world = running(replace(60_000));
    world.append(silence(world.state, host("h1"), 60_001));
    const env = { nowMs: world.nowMs, makeAllocationId: world.makeAllocationId };
    const { records } = planEvaluations(world.state, env, { maxPlacements: 10 });
    expect(validatePlan(world.state, records).ok).toBe(true);
    world.append(decideReady(world.state, host("h1")));
    world.append(silence(world.state, host("h1"), 5_001));
    const verdict = validatePlan(world.state, records);
    expect(verdict.ok ? [] : verdict.error).toContain("media/a[0]: its host h1 is not silent for long enough");
  });
});

describe("leases", () => {
  const nonce = "n".repeat(22);
  const session = (world: World): string => world.state.hosts.get(host("h1"))?.session ?? "";
  it("are for a host that answers, in its session, and name the document that they rest on", () => {
    const world = running(singleton);
    const request = { session: session(world), nonce };
    const rev = world.state.hosts.get(host("h1"))?.desiredRev;
    expect(unwrap(decideLease(world.state, host("h1"), request))).toMatchObject({ host: "h1", rev, nonce });
    expect(decideLease(world.state, host("h1"), { ...request, session: "s".repeat(16) }).ok).toBe(false);
    world.append(silence(world.state, host("h1"), 2_001));
    expect(decideLease(world.state, host("h1"), request).ok).toBe(false);
    silent(world, 60_000);
    world.append(decideReady(world.state, host("h1")));
    // What was replaced is not in that document any more: whoever has an older one may not run by this lease.
    expect(unwrap(decideLease(world.state, host("h1"), request)).rev).toBeGreaterThan(rev ?? 0);
  });

  it("outlive the removal of their host: the replacement waits for their end", () => {
    const world = running(singleton);
    world.append(unwrap(decideRemove(world.state, host("h1"), "ann", true)));
    const afterMs = leaseTermsOf(world.job("a").spec)?.replaceAfterMs ?? 0;
    world.nowMs += afterMs - 1;
    expect(world.plan()).toEqual([]);
    world.nowMs += 1;
    expect(plan(world)).toEqual(["media/a[0]#2 → h2"]);
  });
});
