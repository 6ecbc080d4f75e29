import { describe, expect, it } from "vitest";
import type { HostId } from "@berth/schema";
import {
  busySnapshot,
  makeAllocation,
  makeExit,
  makeHost,
  makeJob,
  type Delta,
  type Snapshot,
} from "../../testing/cluster.ts";
import { createReplica, keyOf } from "./replica.ts";

const NOW = 1_700_000_000_000;
const job = makeJob("web", { cpuMillis: 500, memoryBytes: 1024, pids: 8 });
const base: Snapshot = {
  kind: "snapshot",
  revision: 10,
  cluster: "c",
  hosts: [makeHost("a", 4, 8)],
  jobs: [job],
  allocations: [],
};
const delta = (previous: number, revision: number, more: Partial<Delta> = {}): Delta => ({
  kind: "delta",
  previous,
  revision,
  hosts: [],
  jobs: [],
  allocations: [],
  removed: { hosts: [], jobs: [], allocations: [] },
  ...more,
});

describe("a replica", () => {
  it("has nothing to publish before the first snapshot, and refuses deltas", () => {
    const replica = createReplica();
    expect(replica.apply(delta(1, 2), NOW)).toBe("gap");
    expect(replica.publish()).toBeUndefined();
  });

  it("takes a delta that continues what it holds", () => {
    const replica = createReplica();
    replica.apply(base, NOW);
    const allocation = makeAllocation(1, job, 0, "a");
    expect(replica.apply(delta(10, 14, { allocations: [allocation] }), NOW)).toBe("applied");
    expect(replica.revision()).toBe(14);
    expect(replica.publish()?.allocations.get(allocation.id)).toEqual(allocation);
  });

  it("refuses a delta after a gap without changing anything", () => {
    const replica = createReplica();
    replica.apply(base, NOW);
    const before = replica.publish();
    expect(replica.apply(delta(11, 12, { jobs: [{ ...job, state: "failed" }] }), NOW)).toBe("gap");
    expect(replica.publish()).toEqual(before);
  });

  it("knows what it has already taken", () => {
    const replica = createReplica();
    replica.apply(base, NOW);
    const change = delta(10, 11, { jobs: [{ ...job, state: "stopping" }] });
    replica.apply(change, NOW);
    expect(replica.apply(change, NOW)).toBe("repeated");
    expect(replica.apply(delta(9, 10), NOW)).toBe("repeated");
    expect(replica.publish()?.jobs.get(keyOf(job))?.state).toBe("stopping");
  });

  it("forgets what a delta removes", () => {
    const replica = createReplica();
    const allocation = makeAllocation(1, job, 0, "a");
    replica.apply({ ...base, allocations: [allocation] }, NOW);
    replica.apply(
      delta(10, 11, { removed: { hosts: ["a" as HostId], jobs: [job], allocations: [allocation.id] } }),
      NOW,
    );
    const cluster = replica.publish();
    expect([cluster?.hosts.size, cluster?.jobs.size, cluster?.allocations.size, cluster?.heardAtMs.size]).toEqual([
      0, 0, 0, 0,
    ]);
  });

  it("replaces everything with a new snapshot, even of a lower revision", () => {
    const replica = createReplica();
    replica.apply(base, NOW);
    replica.apply({ ...base, revision: 2, jobs: [], cluster: "new" }, NOW);
    expect(replica.publish()).toMatchObject({ revision: 2, name: "new" });
    expect(replica.publish()?.jobs.size).toBe(0);
  });

  it("keeps measurements through a delta that carries none, until the allocation ends", () => {
    const replica = createReplica();
    const running = makeAllocation(1, job, 0, "a");
    const usage = { cpuMillis: 7, memoryBytes: 8, pids: 9 };
    replica.apply({ ...base, allocations: [running] }, NOW);
    replica.apply({ kind: "usage", hosts: {}, allocations: { [running.id]: usage } }, NOW);
    replica.apply(delta(10, 11, { allocations: [{ ...running, state: "stopping" }] }), NOW);
    expect(replica.publish()?.allocations.get(running.id)?.usage).toEqual(usage);
    replica.apply(delta(11, 12, { allocations: [{ ...running, state: "exited", exit: makeExit(NOW) }] }), NOW);
    replica.apply({ kind: "usage", hosts: {}, allocations: { [running.id]: usage } }, NOW);
    expect(replica.publish()?.allocations.get(running.id)?.usage).toBeNull();
  });

  it("remembers by its own clock when a host was heard", () => {
    const replica = createReplica();
    const [host] = base.hosts;
    if (host === undefined) throw new Error("the snapshot has no host");
    replica.apply({ ...base, hosts: [{ ...host, lastHeartbeatAgoMs: 3_000 }] }, NOW);
    expect(replica.publish()?.heardAtMs.get(host.id)).toBe(NOW - 3_000);
    replica.apply(
      {
        kind: "usage",
        hosts: {
          [host.id]: {
            usage: host.usage ?? { cpuMillis: 0, memoryBytes: 0, pids: 0, load1: 0, uptimeMs: 0 },
            pressure: null,
          },
        },
        allocations: {},
      },
      NOW + 500,
    );
    expect(replica.publish()?.heardAtMs.get(host.id)).toBe(NOW + 500);
  });

  it("measures nothing that it does not know", () => {
    const replica = createReplica();
    replica.apply(base, NOW);
    const strange = {
      ghost: { usage: { cpuMillis: 1, memoryBytes: 1, pids: 1, load1: 0, uptimeMs: 1 }, pressure: null },
    };
    replica.apply({ kind: "usage", hosts: strange, allocations: {} }, NOW);
    expect([...(replica.publish()?.hosts.keys() ?? [])]).toEqual(["a"]);
  });

  it("publishes the same collection while it did not change, and never changes a published one", () => {
    const replica = createReplica();
    replica.apply(busySnapshot(NOW), NOW);
    const first = replica.publish();
    const revision = replica.revision() ?? 0;
    replica.apply(delta(revision, revision + 1, { jobs: [job] }), NOW);
    const second = replica.publish();
    expect(second?.allocations).toBe(first?.allocations);
    expect(second?.jobs).not.toBe(first?.jobs);
    expect(first?.jobs.has(keyOf(job))).toBe(false);
  });
});
