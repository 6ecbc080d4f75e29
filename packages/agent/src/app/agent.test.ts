/** The whole agent on fake ports: what it does with the world, one situation at a time. */
import { afterEach, expect, test } from "vitest";
import { isTerminal, leaseTermsOf, type AllocationId } from "@berth/schema";
import { FakeAgent } from "../testing/fake-agent.ts";
import { turns } from "../testing/fake-clock.ts";
import { allocationId, testSpec } from "../testing/fake-scheduler.ts";

const agents: FakeAgent[] = [];
const agent = async (options: ConstructorParameters<typeof FakeAgent>[0] = {}): Promise<FakeAgent> => {
  const made = new FakeAgent(options);
  agents.push(made);
  await made.start();
  await turns(30);
  return made;
};
afterEach(() => {
  for (const made of agents.splice(0)) made.kill();
});

const states = (made: FakeAgent, id: AllocationId) => made.cluster.log.get(id)?.map((report) => report.state);

test("places, runs, ends, tells, and lets the runtime forget", async () => {
  const made = await agent();
  const id = allocationId();
  made.cluster.place(id, testSpec(["true"], { outputs: [{ path: "/out" }] }));
  made.cluster.announce();
  await turns(30);
  expect(made.host.running()).toEqual([id]);
  made.host.exit(id, 0);
  await turns(30);
  expect(states(made, id)).toEqual(["running", "exited"]);
  expect(made.host.kept.get(id)).toEqual(["/out"]);
  expect(made.host.containers.size).toBe(0);
  expect(made.host.records.get(id)).toMatchObject({ state: "exited", acked: "exited", slot: null });
});

test("starts nothing from an old document before the scheduler has answered", async () => {
  const made = await agent();
  const id = allocationId();
  made.cluster.place(id, testSpec(["true"]));
  made.kill();
  // What the agent has on disk lists the allocation, as it would after a kill between the document and the start.
  made.host.desired = {
    document: made.cluster.signed(),
    version: { epoch: made.cluster.epoch, rev: made.cluster.rev },
  };
  made.cluster.up = false;
  await made.start();
  await turns(30);
  expect(made.host.starts.size).toBe(0);
  // Meanwhile it runs elsewhere: the scheduler has dropped it here.
  made.cluster.drop(id);
  made.cluster.setUp(true);
  await turns(60);
  expect(made.host.starts.size).toBe(0);
  // What never began here has nothing to tell.
  expect(states(made, id)).toBeUndefined();
});

test("completes a damaged record from the document, so that timeouts and outputs are not lost with it", async () => {
  const made = await agent();
  const [late, good] = [allocationId(), allocationId()];
  made.cluster.place(late, testSpec(["x"], { runTimeoutMs: 60_000, outputs: [{ path: "/out" }] }));
  made.cluster.place(good, testSpec(["x"], { runTimeoutMs: 60_000, outputs: [{ path: "/out" }] }));
  made.cluster.announce();
  await turns(40);
  made.kill();
  for (const id of [late, good]) made.host.damaged.add(id);
  await made.start();
  await turns(40);
  made.host.exit(good, 0);
  await turns(40);
  expect(made.host.kept.get(good)).toEqual(["/out"]);
  await made.clock.advance(61_000);
  await turns(40);
  expect(made.cluster.log.get(late)?.at(-1)?.exit?.cause).toBe("timeout");
});

test("stops what is not in the document, but nothing for want of a document", async () => {
  const made = await agent();
  const [kept, dropped] = [allocationId(), allocationId()];
  for (const id of [kept, dropped]) made.cluster.place(id, testSpec(["true"]));
  made.cluster.announce();
  await turns(40);
  made.kill();
  made.host.desired = undefined;
  made.cluster.up = false;
  await made.start();
  await turns(40);
  expect(made.host.running().length).toBe(2);
  made.cluster.drop(dropped);
  made.cluster.setUp(true);
  await turns(60);
  expect(made.host.running()).toEqual([kept]);
  expect(made.cluster.log.get(dropped)?.at(-1)?.exit?.cause).toBe("stopped");
});

