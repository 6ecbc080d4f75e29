/** Hosts that are closed, emptied, removed, silent for a moment: against a real scheduler and a real bus. */
import { connect, nkeyAuthenticator } from "nats";
import { expect, test } from "vitest";
import { startFakeAgent } from "./testing/fake-agent.ts";
import { batch, startScheduler, type TestScheduler } from "./testing/scheduler.ts";
import { eventually } from "./testing/temp.ts";

const forever = () => ({ code: "forever" }) as const;
const service = (name: string, replicas: number): Record<string, unknown> =>
  batch(name, { kind: "service", replicas, restart: { on: "always", backoff: "100ms..1s" } });

const hostOf = async (scheduler: TestScheduler, id: string) => (await scheduler.call("GET", `/v1/hosts/${id}`)).body;
const runningOn = async (scheduler: TestScheduler, host: string): Promise<number> =>
  (await scheduler.call("GET", `/v1/allocations?host=${host}&state=running`)).body.items.length;
const running = async (scheduler: TestScheduler, job: string): Promise<number> =>
  (await scheduler.call("GET", `/v1/jobs/default/${job}`)).body.tasks.running;

test("a cordoned host keeps what it has and gets nothing new, also after it was away", async () => {
  const scheduler = await startScheduler({ lostAfterMs: 2_000 });
  const one = await startFakeAgent(scheduler, { id: "one", behave: forever });
  await scheduler.call("POST", "/v1/jobs", service("web", 1));
  await eventually("it runs", async () => (await running(scheduler, "web")) === 1);
  expect((await scheduler.call("POST", "/v1/hosts/one/cordon")).body.state).toBe("cordoned");
  await scheduler.call("POST", "/v1/jobs", batch("late"));
  const why = (await scheduler.call("GET", "/v1/jobs/default/late/tasks/0/why")).body;
  expect(why.sentence).toContain("one is cordoned");
  expect(why.outcome.hosts).toEqual([{ hostId: "one", reason: "cordoned" }]);
  expect(await runningOn(scheduler, "one")).toBe(1);
  one.vanish();
  await eventually("it is missed", async () => (await hostOf(scheduler, "one")).state === "lost");
  one.come();
  await eventually("it is back, and still closed", async () => (await hostOf(scheduler, "one")).state === "cordoned");
  expect((await scheduler.call("POST", "/v1/hosts/one/uncordon")).body.state).toBe("ready");
  await eventually("it takes work again", async () => (await running(scheduler, "late")) === 1);
  expect((await scheduler.call("POST", "/v1/hosts/nobody/cordon")).body.code).toBe("host.not_found");
});

test("a drain shows its plan, moves a service one by one, lets batch tasks end, and closes the host", async () => {
  const scheduler = await startScheduler();
  await startFakeAgent(scheduler, { id: "one", behave: forever });
  await scheduler.call("POST", "/v1/jobs", service("web", 3));
  await scheduler.call("POST", "/v1/jobs", batch("work"));
  await eventually("all run", async () => (await runningOn(scheduler, "one")) === 4);
  await startFakeAgent(scheduler, { id: "two", behave: forever });
  const plan = (await scheduler.call("POST", "/v1/hosts/one/drain?dryRun=true", {})).body;
  expect(plan).toMatchObject({ host: "one", deadlineMs: 3_600_000 });
  expect(plan.steps.map((step: { kind: string; to: string }) => `${step.kind} ${step.to}`).sort()).toEqual([
    "finish null",
    "move two",
    "move two",
    "move two",
  ]);
  expect((await hostOf(scheduler, "one")).state).toBe("ready");

  expect((await scheduler.call("POST", "/v1/hosts/one/drain", { deadline: "1 fortnight" })).body.code).toBe(
    "request.invalid",
  );
  expect((await scheduler.call("POST", "/v1/hosts/one/drain", { deadline: "1h" })).body.state).toBe("draining");
  await eventually("the service has moved", async () => (await runningOn(scheduler, "two")) === 3);
  expect(await running(scheduler, "work")).toBe(1);
  expect((await hostOf(scheduler, "one")).state).toBe("draining");
  // Asked for less patience, what is left is stopped and goes elsewhere.
  await scheduler.call("POST", "/v1/hosts/one/drain", { deadline: "0s" });
  await eventually("the host is empty and closed", async () => {
    const host = await hostOf(scheduler, "one");
    return host.state === "cordoned" && host.allocations === 0;
  });
  await eventually("the batch task goes on elsewhere", async () => (await runningOn(scheduler, "two")) === 4);
});

