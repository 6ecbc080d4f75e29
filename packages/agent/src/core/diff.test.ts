import { describe, expect, test } from "vitest";
import type { AllocationId, AllocationState, DesiredAllocation, DesiredDocument, HostId, JobSpec } from "@berth/schema";
import type { ContainerFact } from "./container.ts";
import { diff, limitsKey, type Facts } from "./diff.ts";
import { newRecord, type AllocationRecord } from "./record.ts";

const id = "alloc_00000000000000000000000000" as AllocationId;
const spec = { runTimeoutMs: null, stopTimeoutMs: 1000, outputs: [] } as unknown as JobSpec;
const allocation = (desired: "run" | "stop" = "run"): DesiredAllocation =>
  ({
    id,
    project: "p",
    job: "j",
    jobVersion: 1,
    index: 0,
    attempt: 1,
    epoch: 1,
    desired,
    spec: "s",
  }) as unknown as DesiredAllocation;
const document = (
  allocations: readonly DesiredAllocation[],
  specs: Record<string, JobSpec> = { s: spec },
): DesiredDocument => ({
  version: 1,
  host: "h1" as HostId,
  epoch: 1,
  rev: 1,
  specs,
  allocations: [...allocations],
});
const record = (state: AllocationState, more: Partial<AllocationRecord> = {}): AllocationRecord => ({
  ...newRecord(allocation(), spec),
  state,
  ...more,
});
const running = (runningForMs = 0): ContainerFact => ({ phase: "running", startedAtMs: 1, runningForMs });
const ended: Extract<ContainerFact, { phase: "ended" }> = {
  phase: "ended",
  exit: { code: 0, signal: null, oom: false, cause: "exited", error: null, startedAtMs: 1, finishedAtMs: 2 },
};

interface Situation {
  readonly document?: DesiredDocument | undefined;
  readonly confirmed?: boolean;
  readonly cutOff?: boolean;
  readonly grant?: Facts["grant"];
  readonly record?: AllocationRecord;
  readonly container?: ContainerFact;
  readonly busy?: boolean;
}
const facts = (situation: Situation): Facts => ({
  document: "document" in situation ? situation.document : document([allocation()]),
  confirmed: situation.confirmed ?? true,
  cutOff: situation.cutOff ?? false,
  grant: situation.grant,
  boottimeMs: 100_000,
  records: new Map(situation.record === undefined ? [] : [[id, situation.record]]),
  containers: new Map(situation.container === undefined ? [] : [[id, situation.container]]),
  busy: new Set(situation.busy === true ? [id] : []),
});
const kinds = (situation: Situation): readonly string[] =>
  diff(facts(situation)).actions.map((action) =>
    action.kind === "settle"
      ? `settle ${action.outcome}`
      : action.kind === "stop"
        ? `stop ${action.cause}`
        : action.kind,
  );

const singleton = {
  ...spec,
  disconnect: { afterMs: null, action: "replace", singleton: true },
} as unknown as JobSpec;
const alone = document([allocation()], { s: singleton });
const stopped = document([allocation("stop")]);
const empty = document([]);

describe("without a container", () => {
  test.each<[string, Situation, readonly string[]]>([
    ["wanted and new: started", {}, ["start"]],
    ["wanted, but the scheduler has not answered in this life: waits", { confirmed: false }, []],
    ["a start that was interrupted before anything existed: started", { record: record("preparing") }, ["start"]],
    ["may have run: never again", { record: record("running") }, ["settle vanished"]],
    ["was being stopped: over", { record: record("stopping") }, ["settle vanished"]],
    ["has ended: nothing", { record: record("exited") }, []],
    ["has failed: nothing", { record: record("failed") }, []],
    ["to be stopped before it was started", { document: stopped }, ["settle never_started"]],
    ["interrupted start, no longer listed", { document: empty, record: record("preparing") }, ["settle never_started"]],
    ["interrupted start, nothing known: waits", { document: undefined, record: record("preparing") }, []],
    ["its spec is not in the document", { document: document([allocation()], {}) }, ["settle spec_missing"]],
    [
      "a spec named like a property of every object",
      { document: document([{ ...allocation(), spec: "toString" }], {}) },
      ["settle spec_missing"],
    ],
    ["something is being done: waits", { busy: true }, []],
    ["a singleton without a lease: waits", { document: alone }, []],
    ["with one: started", { document: alone, grant: { askedAtMs: 99_000, rev: 1 } }, ["start"]],
    ["with one that rests on a newer document: waits", { document: alone, grant: { askedAtMs: 99_000, rev: 2 } }, []],
    ["with one that is about to end: waits", { document: alone, grant: { askedAtMs: 95_500, rev: 1 } }, []],
  ])("%s", (_, situation, expected) => expect(kinds(situation)).toEqual(expected));
});