test.each([
  ["nobody sets", 0],
  ["is set back by a day", -86_400_000],
  ["jumps forward by a day", 86_400_000],
])("counts the run time over a restart of the agent, while the clock %s", async (_what, setMs) => {
  const made = await agent();
  const id = allocationId();
  made.cluster.place(id, testSpec(["true"], { runTimeoutMs: 60_000 }));
  made.cluster.announce();
  await turns(40);
  await made.clock.advance(50_000);
  made.kill();
  made.clock.set(setMs);
  await made.start();
  await turns(40);
  await made.clock.advance(9_000);
  expect(made.host.running()).toEqual([id]);
  await made.clock.advance(2_000);
  await turns(40);
  expect(made.cluster.log.get(id)?.at(-1)?.exit?.cause).toBe("timeout");
});

test("a start that its end cuts off is no failure: the next life finds the container", async () => {
  const made = await agent();
  made.host.startsOpen = true;
  const id = allocationId();
  made.cluster.place(id, testSpec(["true"]));
  made.cluster.announce();
  await turns(40);
  expect(made.host.running()).toEqual([id]);
  const closed = made.agent?.close();
  await made.clock.advance(60_000);
  await closed;
  await turns(40);
  expect(made.host.records.get(id)?.state).toBe("preparing");
  made.kill();
  made.host.startsOpen = false;
  await made.start();
  await turns(60);
  expect(states(made, id)?.at(-1)).toBe("running");
  expect(made.host.starts.get(id)).toBe(1);
});

test("reports the containers of a host that rebooted, and starts none of them again", async () => {
  const made = await agent();
  const id = allocationId();
  made.cluster.place(id, testSpec(["true"]));
  made.cluster.announce();
  await turns(40);
  made.kill();
  made.host.reboot();
  await made.start();
  await turns(60);
  expect(made.cluster.log.get(id)?.at(-1)?.exit?.cause).toBe("host_rebooted");
  expect(made.host.starts.get(id)).toBe(1);
});

const SINGLETON = { afterMs: null, action: "replace", singleton: true } as const;

test("a machine that comes back cut off runs again what it ran, singletons excepted, and is told what to stop later", async () => {
  const made = await agent();
  const [kept, dropped, single] = [allocationId(), allocationId(), allocationId()];
  for (const id of [kept, dropped]) made.cluster.place(id, testSpec(["true"]));
  made.cluster.announce();
  await turns(40);
  made.cluster.specs["alone"] = testSpec(["true"], { disconnect: SINGLETON });
  made.cluster.place(single, testSpec(["true"]));
  const placed = made.cluster.allocations.get(single);
  if (placed !== undefined) made.cluster.allocations.set(single, { ...placed, spec: "alone" });
  made.cluster.announce();
  await made.clock.advance(3_000);
  expect(made.host.running().length).toBe(3);
  made.cluster.setUp(false);
  made.kill();
  made.host.reboot();
  await made.start();
  await made.clock.advance(10_000);
  expect(made.host.running()).toEqual([]);
  await made.clock.advance(6_000);
  await turns(40);
  expect(made.host.running().toSorted()).toEqual([kept, dropped].toSorted());
  made.cluster.drop(dropped);
  made.cluster.setUp(true);
  await made.clock.advance(3_000);
  await turns(40);
  expect(made.host.running()).toEqual([kept]);
  expect(new Set(states(made, kept))).toEqual(new Set(["running"]));
  expect(made.cluster.log.get(single)?.at(-1)?.exit?.cause).toBe("host_rebooted");
});

test("a machine that comes back with a full disk waits for room when it is answered, and acts on nothing older meanwhile", async () => {
  const made = await agent();
  const [kept, dropped] = [allocationId(), allocationId()];
  for (const id of [kept, dropped]) made.cluster.place(id, testSpec(["true"]));
  made.cluster.announce();
  await turns(40);
  made.host.diskFull = true;
  made.cluster.drop(dropped);
  made.kill();
  made.host.reboot();
  await made.start();
  await made.clock.advance(40_000);
  await turns(40);
  expect(made.host.running()).toEqual([]);
  made.host.diskFull = false;
  await made.clock.advance(40_000);
  await turns(40);
  for (const id of [kept, dropped]) {
    expect(made.host.starts.get(id)).toBe(1);
    expect(made.cluster.log.get(id)?.at(-1)?.exit?.cause).toBe("host_rebooted");
  }
});