test("a drain waits while nobody else has room, and is cancelled by a cordon", async () => {
  const scheduler = await startScheduler();
  await startFakeAgent(scheduler, { id: "one", behave: forever });
  await scheduler.call("POST", "/v1/jobs", service("web", 2));
  await eventually("both run", async () => (await runningOn(scheduler, "one")) === 2);
  const plan = (await scheduler.call("POST", "/v1/hosts/one/drain?dryRun=true", {})).body;
  expect(plan.steps.map((step: { kind: string }) => step.kind)).toEqual(["wait", "wait"]);
  await scheduler.call("POST", "/v1/hosts/one/drain", {});
  await scheduler.call("POST", "/v1/jobs", batch("other"));
  expect(await runningOn(scheduler, "one")).toBe(2);
  expect((await scheduler.call("POST", "/v1/hosts/one/cordon")).body).toMatchObject({
    state: "cordoned",
    allocations: 2,
    drainDeadlineAtMs: null,
  });
});

test("a host is disconnected before it is lost: it gets nothing new, and nothing of it moves", async () => {
  const scheduler = await startScheduler({ lostAfterMs: 8_000 });
  const one = await startFakeAgent(scheduler, { id: "one", behave: forever });
  await scheduler.call("POST", "/v1/jobs", service("web", 1));
  await eventually("it runs", async () => (await running(scheduler, "web")) === 1);
  const { body } = await scheduler.call("GET", "/v1/allocations?job=web");
  one.vanish();
  await eventually("it is missed", async () => (await hostOf(scheduler, "one")).state === "disconnected");
  one.come();
  await eventually("it is back", async () => (await hostOf(scheduler, "one")).state === "ready");
  const after = (await scheduler.call("GET", "/v1/allocations?job=web")).body;
  expect(after.items[0].id).toBe(body.items[0].id);
});

test("removing a host revokes its key at once; what it ran is placed anew, and a stopped job comes to its end", async () => {
  const scheduler = await startScheduler({ lostAfterMs: 2_000 });
  const one = await startFakeAgent(scheduler, { id: "one", behave: forever });
  await scheduler.call("POST", "/v1/jobs", service("web", 1));
  await scheduler.call("POST", "/v1/jobs", service("gone", 1));
  await eventually("both run", async () => (await runningOn(scheduler, "one")) === 2);
  expect((await scheduler.call("POST", "/v1/hosts/one/remove", {})).body).toMatchObject({
    code: "host.in_use",
    status: 409,
  });
  one.vanish();
  await eventually("it is lost", async () => (await hostOf(scheduler, "one")).state === "lost");
  await scheduler.call("POST", "/v1/jobs/default/gone/stop");
  expect((await scheduler.call("GET", "/v1/jobs/default/gone")).body.state).toBe("stopping");
  const removed = await scheduler.call("POST", "/v1/hosts/one/remove", {});
  expect(removed.body).toMatchObject({ host: "one", allocations: 2 });
  expect((await scheduler.call("GET", "/v1/hosts/one")).status).toBe(404);
  expect((await scheduler.call("GET", "/v1/jobs/default/gone")).body).toMatchObject({ state: "stopped" });
  const refused = await connect({
    servers: [...scheduler.running.natsUrls],
    authenticator: nkeyAuthenticator(one.seed),
    reconnect: false,
  }).then(
    () => "connected",
    (error: Error) => error.message,
  );
  expect(refused).toMatch(/authorization/i);
  const two = await startFakeAgent(scheduler, { id: "two", behave: forever });
  await eventually("it runs elsewhere", async () => (await runningOn(scheduler, "two")) === 1);
  expect(two.started).toHaveLength(1);
});
