/** What goes wrong around a scheduler: its server is killed, hosts fall silent, requests come twice. */
import { describe, expect, test } from "vitest";
import { startFakeAgent } from "./testing/fake-agent.ts";
import { batch, startScheduler, type TestScheduler } from "./testing/scheduler.ts";
import { eventually } from "./testing/temp.ts";

const jobOf = async (scheduler: TestScheduler, name: string) =>
  (await scheduler.call("GET", `/v1/jobs/default/${name}`)).body;
const ended = (scheduler: TestScheduler, name: string) =>
  eventually(
    `the end of ${name}`,
    async () => {
      const job = await jobOf(scheduler, name);
      return typeof job.finishedAtMs === "number" ? job : undefined;
    },
    40_000,
  );

test("kill -9 of nats-server while an array runs: every task ends exactly once, nothing is lost", async () => {
  const scheduler = await startScheduler();
  const agent = await startFakeAgent(scheduler, { id: "h1" });
  const killed = scheduler.natsPid();
  await scheduler.call("POST", "/v1/jobs", batch("array", { array: { size: 200, maxRunning: 8 } }));
  await eventually("some have run", () => agent.started.length > 20);
  process.kill(killed, "SIGKILL");
  const job = await ended(scheduler, "array");
  expect(job).toMatchObject({ state: "succeeded", tasks: { succeeded: 200 } });
  expect(scheduler.natsPid()).not.toBe(killed);
  // No task ran twice: the agent was told to run each allocation once, and each index had one.
  expect(agent.started).toHaveLength(200);
  expect(new Set(agent.started).size).toBe(200);
  const { body } = await scheduler.call("GET", "/v1/hosts/h1");
  expect(body.state).toBe("ready");
});

test("a submission during the outage is refused as retryable or done; sent again with its key, it is there once", async () => {
  const scheduler = await startScheduler();
  process.kill(scheduler.natsPid(), "SIGKILL");
  const headers = { "idempotency-key": "once" };
  const answers: number[] = [];
  await eventually("taken", async () => {
    const answer = await scheduler.call("POST", "/v1/jobs", batch("retried"), headers);
    answers.push(answer.status);
    if (answer.status >= 400) expect(answer.body).toMatchObject({ status: 503 });
    return answer.status < 300;
  });
  expect(await jobOf(scheduler, "retried")).toMatchObject({ version: 1 });
});

describe("idempotency", () => {
  test("the same key and document is one submission; another document under it is refused", async () => {
    const scheduler = await startScheduler();
    const headers = { "idempotency-key": "k1" };
    const first = await scheduler.call("POST", "/v1/jobs", batch("a"), headers);
    const second = await scheduler.call("POST", "/v1/jobs", batch("a"), headers);
    expect([first.status, first.body.action]).toEqual([201, "create"]);
    expect([second.status, second.body.action, second.body.job.version]).toEqual([200, "unchanged", 1]);
    const third = await scheduler.call("POST", "/v1/jobs", batch("b"), headers);
    expect([third.status, third.body.code]).toEqual([422, "idempotency.reused"]);
    const unkeyed = await scheduler.call("POST", "/v1/jobs", batch("a"));
    expect([unkeyed.status, unkeyed.body.code]).toEqual([409, "job.active"]);
    const many = await Promise.all(
      Array.from({ length: 10 }, () => scheduler.call("POST", "/v1/jobs", batch("c"), { "idempotency-key": "k2" })),
    );
    const actions = many.map((answer) => answer.body.action as string);
    expect(actions.filter((action) => action === "create")).toHaveLength(1);
    expect(actions.filter((action) => action === "unchanged")).toHaveLength(9);
  });

  test("whatever else is asked again under its key is done once, and answered as the first time", async () => {
    const scheduler = await startScheduler();
    const value = Buffer.from("hidden").toString("base64");
    const steps = [
      ["/v1/projects", { name: "media" }],
      ["/v1/projects/media/secrets/db", { value }],
      ["/v1/projects/media/secrets/db/remove", {}],
      ["/v1/projects/media/remove", {}],
    ] as const;
    for (const [path, body] of steps) {
      const headers = { "idempotency-key": `key of ${path}` };
      const first = await scheduler.call("POST", path, body, headers);
      const again = await scheduler.call("POST", path, body, headers);
      expect([first.status < 300, first.text], path).toEqual([true, again.text]);
      const unkeyed = await scheduler.call("POST", path, body);
      if (path.endsWith("/remove")) expect([path, unkeyed.status]).toEqual([path, 404]);
    }
    // What goes into the log tells nobody the key, nor lets the body be tried.
    const { body } = await scheduler.call("GET", "/v1/audit");
    const text = JSON.stringify(body);
    for (const hidden of ["key of", value, "hidden"]) expect(text).not.toContain(hidden);
    // The same key for another request is another request.
    const other = { "idempotency-key": "one key" };
    await scheduler.call("POST", "/v1/projects", { name: "one" }, other);
    expect((await scheduler.call("POST", "/v1/projects", { name: "two" }, other)).body.name).toBe("two");
  });
});

