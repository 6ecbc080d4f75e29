import { describe, expect, it } from "vitest";
import type { HostId } from "@berth/schema";
import { makeAllocation, makeExit, makeHost, makeJob, type Snapshot } from "../../testing/cluster.ts";
import { createReplica, type Cluster } from "../live/replica.ts";
import { attentionList } from "./attention.ts";
import { inFilter, inJobOrder, matchesText } from "./job-filter.ts";
import { pressureWarning } from "./pressure.ts";
import { allocationStatus, bareTaskStatus, jobStatus } from "./status.ts";
import { activeOnHost, recentAllocations, stopConsequence, tasksOf } from "./tasks.ts";

const NOW = 1_700_000_000_000;
const NEED = { cpuMillis: 100, memoryBytes: 1024, pids: 4 };
const NONE = { pending: 0, starting: 0, running: 0, stopping: 0, succeeded: 0, failed: 0, stopped: 0 };
const job = makeJob("thumbs", NEED, { tasks: { ...NONE, running: 2, pending: 2 }, spec: { count: 4 } });

const clusterOf = (parts: Partial<Snapshot>): Cluster => {
  const replica = createReplica();
  replica.apply(
    { kind: "snapshot", revision: 1, cluster: "c", hosts: [], jobs: [job], allocations: [], ...parts },
    NOW,
  );
  const cluster = replica.publish();
  if (cluster === undefined) throw new Error("the replica published nothing");
  return cluster;
};

describe("tasks of a job", () => {
  it("are all its indices, each with its latest attempt", () => {
    const first = makeAllocation(1, job, 1, "a", { state: "lost" });
    const second = makeAllocation(2, job, 1, "b", { attempt: 2 });
    const tasks = tasksOf(clusterOf({ allocations: [second, first] }), job);
    expect(tasks.map((task) => [task.index, task.latest?.id, task.attempts])).toEqual([
      [0, undefined, 0],
      [1, second.id, 2],
      [2, undefined, 0],
      [3, undefined, 0],
    ]);
  });

  it("include attempts of a larger version that are not gone yet", () => {
    const old = makeAllocation(1, job, 9, "a", { state: "stopping" });
    expect(tasksOf(clusterOf({ allocations: [old] }), job).map((task) => task.index)).toEqual([0, 1, 2, 3, 9]);
  });

  it("are counted before a stop", () => {
    const allocations = [
      makeAllocation(1, job, 0, "a"),
      makeAllocation(2, job, 1, "b", { state: "starting" }),
      makeAllocation(3, job, 2, "b", { state: "exited", exit: makeExit(NOW) }),
    ];
    expect(stopConsequence(clusterOf({ allocations }), job)).toEqual({ running: 2, hosts: 2, neverStarted: 2 });
  });
});

describe("allocations", () => {
  it("on a host are in a stable order, and only those that hold their reservation count as active", () => {
    const allocations = [
      makeAllocation(3, job, 2, "a"),
      makeAllocation(1, job, 0, "a"),
      makeAllocation(2, job, 1, "a", { state: "failed" }),
      makeAllocation(4, job, 3, "b"),
    ];
    expect(activeOnHost(clusterOf({ allocations }), "a" as HostId).map((each) => each.index)).toEqual([0, 2]);
  });

  it("are recent by what happened to them last", () => {
    const allocations = [
      makeAllocation(1, job, 0, "a", { placedAtMs: NOW - 10, exit: makeExit(NOW) }),
      makeAllocation(2, job, 1, "a", { placedAtMs: NOW - 5 }),
      makeAllocation(3, job, 2, "a", { placedAtMs: NOW - 20, startedAtMs: NOW - 1 }),
    ];
    expect(recentAllocations(clusterOf({ allocations }), 2).map((each) => each.index)).toEqual([0, 2]);
  });
});

