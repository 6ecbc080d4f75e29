import type { LogRecord, Transaction } from "@berth/schema";
import { describe, expect, it } from "vitest";
import { dumpState } from "../../sim/dump.ts";
import { createState, decideForget, desiredFor, fold, planEvaluations } from "./index.ts";
import { FINISHED_PER_TASK, MAX_FINISHED_JOBS, MAX_IDEMPOTENCY_KEYS } from "./state.ts";
import { host, makeExit, makeSpec, resources, World } from "./testing/world.ts";

describe("folding", () => {
  it("gives the same state from the same log", () => {
    const world = new World();
    world.host("h1");
    world.submit(makeSpec("a", { count: 3, restart: { on: "failure" } }));
    world.plan();
    world.exit("a", 1, 1);
    world.nowMs += 5_000;
    world.plan();
    const again = createState();
    for (const { sequence, transaction } of world.log) fold(again, sequence, transaction);
    expect(dumpState(again)).toBe(dumpState(world.state));
  });

  it("ignores and counts what is unknown, contradictory, repeated, or from a deposed leader", () => {
    const world = new World();
    world.host("h1");
    world.submit(makeSpec("a"));
    world.plan();
    const before = dumpState(world.state);
    const placed = world.log.at(-1)?.transaction.records[0] as LogRecord;
    const nonsense: LogRecord[] = [
      placed,
      { kind: "job_submitted", spec: makeSpec("a"), jobVersion: 9, by: "x", idempotencyKey: null, requestDigest: "" },
      { kind: "job_stopped", project: "no" as never, job: "job" as never, by: "x" },
      { kind: "job_forgotten", project: "media" as never, job: "a" as never },
      { kind: "host_ready", hostId: host("h1") },
      { kind: "host_lost", hostId: host("nobody"), silentMs: 1 },
      { kind: "allocation_stop", id: world.makeAllocationId(), reason: "x" },
      { kind: "from_the_future" } as unknown as LogRecord,
    ];
    const { revision } = world.state;
    expect(world.append(nonsense).ignored).toBe(nonsense.length);
    const transaction: Transaction = {
      version: 2,
      origin: null,
      epoch: world.state.epoch,
      atMs: 1,
      cause: "again",
      records: [placed],
    };
    expect(fold(world.state, revision, transaction).ignored).toBe(1);
    world.append([{ kind: "leader_elected", instance: "other" }]);
    expect(world.append([{ kind: "host_lost", hostId: host("h1"), silentMs: 1 }], 1).ignored).toBe(1);
    const facts = (text: string): string => text.replace(/"(revision|epoch|ignoredRecords)": \d+/g, "");
    expect(facts(dumpState(world.state)).replace(/"desiredRev": \d+/g, "")).toBe(
      facts(before).replace(/"desiredRev": \d+/g, ""),
    );
    expect(world.state).toMatchObject({
      ignoredRecords: nonsense.length + 2,
      epoch: revision + 2,
      revision: revision + 3,
    });
  });

  it("says what it touched", () => {
    const world = new World();
    world.host("h1");
    world.submit(makeSpec("a"));
    const env = { nowMs: world.nowMs, makeAllocationId: world.makeAllocationId };
    const { records } = planEvaluations(world.state, env, { maxPlacements: 10 });
    const changes = world.append(records);
    const id = world.active("a");
    expect(changes).toMatchObject({ ignored: 0 });
    expect([[...changes.jobs], [...changes.hosts], [...changes.documents], [...changes.allocations]]).toEqual([
      ["media/a"],
      ["h1"],
      ["h1"],
      [id],
    ]);
  });

  it("keeps the newest ended allocations of a task and lets go of the others", () => {
    const world = new World();
    world.host("h1");
    world.submit(makeSpec("web", { kind: "service", restart: { backoffLongestMs: 0 } }));
    const ids: string[] = [];
    for (let at = 0; at < FINISHED_PER_TASK + 2; at += 1) {
      world.plan();
      ids.push(world.active("web"));
      world.exit("web", 0, 1);
      world.nowMs += 1_000;
    }
    expect([...world.state.allocations.keys()]).toEqual(ids.slice(-FINISHED_PER_TASK));
    expect(world.job("web").tasks[0]).toMatchObject({ attempts: ids.length, restarts: ids.length });
  });

  it("forgets the jobs that finished first when there are too many, and their allocations with them", () => {
    const world = new World();
    world.host("h1", resources(1000, 1024, 10));
    for (let at = 0; at < MAX_FINISHED_JOBS + 2; at += 1) {
      world.submit(makeSpec(`j${at}`));
      world.plan();
      world.exit(`j${at}`, 0, 0);
    }
    const records = decideForget(world.state);
    expect(records.map((record) => (record.kind === "job_forgotten" ? record.job : record.kind))).toEqual(["j0", "j1"]);
    const changes = world.append(records);
    expect([...changes.removed.jobs.keys()]).toEqual(["media/j0", "media/j1"]);
    expect(changes.removed.allocations).toHaveLength(2);
    expect(decideForget(world.state)).toEqual([]);
    expect(world.submit(makeSpec("j0"))).toMatchObject({ action: "create", version: 1 });
  });

  it("bounds the Idempotency-Keys that it remembers", () => {
    const world = new World();
    const spec = makeSpec("a", { kind: "service" });
    for (let at = 0; at < MAX_IDEMPOTENCY_KEYS + 5; at += 1) {
      const record: LogRecord = {
        kind: "job_submitted",
        spec,
        jobVersion: at + 1,
        by: "ann",
        idempotencyKey: `k${at}`,
        requestDigest: "d",
      };
      world.append([record]);
    }
    expect(world.state.idempotency.size).toBe(MAX_IDEMPOTENCY_KEYS);
    expect(world.state.idempotency.has("ann\nk0")).toBe(false);
  });
});

