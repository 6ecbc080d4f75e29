import { expect, test } from "vitest";
import type { AllocationId, HostId, JobKey, WatchMessage } from "@berth/schema";
import type { Changes } from "../core/index.ts";
import { manualClock } from "../testing/manual-clock.ts";
import { createWatchHub, WATCH_LIMITS, type WatchClient, type WatchLimits } from "./watch-hub.ts";

const make = (limits: Partial<WatchLimits> = {}) => {
  const clock = manualClock();
  let revision = 10;
  let dropped = 0;
  let rendered = 0;
  const hub = createWatchHub({
    clock,
    limits: { ...WATCH_LIMITS, ...limits },
    dropped: () => (dropped += 1),
    views: {
      revision: () => revision,
      host: () => undefined,
      job: (key) => {
        rendered += 1;
        return { name: key } as never;
      },
      allocation: (id) => ({ id }) as never,
      projectOf: () => undefined,
      waitingJobs: () => ["p/waiting" as JobKey],
      snapshot: () => ({ kind: "snapshot", revision, cluster: "c", hosts: [], jobs: [], allocations: [] }),
      usage: () => ({ kind: "usage", hosts: {}, allocations: {} }),
    },
  });
  const fold = (
    what: {
      hosts?: string[];
      jobs?: string[];
      removedJobs?: string[];
      allocations?: string[];
      removedAllocations?: string[];
    } = {},
  ): void => {
    revision += 1;
    hub.folded({
      hosts: [...((what.hosts ?? []) as HostId[])],
      jobs: new Set(what.jobs as JobKey[]),
      allocations: [...((what.allocations ?? []) as AllocationId[])],
      removed: {
        hosts: new Set(),
        jobs: new Map(
          (what.removedJobs ?? []).map((key) => [key as JobKey, { project: "p" as never, name: key as never }]),
        ),
        allocations: [...((what.removedAllocations ?? []) as AllocationId[])],
      },
      documents: [],
      ignored: 0,
    } satisfies Changes);
  };
  const client = (buffered = () => 0) => {
    const messages: WatchMessage[] = [];
    const closed: string[] = [];
    const value: WatchClient = {
      send: (text) => void messages.push(JSON.parse(text) as WatchMessage),
      bufferedBytes: buffered,
      close: (why) => void closed.push(why),
    };
    return { value, messages, closed, kinds: () => messages.map((message) => message.kind) };
  };
  hub.start();
  return { hub, clock, fold, client, dropped: () => dropped, rendered: () => rendered };
};

test("a snapshot, then deltas that chain; changes close in time become one", () => {
  const { hub, clock, fold, client } = make();
  const one = client();
  hub.join(one.value, undefined, null);
  fold({ jobs: ["p/a"] });
  fold({ jobs: ["p/a", "p/b"], allocations: ["x"] });
  expect(one.kinds()).toEqual(["snapshot"]);
  clock.advance(50);
  expect(one.messages[1]).toMatchObject({
    kind: "delta",
    previous: 10,
    revision: 12,
    jobs: [{ name: "p/a" }, { name: "p/b" }],
    allocations: [{ id: "x" }],
  });
  fold({ removedJobs: ["p/a"], removedAllocations: ["x"] });
  clock.advance(50);
  expect(one.messages[2]).toMatchObject({
    previous: 12,
    revision: 13,
    jobs: [],
    removed: { jobs: [{ project: "p", name: "p/a" }], allocations: ["x"] },
  });
});

test("something made and removed within one delta is removed, something removed and made again is there", () => {
  const { hub, clock, fold, client } = make();
  const one = client();
  hub.join(one.value, undefined, null);
  fold({ jobs: ["p/a"], allocations: ["x"] });
  fold({ removedJobs: ["p/a"], removedAllocations: ["x"] });
  fold({ removedJobs: ["p/b"] });
  fold({ jobs: ["p/b"] });
  clock.advance(50);
  expect(one.messages[1]).toMatchObject({
    jobs: [{ name: "p/b" }],
    allocations: [],
    removed: { jobs: [{ name: "p/a" }], allocations: ["x"] },
  });
});

test("a newcomer between two deltas does not break the chain of the others, nor its own", () => {
  const { hub, clock, fold, client } = make();
  const old = client();
  hub.join(old.value, undefined, null);
  fold({ jobs: ["p/a"] });
  const late = client();
  hub.join(late.value, undefined, null);
  expect(late.messages).toMatchObject([{ kind: "snapshot", revision: 11 }]);
  expect(old.messages[1]).toMatchObject({ kind: "delta", previous: 10, revision: 11 });
  fold();
  clock.advance(50);
  // Nothing visible has changed, and still both learn the new revision.
  expect(late.messages[1]).toMatchObject({ kind: "delta", previous: 11, revision: 12 });
  expect(old.messages[2]).toMatchObject({ kind: "delta", previous: 11, revision: 12 });
});

test("since: what was missed, nothing when nothing was, a snapshot when it is not known any more", () => {
  const { hub, clock, fold, client } = make({ ringDeltas: 3 });
  hub.join(client().value, undefined, null);
  for (let at = 0; at < 5; at += 1) {
    fold({ jobs: [`p/${at}`] });
    clock.advance(50);
  }
  const recent = client();
  hub.join(recent.value, 13, null);
  expect(recent.messages).toMatchObject([
    { previous: 13, revision: 14 },
    { previous: 14, revision: 15 },
  ]);
  const current = client();
  hub.join(current.value, 15, null);
  expect(current.messages).toEqual([]);
  for (const since of [10, 11, 99]) {
    const lost = client();
    hub.join(lost.value, since, null);
    expect(lost.kinds(), `since ${since}`).toEqual(["snapshot"]);
  }
});