describe("a silent host", () => {
  test("is lost after the bound, its tasks run elsewhere, and when it comes back it is told to stop them", async () => {
    const scheduler = await startScheduler({ lostAfterMs: 2_000 });
    const one = await startFakeAgent(scheduler, { id: "one", behave: () => ({ code: "forever" }) });
    await scheduler.call("POST", "/v1/jobs", {
      ...batch("web", { kind: "service", replicas: 2 }),
    });
    await eventually("both run on one", async () => (await jobOf(scheduler, "web")).tasks.running === 2);
    const two = await startFakeAgent(scheduler, { id: "two", behave: () => ({ code: "forever" }) });
    one.vanish();
    await eventually("one is lost", async () => (await scheduler.call("GET", "/v1/hosts/one")).body.state === "lost");
    await eventually("both run on two", async () => {
      const { body } = await scheduler.call("GET", "/v1/allocations?host=two&state=running");
      return body.items.length === 2;
    });
    expect(two.started).toHaveLength(2);
    const lost = await scheduler.call("GET", "/v1/allocations?host=one");
    expect(lost.body.items.map((item: { state: string }) => item.state)).toEqual(["lost", "lost"]);

    one.come();
    await eventually("one is ready", async () => (await scheduler.call("GET", "/v1/hosts/one")).body.state === "ready");
    await eventually("one knows that nothing is wanted there", () => one.document()?.allocations.length === 0);
    expect(await jobOf(scheduler, "web")).toMatchObject({ tasks: { running: 2 } });
  });

  test("an outage of the bus longer than the bound marks nobody lost", async () => {
    const scheduler = await startScheduler({ lostAfterMs: 1_500 });
    await startFakeAgent(scheduler, { id: "one", behave: () => ({ code: "forever" }) });
    await scheduler.call("POST", "/v1/jobs", batch("long"));
    await eventually("running", async () => (await jobOf(scheduler, "long")).tasks.running === 1);
    // The server is stopped, not killed: connections stay open, and nothing arrives.
    const pid = scheduler.natsPid();
    process.kill(pid, "SIGSTOP");
    try {
      await eventually("the outage was noticed", async () => {
        const { body } = await fetch(`${scheduler.url}/readyz`).then(async (answer) => ({
          body: (await answer.json()) as { checks: { bus: { ok: boolean } } },
        }));
        return !body.checks.bus.ok;
      });
    } finally {
      process.kill(pid, "SIGCONT");
    }
    await eventually(
      "a change can be written again",
      async () => (await scheduler.call("POST", "/v1/jobs", batch("after"))).status === 201,
      30_000,
    );
    const { body } = await scheduler.call("GET", "/v1/allocations?job=long");
    expect(body.items.map((item: { state: string; attempt: number }) => [item.state, item.attempt])).toEqual([
      ["running", 1],
    ]);
    expect((await scheduler.call("GET", "/v1/hosts/one")).body.state).toBe("ready");
  });
});

test("a waiting request is answered when the job changes, and a second waits for the next change", async () => {
  const scheduler = await startScheduler();
  const first = await scheduler.call("POST", "/v1/jobs", batch("waited"));
  const revision = Number(/"(\d+)"/.exec(first.headers.get("etag") ?? "")?.[1]);
  expect(revision).toBe(first.body.revision);
  const waiting = scheduler.call("GET", `/v1/jobs/default/waited?wait=30s&revision=${revision}`);
  await startFakeAgent(scheduler, { id: "h1" });
  const changed = await waiting;
  expect(Number(/"(\d+)"/.exec(changed.headers.get("etag") ?? "")?.[1])).toBeGreaterThan(revision);
  await ended(scheduler, "waited");
});

test("pages of jobs: every job once, also with a filter", async () => {
  const scheduler = await startScheduler();
  for (let at = 0; at < 7; at += 1)
    await scheduler.call("POST", "/v1/jobs", batch(`job-${at}`, { project: at % 2 === 0 ? "even" : "odd" }));
  const names: string[] = [];
  let cursor: string | null = "";
  while (cursor !== null) {
    const { body }: { body: { items: { name: string }[]; next: string | null } } = await scheduler.call(
      "GET",
      `/v1/jobs?limit=3${cursor === "" ? "" : `&cursor=${cursor}`}`,
    );
    names.push(...body.items.map((item) => item.name));
    cursor = body.next;
  }
  expect(names.sort()).toEqual(Array.from({ length: 7 }, (_, at) => `job-${at}`));
  const odd = await scheduler.call("GET", "/v1/jobs?project=odd");
  expect(odd.body.items).toHaveLength(3);
});
