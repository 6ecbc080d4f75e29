// Any history, cut anywhere into "one snapshot, then deltas" and with deltas joined in any way, must end in one state.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { AllocationView, HostView, JobView } from "@berth/schema";
import { makeAllocation, makeHost, makeJob, type Delta, type Snapshot } from "../../testing/cluster.ts";
import { createReplica, keyOf, type Cluster } from "./replica.ts";

const NOW = 1_700_000_000_000;
const NEED = { cpuMillis: 100, memoryBytes: 1024, pids: 4 };

/** A change to one thing: a later version of it, or its end. */
type Change =
  | { readonly kind: "host"; readonly at: number; readonly lost: boolean }
  | { readonly kind: "job"; readonly at: number; readonly version: number }
  | { readonly kind: "allocation"; readonly at: number; readonly state: AllocationView["state"] }
  | { readonly kind: "remove"; readonly what: "host" | "job" | "allocation"; readonly at: number };

const small = fc.integer({ min: 0, max: 4 });
const change: fc.Arbitrary<Change> = fc.oneof(
  fc.record({ kind: fc.constant("host" as const), at: small, lost: fc.boolean() }),
  fc.record({ kind: fc.constant("job" as const), at: small, version: fc.integer({ min: 1, max: 9 }) }),
  fc.record({
    kind: fc.constant("allocation" as const),
    at: small,
    state: fc.constantFrom("placed", "running", "exited", "lost"),
  }),
  fc.record({ kind: fc.constant("remove" as const), what: fc.constantFrom("host", "job", "allocation"), at: small }),
);

const hostOf = (at: number, lost: boolean): HostView => makeHost(`h${at}`, 4, 8, { state: lost ? "lost" : "ready" });
const jobOf = (at: number, version: number): JobView => makeJob(`j${at}`, NEED, { version });
const allocationOf = (at: number, state: AllocationView["state"]): AllocationView =>
  makeAllocation(at, jobOf(at, 1), 0, "h0", { state });

/** The model: plain maps, changed one step at a time. */
interface Model {
  readonly hosts: Map<string, HostView>;
  readonly jobs: Map<string, JobView>;
  readonly allocations: Map<string, AllocationView>;
}
const step = (model: Model, each: Change): void => {
  switch (each.kind) {
    case "host": {
      const host = hostOf(each.at, each.lost);
      model.hosts.set(host.id, host);
      return;
    }
    case "job": {
      const job = jobOf(each.at, each.version);
      model.jobs.set(keyOf(job), job);
      return;
    }
    case "allocation": {
      const allocation = allocationOf(each.at, each.state);
      model.allocations.set(allocation.id, allocation);
      return;
    }
    case "remove":
      if (each.what === "host") model.hosts.delete(`h${each.at}`);
      else if (each.what === "job") model.jobs.delete(`default/j${each.at}`);
      else model.allocations.delete(allocationOf(each.at, "placed").id);
  }
};

const modelAfter = (changes: readonly Change[]): Model => {
  const model: Model = { hosts: new Map(), jobs: new Map(), allocations: new Map() };
  for (const each of changes) step(model, each);
  return model;
};
const snapshotAt = (changes: readonly Change[], revision: number): Snapshot => {
  const model = modelAfter(changes.slice(0, revision));
  return {
    kind: "snapshot",
    revision,
    cluster: "c",
    hosts: [...model.hosts.values()],
    jobs: [...model.jobs.values()],
    allocations: [...model.allocations.values()],
  };
};

/** What happened between two revisions as one delta: the last version of what is there, and what is not any more. */
const deltaBetween = (changes: readonly Change[], previous: number, revision: number): Delta => {
  const after = modelAfter(changes.slice(0, revision));
  const touched = changes.slice(previous, revision);
  const has = (what: "host" | "job" | "allocation", at: number): boolean =>
    touched.some((each) => each.at === at && (each.kind === what || (each.kind === "remove" && each.what === what)));
  const all = [0, 1, 2, 3, 4];
  const split = <T>(
    what: "host" | "job" | "allocation",
    id: (at: number) => string,
    map: Map<string, T>,
  ): [T[], number[]] => {
    const seen = all.filter((at) => has(what, at));
    const there = seen.flatMap((at) => map.get(id(at)) ?? []);
    return [there, seen.filter((at) => !map.has(id(at)))];
  };
  const [hosts, goneHosts] = split("host", (at) => `h${at}`, after.hosts);
  const [jobs, goneJobs] = split("job", (at) => `default/j${at}`, after.jobs);
  const [allocations, goneAllocations] = split("allocation", (at) => allocationOf(at, "placed").id, after.allocations);
  return {
    kind: "delta",
    previous,
    revision,
    hosts,
    jobs,
    allocations,
    removed: {
      hosts: goneHosts.map((at) => hostOf(at, false).id),
      jobs: goneJobs.map((at) => jobOf(at, 1)),
      allocations: goneAllocations.map((at) => allocationOf(at, "placed").id),
    },
  };
};

const comparable = (cluster: Cluster | undefined) => ({
  hosts: Object.fromEntries(cluster?.hosts ?? []),
  jobs: Object.fromEntries(cluster?.jobs ?? []),
  allocations: Object.fromEntries(cluster?.allocations ?? []),
});

describe("any split of a history", () => {
  it("ends in the same state", () => {
    fc.assert(
      fc.property(fc.array(change, { maxLength: 30 }), fc.array(fc.nat(30), { maxLength: 8 }), (changes, cuts) => {
        const end = changes.length;
        const marks = [...new Set([...cuts.map((cut) => cut % (end + 1)), end])].sort((a, b) => a - b);
        const replica = createReplica();
        const [start = end, ...later] = marks;
        expect(replica.apply(snapshotAt(changes, start), NOW)).toBe("applied");
        let previous = start;
        for (const mark of later) {
          expect(replica.apply(deltaBetween(changes, previous, mark), NOW)).toBe("applied");
          previous = mark;
        }
        const model = modelAfter(changes);
        expect(replica.revision()).toBe(end);
        expect(comparable(replica.publish())).toEqual({
          hosts: Object.fromEntries(model.hosts),
          jobs: Object.fromEntries(model.jobs),
          allocations: Object.fromEntries(model.allocations),
        });
      }),
    );
  });

  it("with lost and repeated deltas either ends in the same state or says that there is a gap", () => {
    fc.assert(
      fc.property(
        fc.array(change, { minLength: 1, maxLength: 20 }),
        fc.array(fc.nat(19), { maxLength: 40 }),
        (changes, order) => {
          const replica = createReplica();
          replica.apply(snapshotAt(changes, 0), NOW);
          for (const raw of order) {
            const at = raw % changes.length;
            const held = replica.revision() ?? 0;
            const verdict = replica.apply(deltaBetween(changes, at, at + 1), NOW);
            expect(verdict).toBe(at < held ? "repeated" : at === held ? "applied" : "gap");
          }
          const model = modelAfter(changes.slice(0, replica.revision()));
          expect(comparable(replica.publish()).jobs).toEqual(Object.fromEntries(model.jobs));
        },
      ),
    );
  });
});
