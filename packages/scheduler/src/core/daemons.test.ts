import { describe, expect, it } from "vitest";
import {
  createState,
  decideCordon,
  decideDrain,
  decideDraining,
  decideHello,
  decideProject,
  decideProjectChange,
  decideRemove,
  decideUncordon,
  desiredFor,
  dryRun,
  fold,
  imageOf,
  planEvaluations,
  restoreImage,
  validatePlan,
  whatIf,
  why,
  whyNot,
  type ImageLine,
} from "./index.ts";
import type { LogRecord } from "@berth/schema";
import { problemOf } from "./rebalance/cluster-problem.ts";
import { jobState } from "./job-state.ts";
import { inside } from "./state.ts";
import { host, makeExit, makeHello, makeSpec, resources, silence, unwrap, World } from "./testing/world.ts";

const daemon = (name: string, changes: Parameters<typeof makeSpec>[1] = {}) =>
  makeSpec(name, { kind: "daemon", count: 0, restart: { on: "always" }, ...changes });

const ofZone = (zone: string) => ({ placement: { require: [`host.labels.zone == "${zone}"`] } });

/** Three hosts, of which the last is in another zone. */
const threeHosts = (): World => {
  const world = new World();
  for (const [name, zone] of Object.entries({ h1: "a", h2: "a", h3: "b" })) world.host(name, undefined, [], { zone });
  return world;
};

const relabel = (world: World, name: string, zone: string): void => {
  const hello = makeHello(resources(4000, 8192, 1000), "session-0000000002", [], { zone });
  world.append(unwrap(decideHello(world.state, host(name), hello)));
};

const hostsOf = (world: World, job: string): string[] =>
  world.job(job).tasks.map(({ active }) => (active === null ? "-" : world.state.allocations.get(active)!.hostId));

const drain = (world: World): void => void world.append(decideDrain(world.state, world.nowMs).records);

const env = (world: World) => ({ nowMs: world.nowMs, makeAllocationId: world.makeAllocationId });