test("a document that was damaged, and could not be written again because the disk was full, is asked for until it is there", async () => {
  const made = await agent();
  made.cluster.place(allocationId(), testSpec(["true"]));
  made.cluster.announce();
  await turns(40);
  made.kill();
  if (made.host.desired !== undefined)
    made.host.desired = { ...made.host.desired, document: { payload: "{", signature: "ok" } };
  made.host.diskFull = true;
  await made.start();
  await made.clock.advance(3_000);
  expect(made.agent?.context.state.confirmed).toBe(false);
  made.host.diskFull = false;
  await made.clock.advance(40_000);
  await turns(40);
  expect(made.agent?.context.state.document?.allocations.length).toBe(1);
});

test("a singleton waits for a lease, goes on while it is renewed, and has ended before anybody may replace it", async () => {
  const made = await agent();
  const id = allocationId();
  made.cluster.leases = false;
  const spec = testSpec(["true"], { disconnect: SINGLETON });
  made.cluster.place(id, spec);
  made.cluster.announce();
  await made.clock.advance(10_000);
  expect(made.host.running()).toEqual([]);
  made.cluster.leases = true;
  await made.clock.advance(4_000);
  expect(made.host.running()).toEqual([id]);
  await made.clock.advance(60_000);
  expect(made.host.running()).toEqual([id]);
  made.cluster.setUp(false);
  // Whoever is killed now has told the supervisor before.
  made.kill();
  await made.start();
  await made.clock.advance((leaseTermsOf(spec)?.leaseMs ?? 0) - 2_100);
  expect(made.host.running()).toEqual([id]);
  await made.clock.advance(2_100);
  expect(made.host.running()).toEqual([]);
  made.cluster.setUp(true);
  await made.clock.advance(3_000);
  await turns(60);
  expect(made.cluster.log.get(id)?.at(-1)?.exit).toMatchObject({ cause: "stopped" });
});

test("refuses new work while the disk is full, tells ends nevertheless, and recovers by itself", async () => {
  const made = await agent();
  const old = allocationId();
  made.cluster.place(old, testSpec(["true"]));
  made.cluster.announce();
  await turns(40);
  made.host.diskFull = true;
  made.host.exit(old, 4);
  await turns(40);
  await made.clock.advance(5_000);
  expect(made.cluster.log.get(old)?.at(-1)).toMatchObject({ state: "exited", exit: { code: 4 } });
  // Its end is not on disk, so the runtime must not forget it.
  expect(made.host.containers.has(old)).toBe(true);
  const next = allocationId();
  made.cluster.place(next, testSpec(["true"]));
  made.cluster.announce();
  await turns(40);
  expect(made.host.starts.has(next)).toBe(false);
  made.host.diskFull = false;
  await made.clock.advance(40_000);
  await turns(40);
  expect(made.host.starts.get(next)).toBe(1);
  expect(made.host.containers.has(old)).toBe(false);
});

test("reports that cannot be read hold up no others", async () => {
  const made = await agent();
  const ids = Array.from({ length: 5 }, () => allocationId());
  const [bad] = ids;
  const original = made.cluster.line;
  made.kill();
  made.cluster.line = function (this: typeof made.cluster) {
    const { kill, line } = original.call(this);
    return {
      kill,
      line: {
        ...line,
        report: async (report) => {
          if (report.allocations.some(({ id }) => id === bad)) {
            const { problem } = await import("@berth/schema");
            return { ok: false, error: problem("message.invalid", "unreadable") };
          }
          return await line.report(report);
        },
      },
    };
  };
  await made.start();
  await turns(30);
  for (const id of ids) made.cluster.place(id, testSpec(["true"]));
  made.cluster.announce();
  await turns(100);
  for (const id of ids) made.host.exit(id, 0);
  await turns(100);
  expect(ids.filter((id) => (states(made, id) ?? []).some(isTerminal))).toEqual(ids.slice(1));
});

