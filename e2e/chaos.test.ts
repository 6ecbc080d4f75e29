/** A short run of what `pnpm chaos` does for as long as one likes, and that its witness sees what is wrong. */
import { spawnSync } from "node:child_process";
import { expect, test } from "vitest";
import { parseJobDocument, type AllocationId, type Transaction } from "@berth/schema";
import { orphanRecord } from "../packages/agent/src/core/record.ts";
import { runChaos } from "./chaos/run.ts";
import { eachOnce, scheduleOf, type Possible } from "./chaos/schedule.ts";
import { takesCopies } from "../packages/scheduler/src/testing/nats-cluster.ts";
import { findings, runningBy } from "./chaos/witness.ts";

test("a seed is a schedule", () => {
  const possible: Possible[] = [
    { kind: "kill", on: ["a", "b"], weight: 1 },
    { kind: "partition", on: ["a"], weight: 2, longestMs: 3_000 },
  ];
  const steps = scheduleOf(7, 60_000, possible);
  expect(scheduleOf(7, 60_000, possible)).toEqual(steps);
  expect(scheduleOf(8, 60_000, possible)).not.toEqual(steps);
  const cuts = steps.filter(({ fault }) => fault.kind === "partition");
  expect(cuts.length).toBeGreaterThan(0);
  for (const { fault } of cuts) expect(fault.forMs).toBeLessThan(3_000);
});

test("each kind comes once, in an order of the seed's, and is over before the next begins", () => {
  const possible: Possible[] = (["kill", "pause", "clock", "restart"] as const).map((kind) => ({
    ...{ kind, on: ["a", "b"], weight: 3 },
  }));
  const steps = eachOnce(7, possible, 3_000);
  expect(eachOnce(7, possible, 3_000)).toEqual(steps);
  expect(steps.map(({ fault }) => fault.kind).toSorted()).toEqual(["clock", "kill", "pause", "restart"]);
  for (const [at, { atMs }] of steps.entries()) {
    const before = steps[at - 1];
    if (before !== undefined) expect(atMs).toBeGreaterThan(before.atMs + before.fault.forMs);
  }
});

test("the witness sees what was lost, what ran twice, and a leader that was deposed", () => {
  const ids = ["alloc_06f0000000000000000000000a", "alloc_06f0000000000000000000000b"];
  const parsed = parseJobDocument({
    name: "alone",
    kind: "service",
    image: "builtin://busybox",
    command: ["true"],
    resources: { cpu: { request: "10m" }, memory: { request: "16Mi" }, pids: 16 },
    disconnect: { singleton: true },
  });
  const spec = parsed.ok ? parsed.value : expect.unreachable(JSON.stringify(parsed.error));
  const placed = (id: string | undefined) => ({
    kind: "allocation_placed",
    placement: { id, project: "default", job: "alone", index: 0, jobVersion: 1, hostId: "h1", replaces: null },
  });
  const entry = (sequence: number, epoch: number, records: unknown[]) => ({
    sequence,
    transaction: { version: 2, epoch, atMs: 1, cause: "test", origin: null, records } as unknown as Transaction,
  });
  const log = [
    entry(1, 0, [{ kind: "leader_elected", instance: "a" }]),
    entry(2, 1, [{ kind: "job_submitted", spec, jobVersion: 1 }]),
    entry(3, 0, [placed(ids[0])]),
    entry(4, 1, [placed(ids[1])]),
  ];
  const wrong = findings({
    journals: { records: [], damaged: [] },
    log,
    accepted: ["alone", "gone"],
    stopped: ["alone"],
    samples: [new Set(ids)],
  });
  expect(wrong.join("\n")).toContain("transaction 3: epoch 0, but 1 leads");
  expect(wrong.join("\n")).toContain("gone was acknowledged and is not in the log");
  expect(wrong.join("\n")).toContain("to stop alone was acknowledged and is not in the log");
  expect(wrong.join("\n")).toContain("h1 ran 20 of undefined cpuMillis");
  expect(wrong.join("\n")).toContain("default/alone[0] ran in 2 places at once");
  expect(wrong.join("\n")).toContain("nothing was checked");
});

test("the witness takes one that was given up for ended, and nothing else that its host was only told is known", () => {
  const [lost, next, unknown] = ["a", "b", "c"].map((last) => `alloc_06f0000000000000000000000${last}`) as [
    AllocationId,
    AllocationId,
    AllocationId,
  ];
  const placed = (id: string, replaces: string | null) => ({
    kind: "allocation_placed",
    placement: { id, project: "default", job: "web", index: 0, jobVersion: 1, hostId: "h1", replaces },
  });
  const reported = (id: string) => ({ kind: "allocation_reported", hostId: "h1", report: { id, state: "running" } });
  const log = [
    [{ kind: "leader_elected", instance: "a" }],
    [placed(lost, null)],
    [reported(lost)],
    [placed(unknown, null)],
    [reported(unknown)],
    [placed(next, lost)],
    [reported(next)],
  ].map((records, at) => ({
    sequence: at + 1,
    transaction: { version: 2, epoch: 1, atMs: 1, cause: "test", origin: null, records } as unknown as Transaction,
  }));
  expect([...runningBy(log)].toSorted()).toEqual([next, unknown].toSorted());
  const records = [lost, unknown].map(
    (id) => ["h1", { ...orphanRecord(id), state: "exited", acked: "exited" }] as const,
  );
  const wrong = findings({ journals: { records, damaged: [] }, log, accepted: [], stopped: [], samples: [] });
  expect(wrong.filter((one) => one.includes("was told"))).toEqual([
    `h1 was told that ${unknown} is known to be exited, and the log has only: `,
  ]);
});

test("faults for a moment, and nothing is wrong", async () => {
  const said: string[] = [];
  const outcome = await runChaos({
    seed: 47,
    durationMs: 7_000,
    longestMs: 2_000,
    isSingle: true,
    replicas: 1,
    say: (line) => void said.push(line),
  });
  expect(outcome.wrong, said.join("\n")).toEqual([]);
  expect(Object.keys(outcome.faults).toSorted(), said.join("\n")).toEqual(["kill", "pause"]);
  expect(outcome.accepted).toBeGreaterThan(2);
  expect(outcome.samples).toBeGreaterThan(10);
});

/** Each machine has a disk of its own: a file on a loop device. */
const hasLoopDevices = spawnSync("losetup", ["--find"]).status === 0;

test.skipIf(!hasLoopDevices)(
  "three schedulers, three nats-servers, three hosts: every kind of fault once, and nothing is wrong",
  { timeout: 400_000 },
  async () => {
    const said: string[] = [];
    const outcome = await runChaos({
      seed: 3,
      durationMs: "each",
      longestMs: 2_500,
      isSingle: false,
      // Debian 12's 2.9.10 is not safe with copies; NATS_SERVER_BIN names one that is.
      replicas: (await takesCopies()) ? 3 : 1,
      say: (line) => void said.push(line),
    });
    expect(outcome.wrong, said.join("\n")).toEqual([]);
    const kinds = ["clock", "disk-full", "kill", "partition", "pause", "restart", "slow-disk", "snapshot", "split"];
    expect(Object.keys(outcome.faults).toSorted(), said.join("\n")).toEqual(kinds);
    expect(outcome.elections, said.join("\n")).toBeGreaterThan(1);
    expect(outcome.accepted).toBeGreaterThan(5);
    expect(outcome.snapshots).toBeGreaterThan(0);
  },
);