describe("a daemon", () => {
  it("runs once on every host that its rule lets it on, and on those that come later", () => {
    const world = threeHosts();
    world.submit(daemon("log", ofZone("a")));
    expect(world.plan()).toHaveLength(2);
    expect(hostsOf(world, "log")).toEqual(["h1", "h2"]);
    world.host("h4", undefined, [], { zone: "a" });
    expect(world.plan()).toHaveLength(1);
    expect(hostsOf(world, "log")).toEqual(["h1", "h2", "h4"]);
    expect(world.plan()).toEqual([]);
    expect(world.job("log").counts).toMatchObject({ starting: 3, pending: 0 });
  });

  it("waits for its first host without an end", () => {
    const world = new World();
    world.submit(daemon("log"));
    expect(world.plan()).toEqual([]);
    expect(world.job("log")).toMatchObject({ finishedAtMs: null, tasks: [] });
    world.host("h1");
    world.plan();
    expect(hostsOf(world, "log")).toEqual(["h1"]);
    // And when its last one is gone, it waits as before.
    world.append(unwrap(decideRemove(world.state, host("h1"), "ann", true)));
    expect(jobState(world.job("log"))).toBe("pending");
  });

  it("leaves a host that matches no longer, and is back when it matches again, under the same name", () => {
    const world = threeHosts();
    world.submit(daemon("log", ofZone("a")));
    world.plan();
    relabel(world, "h1", "b");
    expect(world.plan()).toEqual(["stop media/log[0] on h1: host_excluded"]);
    world.exit("log", 0, 143, { cause: "stopped" });
    expect(world.plan()).toEqual([]);
    expect(world.job("log").counts).toMatchObject({ stopped: 1 });
    const answer = unwrap(why(world.state, "media" as never, "log" as never, 0, world.nowMs));
    expect(answer.sentence).toBe(
      'media/log[0] does not run: h1 is against the rule "host.labels.zone == "a"" (host.labels.zone is b)',
    );
    relabel(world, "h1", "a");
    world.plan();
    expect(hostsOf(world, "log")).toEqual(["h1", "h2"]);
  });

  it("goes on where its host matches again before a plan has stopped it, and not where it is an old version", () => {
    const world = threeHosts();
    world.submit(daemon("log", ofZone("a")));
    world.plan();
    const before = world.active("log", 0);
    relabel(world, "h1", "b");
    relabel(world, "h1", "a");
    expect(world.plan()).toEqual([]);
    expect(world.active("log", 0)).toBe(before);
    world.submit(daemon("log", { ...ofZone("a"), command: ["false"] }));
    relabel(world, "h1", "b");
    relabel(world, "h1", "a");
    expect(world.plan()).toEqual(["stop media/log[0] on h1: job_replaced", "stop media/log[1] on h2: job_replaced"]);
  });

  it("is kept no room: of what is as important it waits for the room, and why says so", () => {
    const world = new World();
    world.host("h1", resources(2000, 4096));
    const half = { requests: resources(500, 512, 10) };
    world.submit(makeSpec("work", { ...half, count: 4 }));
    world.plan();
    world.submit(daemon("log", { requests: resources(1500, 512, 10) }));
    world.submit(makeSpec("next", { ...half, count: 4 }));
    world.exit("work", 0, 0);
    // What stands behind it is not kept from room that is too small for it.
    expect(world.plan()).toEqual([expect.stringMatching(/^media\/next\[0\]#1 → h1 /)]);
    const { outcome, sentence } = unwrap(why(world.state, "media" as never, "log" as never, 0, world.nowMs));
    expect(sentence).toBe("0 of 1 host can take media/log[0]: h1 lacks cpu (1.5 CPUs short)");
    expect(outcome).toMatchObject({
      unblockedBy: expect.arrayContaining([{ kind: "raise_priority", above: "production", victims: 3 }]),
    });
    const system = { band: "system", level: 50 } as const;
    world.submit(daemon("log", { requests: resources(1500, 512, 10), priority: system }));
    expect(world.plan()).toEqual([expect.stringMatching(/^keep h1 for media\/log\[0\]: stop /)]);
  });

  it("gives the index of a host that was removed to the next one", () => {
    const world = threeHosts();
    world.submit(daemon("log"));
    world.plan();
    world.append(unwrap(decideRemove(world.state, host("h2"), "ann", true)));
    expect(world.plan()).toEqual([]);
    expect(hostsOf(world, "log")).toEqual(["h1", "-", "h3"]);
    expect(jobState(world.job("log"))).toBe("running");
    const answer = unwrap(why(world.state, "media" as never, "log" as never, 1, world.nowMs));
    expect(answer.sentence).toBe("media/log[1] has no host any more: its own was removed");
    world.host("h9");
    world.plan();
    expect(hostsOf(world, "log")).toEqual(["h1", "h9", "h3"]);
  });

  it("goes on and is started anew on a closed host, where nobody else is", () => {
    const world = threeHosts();
    world.append(unwrap(decideCordon(world.state, host("h1"), "ann")));
    world.submit(daemon("log"));
    world.submit(makeSpec("work", { count: 30 }));
    world.plan();
    expect(hostsOf(world, "log")).toEqual(["h1", "h2", "h3"]);
    expect(hostsOf(world, "work")).not.toContain("h1");
    world.exit("log", 0, 1);
    world.nowMs += 60_000;
    expect(world.plan()).toEqual([expect.stringMatching(/^media\/log\[0\]#2 → h1 /)]);
  });

  it("is the last to leave a draining host, and does not come back before it is opened", () => {
    const world = new World();
    world.host("h1");
    world.host("h2");
    world.submit(daemon("log"));
    world.submit(makeSpec("work", { placement: { require: ['host.id == "h1"'] } }));
    world.plan();
    for (const [job, index] of [
      ["log", 0],
      ["log", 1],
      ["work", 0],
    ] as const)
      world.report(world.active(job, index), "running");
    world.append(unwrap(decideDraining(world.state, host("h1"), "ann", world.nowMs + 1_000)));
    drain(world);
    expect(world.state.allocations.get(world.active("log", 0))?.desired).toBe("run");
    // At its deadline it is still the last.
    world.nowMs += 2_000;
    drain(world);
    expect(world.state.allocations.get(world.active("work"))?.desired).toBe("stop");
    expect(world.state.allocations.get(world.active("log", 0))?.desired).toBe("run");
    world.exit("work", 0, 143, { cause: "stopped" });
    drain(world);
    expect(world.state.allocations.get(world.active("log", 0))?.desired).toBe("stop");
    world.exit("log", 0, 143, { cause: "stopped" });
    drain(world);
    expect(world.state.hosts.get(host("h1"))).toMatchObject({ state: "cordoned", drained: true });
    world.nowMs += 60_000;
    expect(world.plan().filter((line) => line.includes("log"))).toEqual([]);
    const answer = unwrap(why(world.state, "media" as never, "log" as never, 0, world.nowMs));
    expect(answer).toMatchObject({
      sentence: "media/log[0] does not run: h1 is drained",
      lacking: { total: 1, hosts: [{ hostId: "h1", sentence: "h1 is drained" }] },
    });
    // Closed anew by somebody, it is a closed host like any other.
    world.append(unwrap(decideUncordon(world.state, host("h1"), "ann")));
    world.append(unwrap(decideCordon(world.state, host("h1"), "ann")));
    expect(world.plan().filter((line) => line.includes("log"))).toHaveLength(1);
  });

  it("waits for a host that falls silent, and is placed nowhere else", () => {
    const world = threeHosts();
    world.submit(daemon("log"));
    world.plan();
    world.append(silence(world.state, host("h1"), 3_000));
    world.append(silence(world.state, host("h1"), 600_000));
    world.nowMs += 600_000;
    expect(world.plan()).toEqual([]);
    expect(hostsOf(world, "log")).toEqual(["h1", "h2", "h3"]);
    // What is new has no task there until the host is back.
    world.submit(daemon("other"));
    world.plan();
    expect(hostsOf(world, "other")).toEqual(["h2", "h3"]);
    world.append([{ kind: "host_ready", hostId: host("h1") }]);
    world.plan();
    expect(hostsOf(world, "other")).toEqual(["h2", "h3", "h1"]);
  });

  it("takes the room of less important work on its own host, and otherwise says what that lacks", () => {
    const world = new World();
    world.host("h1", resources(2000, 4096));
    world.host("h2", resources(2000, 4096));
    world.submit(makeSpec("work", { count: 4, priority: { band: "batch", level: 50 } }));
    world.plan();
    world.submit(daemon("weak", { priority: { band: "besteffort", level: 50 } }));
    expect(world.plan()).toEqual([]);
    const answer = unwrap(why(world.state, "media" as never, "weak" as never, 1, world.nowMs));
    expect(answer.sentence).toBe("0 of 1 host can take media/weak[1]: h2 lacks cpu (1 CPU short)");
    expect(answer.outcome).toMatchObject({ hosts: [{ hostId: "h2", reason: "exhausted" }] });
    const hints = answer.outcome.kind === "blocked" ? answer.outcome.unblockedBy.map(({ kind }) => kind) : [];
    expect(hints).toEqual(["free_resources", "raise_priority"]);
    expect(answer.lacking?.hosts.map(({ hostId }) => hostId)).toEqual(["h1", "h2"]);
    world.submit(daemon("strong"));
    expect(world.plan()).toEqual([
      expect.stringMatching(/^keep h1 for media\/strong\[0\]: stop media\/work\[\d\]$/),
      expect.stringMatching(/^keep h2 for media\/strong\[1\]: stop media\/work\[\d\]$/),
    ]);
  });

  it("is asked again on the host that has changed, and on no other", () => {
    const world = new World();
    for (let at = 0; at < 50; at += 1) world.host(`h${at}`, resources(1000, 2048));
    world.submit(makeSpec("work", { kind: "service", count: 50 }));
    world.plan();
    world.submit(daemon("log"));
    expect(world.plan()).toEqual([]);
    const { daemon: known } = world.job("log") as never as { daemon: { awake: Set<number> } };
    expect(known.awake.size).toBe(0);
    world.exit("work", 7, 1);
    const { hostId } = [...world.state.allocations.values()].find(
      ({ index, state }) => index === 7 && state === "exited",
    )!;
    const { records } = planEvaluations(world.state, env(world), { maxPlacements: 100 });
    expect(records).toMatchObject([{ placement: { job: "log", hostId } }]);
    expect(known.awake.size).toBe(1);
  });

  it("is asked again when a quota that kept it from the room of others is raised", () => {
    const world = new World();
    const media = "media" as never;
    world.append(unwrap(decideProject(world.state, { name: media, quota: { tasks: 1 } }, "ann")));
    world.host("h1", resources(1000, 2048));
    world.submit(makeSpec("log", { kind: "service", placement: { require: ['host.id == "h1"'] } }));
    world.plan();
    world.host("h2", resources(1000, 2048));
    world.submit(makeSpec("work", { project: "other", kind: "service", priority: { band: "batch", level: 10 } }));
    world.plan();
    // The room that is kept for it counts beside what it has on the lost host, whose place it takes.
    world.append(silence(world.state, host("h1"), 600_000));
    world.submit(daemon("log"));
    world.plan();
    expect(world.plan()).toEqual([]);
    world.append(unwrap(decideProjectChange(world.state, media, { quota: { tasks: 2 } }, "ann")));
    expect(world.plan()).toEqual(["keep h2 for media/log[0]: stop other/work[0]"]);
  });

  it("never ends, so nobody is promised its room, and nobody is kept from what is beside it", () => {
    const world = new World();
    world.host("h1");
    world.submit(daemon("log", { requests: resources(500, 512, 10) }));
    world.plan();
    // Nothing says when it might start: by now it would be promised what ends some day.
    world.submit(makeSpec("large", { requests: resources(4000, 1024, 10) }));
    expect(world.plan()).toEqual([]);
    world.nowMs += 3_600_000;
    world.submit(makeSpec("small", { kind: "service" }));
    expect(world.plan()).toEqual([expect.stringMatching(/^media\/small\[0\]#1 → h1 /)]);
  });

  it("is explained by what is so on its own host, whatever the cluster has of others", () => {
    const world = new World();
    for (let at = 0; at < 60; at += 1) world.host(`h${at}`, resources(1000, 2048));
    world.submit(makeSpec("work", { kind: "service", count: 60 }));
    world.plan();
    world.submit(daemon("log"));
    world.plan();
    const { index } = inside(world.state);
    const seen: number[] = [];
    const { room } = index;
    Object.assign(index, { room: (slot: number) => (seen.push(slot), room(slot)) });
    const { lacking } = unwrap(why(world.state, "media" as never, "log" as never, 7, world.nowMs));
    expect(lacking).toMatchObject({ total: 60 });
    // Its own host, and one for each of those that are listed.
    expect(seen).toHaveLength(1 + (lacking?.hosts.length ?? 0));
  });

  it("is not asked again and again while another host is promised to somebody", () => {
    const world = new World();
    for (let at = 0; at < 20; at += 1) world.host(`h${at}`, resources(1000, 2048));
    const priority = { band: "besteffort", level: 1 } as const;
    const requests = resources(600, 512, 10);
    world.submit(makeSpec("work", { count: 20, requests, priority, disruption: { maxUnavailable: 0 } }));
    world.plan();
    world.submit(makeSpec("large"));
    world.plan();
    world.nowMs += 3_600_000;
    world.submit(daemon("log", { requests: resources(500, 512, 10) }));
    expect(world.plan()).toEqual([]);
    const { daemon: known } = world.job("log") as never as { daemon: { awake: Set<number> } };
    // That one is booked, in this plan and perhaps in no other.
    expect(known.awake.size).toBe(1);
  });

  it("starts a new version host by host, under the same names, and stops with its job", () => {
    const world = threeHosts();
    world.submit(daemon("log"));
    world.plan();
    world.submit(daemon("log", { ...ofZone("a"), command: ["false"] }));
    expect(world.plan()).toHaveLength(3);
    for (const index of [0, 1, 2]) world.exit("log", index, 143, { cause: "stopped" });
    world.plan();
    expect(hostsOf(world, "log")).toEqual(["h1", "h2", "-"]);
    world.append([{ kind: "job_stopped", project: "media" as never, job: "log" as never, by: "ann" }]);
    expect(world.plan()).toHaveLength(2);
    for (const index of [0, 1]) world.exit("log", index, 143, { cause: "stopped" });
    expect(world.job("log").finishedAtMs).not.toBeNull();
    world.host("h9", undefined, [], { zone: "a" });
    expect(world.plan()).toEqual([]);
    expect(world.state.activeTaskCount).toBe(0);
  });

  it("waits where something of it stands under another index, from before it was of another kind in between", () => {
    const world = threeHosts();
    world.submit(daemon("log", ofZone("a")));
    world.plan();
    for (const index of [0, 1]) world.report(world.active("log", index), "running");
    world.submit(makeSpec("log", { kind: "service", count: 2 }));
    expect(world.plan()).toHaveLength(2);
    relabel(world, "h1", "b");
    world.exit("log", 0, 143, { cause: "stopped" });
    const foretold = unwrap(dryRun(world.state, daemon("log", ofZone("a")), env(world)));
    world.submit(daemon("log", ofZone("a")));
    // The first index is for h2 now, which has the second of the first version.
    expect(world.job("log").tasks.map(({ hostId }) => hostId)).toEqual(["h2"]);
    const old = world.state.hosts.get(host("h2"))!.allocations[0]!;
    const beside: LogRecord = {
      ...{ kind: "allocation_placed" },
      placement: {
        ...{ id: world.makeAllocationId(), project: old.project, job: old.job, jobVersion: 3, index: 0, attempt: 1 },
        ...{ hostId: host("h2"), score: { total: 0, parts: [] }, replaces: null },
      },
    };
    expect(validatePlan(world.state, [beside])).toMatchObject({
      ok: false,
      error: [expect.stringContaining("h2 has")],
    });
    expect(world.plan()).toEqual([]);
    const sentence = "media/log[0] starts when media/log[1] of an earlier version has ended on h2";
    const waits = { sentence, outcome: { kind: "held", hold: { kind: "previous_stopping" } } };
    expect(foretold.tasks).toEqual([{ index: 0, ...waits }]);
    const of = [world.state, "media" as never, "log" as never, 0] as const;
    expect(unwrap(why(...of, world.nowMs))).toMatchObject({ ...waits, lacking: { hosts: [{}, { sentence }, {}] } });
    expect(unwrap(whyNot(...of, host("h2"), world.nowMs))).toMatchObject({ sentence, refusal: null, score: null });
    world.report(old.id, "exited", makeExit(143, { cause: "stopped" }));
    expect(world.plan()).toEqual([expect.stringMatching(/^media\/log\[0\]#1 → h2 /)]);
  });

  it("is foretold by a dry run, host by host", () => {
    const world = threeHosts();
    world.append(unwrap(decideDraining(world.state, host("h2"), "ann", world.nowMs + 1_000)));
    const spec = daemon("log");
    const { tasks } = unwrap(dryRun(world.state, spec, env(world)));
    expect(tasks.map(({ outcome }) => (outcome.kind === "placed" ? outcome.hostId : outcome.kind))).toEqual([
      "h1",
      "h3",
    ]);
    world.submit(spec);
    world.plan();
    expect(hostsOf(world, "log")).toEqual(["h1", "h3"]);
  });

  it("is asked why it is not on a host, whichever task is named", () => {
    const world = threeHosts();
    world.submit(daemon("log", { ...ofZone("a"), requests: resources(3000, 512, 10) }));
    world.plan();
    const ask = (name: string) =>
      unwrap(whyNot(world.state, "media" as never, "log" as never, 0, host(name), world.nowMs));
    expect(ask("h2")).toMatchObject({ index: 1, sentence: "media/log[1] is on h2" });
    expect(ask("h3").sentence).toBe(
      'h3 is against the rule "host.labels.zone == "a"" (host.labels.zone is b), so media/log has no task there',
    );
  });

  it("is moved by nobody, and is there for what would come", () => {
    const world = threeHosts();
    world.submit(daemon("log"));
    world.plan();
    for (const index of [0, 1, 2]) world.report(world.active("log", index), "running");
    const { allocations, problem, stay } = problemOf(world.state, { goal: "empty", maxMoves: 10, targetPercent: 80 });
    expect(allocations).toHaveLength(3);
    expect([...problem.fixed]).toEqual([1, 1, 1]);
    expect(stay).toEqual(new Map([["daemon", 3]]));
    const view = unwrap(whatIf(world.state, { lose: [host("h1")], add: [{ like: host("h2"), count: 2 }] }, env(world)));
    expect(view.placed.map(({ job, to }) => `${job} ${to}`)).toEqual(["log what-if-1", "log what-if-2"]);
    expect(view.blocked).toEqual([]);
    const refused = whatIf(
      world.state,
      { more: [{ project: "media" as never, job: "log" as never, count: 1 }] },
      env(world),
    );
    expect(refused).toMatchObject({ ok: false, error: { code: "request.invalid" } });
  });

  it("is the same from a snapshot", () => {
    const world = threeHosts();
    world.submit(daemon("log", ofZone("a")));
    world.plan();
    world.append(unwrap(decideRemove(world.state, host("h1"), "ann", true)));
    const restored = createState();
    restoreImage(restored, JSON.parse(JSON.stringify([...imageOf(world.state)])) as ImageLine[]);
    for (const state of [world.state, restored]) {
      expect(desiredFor(state, host("h2")).allocations).toHaveLength(1);
      expect([...state.jobs.values()].map(({ tasks }) => tasks.map(({ hostId, status }) => [hostId, status]))).toEqual([
        [
          [null, "stopped"],
          ["h2", "open"],
        ],
      ]);
    }
    world.report(world.active("log", 1), "exited", makeExit(0));
    world.nowMs += 5_000;
    expect(world.plan()).toHaveLength(1);
  });

  it("is stopped in the same order from a snapshot, also when it was submitted again", () => {
    const world = threeHosts();
    for (const name of ["log", "other", "log"]) {
      world.submit(daemon(name, { ...ofZone("a"), command: [name, `${world.nowMs}`] }));
      world.nowMs += 1;
    }
    world.plan();
    const restored = createState();
    restoreImage(restored, JSON.parse(JSON.stringify([...imageOf(world.state)])) as ImageLine[]);
    relabel(world, "h1", "b");
    const { sequence, transaction } = world.log.at(-1)!;
    fold(restored, sequence, transaction);
    const [here, there] = [world.state, restored].map(
      (state) => planEvaluations(state, env(world), { maxPlacements: 1 }).records,
    );
    expect(there).toEqual(here);
  });
});