describe("a desired document", () => {
  it("holds what has not ended, changes its rev only with its content, and carries the epoch", () => {
    const world = new World();
    const h1 = world.host("h1");
    const empty = desiredFor(world.state, h1);
    expect(empty).toMatchObject({ host: "h1", epoch: 1, specs: {}, allocations: [] });
    world.submit(makeSpec("a", { count: 2 }));
    expect(desiredFor(world.state, h1).rev).toBe(empty.rev);
    world.plan();
    const placed = desiredFor(world.state, h1);
    expect(placed.rev).toBe(world.state.revision);
    expect(Object.keys(placed.specs)).toEqual(["media/a@1"]);
    expect(placed.allocations.map(({ index, desired, spec }) => [index, desired, spec])).toEqual([
      [0, "run", "media/a@1"],
      [1, "run", "media/a@1"],
    ]);
    world.report(world.active("a", 0), "running");
    expect(desiredFor(world.state, h1)).toEqual(placed);
    world.report(world.active("a", 0), "exited", makeExit(0));
    expect(desiredFor(world.state, h1).allocations.map(({ index }) => index)).toEqual([1]);
    world.append([{ kind: "leader_elected", instance: "other" }]);
    expect(desiredFor(world.state, h1)).toMatchObject({ epoch: world.state.epoch, rev: world.state.revision - 1 });
  });

  it("keeps the old spec of what is being stopped beside the new one", () => {
    const world = new World();
    const h1 = world.host("h1");
    world.submit(makeSpec("web", { kind: "service", count: 2 }));
    world.plan();
    world.submit(makeSpec("web", { kind: "service", count: 2, command: ["new"] }));
    world.plan();
    world.exit("web", 0, 143, { cause: "stopped" });
    world.plan();
    const { specs, allocations } = desiredFor(world.state, h1);
    expect(Object.keys(specs).sort()).toEqual(["media/web@1", "media/web@2"]);
    expect(allocations.map(({ index, jobVersion, desired }) => [index, jobVersion, desired])).toEqual([
      [1, 1, "stop"],
      [0, 2, "run"],
    ]);
  });
});