test("greets again when the scheduler does not know the session", async () => {
  const made = await agent();
  expect(made.cluster.hellos).toBe(1);
  const context = made.agent?.context;
  const sync = context?.line.sync;
  expect(sync).toBeDefined();
  const { problem } = await import("@berth/schema");
  const unknown = { ok: false as const, error: problem("host.unknown", "who?") };
  let refused = 0;
  made.kill();
  const original = made.cluster.line;
  made.cluster.line = function (this: typeof made.cluster) {
    const { kill, line } = original.call(this);
    const refuseOnce: typeof line.sync = (request) => {
      refused += 1;
      return refused === 1 ? Promise.resolve(unknown) : line.sync(request);
    };
    return { kill, line: { ...line, sync: refuseOnce } };
  };
  await made.start();
  await turns(30);
  await made.clock.advance(60_000);
  expect(refused).toBeGreaterThanOrEqual(1);
  expect(made.cluster.hellos).toBe(3);
});

test("forgets finished allocations beyond the limit, oldest first, and only those that are acknowledged", async () => {
  const made = await agent({ retention: { count: 2, ageMs: 1e12, bytes: 1e12 } });
  const ids = Array.from({ length: 4 }, () => allocationId());
  for (const id of ids) {
    made.cluster.place(id, testSpec(["true"]));
    made.cluster.announce();
    await turns(40);
    await made.clock.advance(10);
    made.host.exit(id, 0);
    await turns(40);
  }
  made.cluster.announce();
  await turns(20);
  expect(made.host.records.size).toBe(4);
  await made.clock.advance(61_000);
  await turns(20);
  expect([...made.host.records.keys()]).toEqual(ids.slice(2));
});

test("beats while it is greeted and the line is up", async () => {
  const made = await agent();
  await made.clock.advance(10_000);
  const before = made.cluster.heartbeats.length;
  expect(before).toBeGreaterThanOrEqual(5);
  expect(made.cluster.heartbeats.map((beat) => beat.seq)).toEqual(made.cluster.heartbeats.map((_, at) => at + 1));
  made.cluster.setUp(false);
  await made.clock.advance(10_000);
  expect(made.cluster.heartbeats.length).toBe(before);
});

test("limits that are refused are tried ever less often, and warned of once for each reason", async () => {
  const made = await agent();
  const id = allocationId();
  const spec = testSpec(["x"]);
  made.cluster.place(id, spec);
  made.cluster.announce();
  await turns(30);
  const tries: number[] = [];
  const began = made.clock.monotonicMs();
  let code = "EBUSY";
  made.host.limitsFailure = () => {
    tries.push(made.clock.monotonicMs() - began);
    return { stage: "cgroup.limit", errno: 16, code, detail: `${tries.length} bytes are in use` };
  };
  const wish = (memoryBytes: number): void => {
    made.cluster.specs["spec"] = { ...spec, limits: { ...spec.limits, memoryBytes } };
    made.cluster.rev += 1;
    made.cluster.announce();
  };
  const warnings = (): number => made.lines.filter((line) => line.startsWith("container.limits_refused")).length;
  wish(2 ** 25);
  await made.clock.advance(30 * 60_000);
  const pauses = tries.slice(1).map((at, index) => at - (tries[index] ?? 0));
  expect(pauses.slice(0, 5)).toEqual([15_000, 30_000, 60_000, 120_000, 240_000]);
  expect(new Set(pauses.slice(4))).toEqual(new Set([240_000]));
  expect(warnings()).toBe(1);
  code = "EIO";
  await made.clock.advance(10 * 60_000);
  expect(warnings()).toBe(2);
  // Other limits are tried at once, and what is done is said no more.
  const before = tries.length;
  wish(2 ** 27);
  await turns(30);
  expect([tries.length, warnings()]).toEqual([before + 1, 3]);
  made.host.limitsFailure = undefined;
  await made.clock.advance(20_000);
  await turns(30);
  expect(made.host.containers.get(id)?.spec.limits.memoryBytes).toBe(2 ** 27);
});