describe("the attention list", () => {
  it("is empty when nothing is wrong", () => {
    expect(attentionList(clusterOf({ hosts: [makeHost("a", 4, 8)] }), NOW)).toEqual([]);
  });

  it("names lost hosts and failed jobs before what merely waits", () => {
    const items = attentionList(
      clusterOf({
        hosts: [
          makeHost("a", 4, 8, { state: "lost" }),
          makeHost("b", 4, 8, {
            pressure: { cpuSome10: 0, memorySome10: 0.3, memoryFull10: 0, ioSome10: 0, ioFull10: 0 },
          }),
        ],
        jobs: [
          makeJob("waits", NEED, { state: "pending", pendingReason: "no host has room" }),
          makeJob("broke", NEED, {
            state: "failed",
            exitCode: 3,
            finishedAtMs: NOW - 1_000,
            tasks: { ...NONE, failed: 1 },
          }),
        ],
      }),
      NOW,
    );
    expect(items.map((item) => [item.subject, item.tone])).toEqual([
      ["a", "bad"],
      ["default/broke", "bad"],
      ["b", "warn"],
      ["default/waits", "warn"],
    ]);
    expect(items[1]?.sentence).toBe("failed with exit code 3: 1 of 1 task");
    expect(items[2]?.sentence).toBe("is under pressure: some task waited for memory 30 % of the last 10 s");
  });

  it("lets go of a failure after a day", () => {
    const old = makeJob("broke", NEED, { state: "failed", finishedAtMs: NOW - 86_400_001 });
    expect(attentionList(clusterOf({ jobs: [old] }), NOW)).toEqual([]);
  });
});

describe("pressure", () => {
  it("warns of the line that is furthest beyond its threshold", () => {
    expect(pressureWarning(null)).toBeUndefined();
    expect(
      pressureWarning({ cpuSome10: 0.59, memorySome10: 0.09, memoryFull10: 0, ioSome10: 0.39, ioFull10: 0.19 }),
    ).toBeUndefined();
    const warning = pressureWarning({ cpuSome10: 0.9, memorySome10: 0.5, memoryFull10: 0, ioSome10: 0, ioFull10: 0 });
    expect(warning?.line.key).toBe("memorySome10");
  });
});

describe("a state in words", () => {
  it.each([
    [makeExit(NOW), "completed", "muted"],
    [makeExit(NOW, { code: 3 }), "exited with 3", "bad"],
    [makeExit(NOW, { code: 143, signal: 15, cause: "stopped" }), "stopped", "muted"],
    [makeExit(NOW, { code: 139, signal: 11, cause: "signalled" }), "killed by signal 11", "bad"],
    [makeExit(NOW, { code: 137, signal: 9, oom: true, cause: "oom" }), "out of memory", "bad"],
    [makeExit(NOW, { code: 137, signal: 9, cause: "timeout" }), "timed out", "bad"],
  ])("says how an allocation ended", (exit, word, tone) => {
    expect(allocationStatus({ state: "exited", desired: "run", exit })).toMatchObject({ word, tone });
  });

  it("tells a job that waits for something from one that waits its turn", () => {
    expect(jobStatus({ state: "pending", pendingReason: null }).tone).toBe("info");
    expect(jobStatus({ state: "pending", pendingReason: "no room" }).tone).toBe("warn");
  });

  it("does not call a task pending whose job is over", () => {
    expect(bareTaskStatus({ finishedAtMs: null, tasks: { ...NONE, pending: 1 } }).word).toBe("pending");
    expect(bareTaskStatus({ finishedAtMs: NOW, tasks: NONE }).word).toBe("no record");
  });
});

describe("the filter of jobs", () => {
  const batch = makeJob("nightly", NEED, { state: "failed", tasks: { ...NONE, failed: 1 }, spec: { kind: "batch" } });
  it("finds every word, in any order and case", () => {
    expect(matchesText(batch, "BATCH night")).toBe(true);
    expect(matchesText(batch, "night service")).toBe(false);
    expect(matchesText(batch, "  ")).toBe(true);
  });
  it("knows what is active, waiting, failed and finished", () => {
    const filters = ["active", "waiting", "failed", "finished"] as const;
    expect(filters.map((filter) => inFilter(batch, filter))).toEqual([false, false, true, true]);
    expect(filters.map((filter) => inFilter(job, filter))).toEqual([true, true, false, false]);
  });
  it("lists what moves first, then the newest", () => {
    const older = makeJob("older", NEED, { submittedAtMs: 1 });
    const newer = makeJob("newer", NEED, { submittedAtMs: 2 });
    expect([batch, older, newer].sort(inJobOrder).map((each) => each.name)).toEqual(["newer", "older", "nightly"]);
  });
});