describe("with a running container", () => {
  test.each<[string, Situation, readonly string[]]>([
    ["as it should be: nothing", { record: record("running") }, []],
    ["found after a kill during the start: adopted", { record: record("preparing") }, ["adopt"]],
    ["without a record: adopted", {}, ["adopt"]],
    ["without a record and not listed: adopted, to be stopped next", { document: empty }, ["adopt"]],
    ["to be stopped", { document: stopped, record: record("running") }, ["stop stopped"]],
    ["not listed", { document: empty, record: record("running") }, ["stop stopped"]],
    ["nothing known of what is wanted: runs on", { document: undefined, record: record("running") }, []],
    [
      "a stop that was interrupted goes on for its own reason",
      { record: record("stopping", { stopCause: "timeout" }) },
      ["stop timeout"],
    ],
    [
      "unconfirmed, but the last document says stop",
      { confirmed: false, document: empty, record: record("running") },
      ["stop stopped"],
    ],
    ["although it was told to have failed: stopped", { record: record("failed") }, ["stop stopped"]],
  ])("%s", (_, situation, expected) => expect(kinds({ container: running(), ...situation })).toEqual(expected));

  test("with other limits than its job has, or not compared yet: given them, unless it is to be stopped", () => {
    const limits = { cpuMillis: null, memoryBytes: 1, pids: 2 };
    const limited = document([allocation()], { s: { ...spec, limits } });
    const has = (key: string): ContainerFact => ({ ...running(), limits: key }) as ContainerFact;
    const at = (container: ContainerFact, more: Situation = {}) =>
      kinds({ document: limited, record: record("running"), container, ...more });
    expect(at(running())).toEqual(["limit"]);
    expect(at(has(limitsKey({ limits: { ...limits, pids: 3 } })))).toEqual(["limit"]);
    expect(at(has(limitsKey({ limits })))).toEqual([]);
    expect(at(running(), { document: { ...limited, allocations: [allocation("stop")] } })).toEqual(["stop stopped"]);
    expect(at(running(), { record: record("stopping", { stopCause: "stopped" }) })).toEqual(["stop stopped"]);
  });

  test("longer than it may: stopped; before that, the time that is left is known", () => {
    const limited = record("running", { runTimeoutMs: 1000 });
    expect(kinds({ record: limited, container: running(1000) })).toEqual(["stop timeout"]);
    expect(diff(facts({ record: limited, container: running(400) }))).toEqual({ actions: [], nextDueMs: 600 });
    expect(kinds({ document: undefined, record: limited, container: running(2000) })).toEqual(["stop timeout"]);
  });
});

test("with a container that has ended: recorded first, released afterwards", () => {
  expect(kinds({ container: ended, record: record("running") })).toEqual(["finish"]);
  expect(kinds({ container: ended })).toEqual(["finish"]);
  expect(kinds({ container: ended, document: undefined, record: record("preparing") })).toEqual(["finish"]);
  expect(kinds({ container: ended, record: record("exited") })).toEqual(["release"]);
});

describe("with a container that ended with its machine", () => {
  const gone: ContainerFact = { phase: "ended", exit: { ...ended.exit, code: 137, cause: "host_rebooted" } };
  const cutOff = { confirmed: false, cutOff: true };
  test.each<[string, Situation, readonly string[]]>([
    ["the scheduler has answered: it decides", {}, ["finish"]],
    ["it may answer any moment: waits", { confirmed: false }, []],
    ["cut off: runs again", cutOff, ["revive"]],
    ["cut off, but a singleton: over", { ...cutOff, document: alone }, ["finish"]],
    ["cut off, but to be stopped: over", { ...cutOff, document: stopped }, ["finish"]],
    ["cut off, but not listed: over", { ...cutOff, document: empty }, ["finish"]],
    ["cut off, but nothing is known of it: over", { ...cutOff, document: undefined }, ["finish"]],
    ["cut off, and another end: over", { ...cutOff, container: ended }, ["finish"]],
  ])("%s", (_, situation, expected) =>
    expect(kinds({ record: record("running"), container: gone, ...situation })).toEqual(expected),
  );
});