test("what is kept for those who come back is bounded in bytes", () => {
  const { hub, clock, fold, client } = make({ ringBytes: 600 });
  hub.join(client().value, undefined, null);
  for (let at = 0; at < 20; at += 1) {
    fold({ jobs: [`p/${at}`] });
    clock.advance(50);
  }
  const old = client();
  hub.join(old.value, 20, null);
  expect(old.kinds()).toEqual(["snapshot"]);
  const recent = client();
  hub.join(recent.value, 29, null);
  expect(recent.messages).toMatchObject([{ previous: 29, revision: 30 }]);
});

test("a client that does not read is dropped, the others go on", () => {
  const { hub, clock, fold, client, dropped } = make({ bufferBytes: 100 });
  let buffered = 0;
  const slow = client(() => buffered);
  const quick = client();
  hub.join(slow.value, undefined, null);
  hub.join(quick.value, undefined, null);
  // A large snapshot that is still on its way is not held against it.
  buffered = 150;
  fold();
  clock.advance(50);
  expect(slow.closed).toEqual([]);
  buffered = 0;
  fold();
  clock.advance(50);
  buffered = 150;
  fold();
  clock.advance(50);
  expect(slow.closed).toEqual(["slow"]);
  expect(dropped()).toBe(1);
  expect(hub.clients()).toBe(1);
  expect(quick.kinds()).toEqual(["snapshot", "delta", "delta", "delta"]);
});

test("usage and pings come while somebody listens, and the number of clients is bounded", () => {
  const { hub, clock, client } = make({ clients: 1 });
  const one = client();
  const leave = hub.join(one.value, undefined, null);
  expect(hub.join(client().value, undefined, null)).toBeUndefined();
  clock.advance(15_000);
  expect(one.kinds().filter((kind) => kind === "usage")).toHaveLength(7);
  expect(one.kinds().filter((kind) => kind === "ping")).toHaveLength(1);
  leave?.();
  clock.advance(60_000);
  expect(one.messages).toHaveLength(9);
  const two = client();
  hub.join(two.value, undefined, null);
  hub.close();
  expect(two.closed).toEqual(["stopping"]);
});

test("when a host has changed, jobs that wait are shown anew: their reason may be another one", () => {
  const { hub, clock, fold, client } = make();
  const one = client();
  hub.join(one.value, undefined, null);
  fold({ hosts: ["h1"] });
  clock.advance(50);
  expect(one.messages[1]).toMatchObject({ jobs: [{ name: "p/waiting" }] });
  // Once a second at most, and the last of several changes is not forgotten.
  fold({ hosts: ["h2"] });
  clock.advance(50);
  expect(one.messages[2]).toMatchObject({ previous: 11, revision: 12, jobs: [] });
  clock.advance(1_000);
  expect(one.messages.slice(3)).toMatchObject([{ previous: 12, revision: 12, jobs: [{ name: "p/waiting" }] }]);
  // Who comes back to that revision hears of it, too; and nothing else waits for that second.
  const two = client();
  hub.join(two.value, 12, null);
  expect(two.messages).toMatchObject([{ previous: 12, revision: 12 }]);
  fold({ hosts: ["h3"] });
  clock.advance(50);
  fold({ jobs: ["p/a"] });
  clock.advance(50);
  expect(one.messages.slice(4)).toMatchObject([
    { previous: 12, revision: 13 },
    { previous: 13, revision: 14, jobs: [{ name: "p/a" }] },
  ]);
});

test("nothing is rendered before anybody has listened; whoever comes then gets a snapshot, whatever it knew", () => {
  const { hub, clock, fold, client, rendered } = make();
  for (let at = 0; at < 3; at += 1) {
    fold({ jobs: ["p/a"], hosts: ["h1"] });
    clock.advance(2_000);
  }
  expect(rendered()).toBe(0);
  const one = client();
  hub.join(one.value, 12, null);
  expect(one.messages).toMatchObject([{ kind: "snapshot", revision: 13 }]);
  fold({ jobs: ["p/b"] });
  clock.advance(50);
  // What was folded before it came is in the snapshot and comes no second time.
  expect(one.messages.slice(1)).toMatchObject([{ previous: 13, revision: 14, jobs: [{ name: "p/b" }] }]);
});

test("nothing is rendered once nobody has listened for a minute; whoever comes then gets a snapshot", () => {
  const { hub, clock, fold, client, rendered } = make();
  const one = client();
  const leave = hub.join(one.value, undefined, null);
  leave?.();
  fold({ jobs: ["p/a"] });
  clock.advance(50);
  expect(rendered()).toBe(1);
  clock.advance(61_000);
  fold({ jobs: ["p/a"] });
  clock.advance(50);
  expect(rendered()).toBe(1);
  const two = client();
  hub.join(two.value, 11, null);
  expect(two.kinds()).toEqual(["snapshot"]);
  fold({ jobs: ["p/a"] });
  clock.advance(50);
  expect(two.messages[1]).toMatchObject({ previous: 12, revision: 13, jobs: [{ name: "p/a" }] });
});
