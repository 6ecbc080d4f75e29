/** What a compromised agent can do on the bus with its own credentials: speak as itself, listen to itself, nothing else. */
import { headers, nkeys, type NatsConnection } from "nats";
import { pino } from "pino";
import { beforeAll, describe, expect, test } from "vitest";
import type { HostId } from "@berth/schema";
import { connectAs, enrol, startFakeAgent } from "../../testing/fake-agent.ts";
import { batch, startScheduler, type TestScheduler } from "../../testing/scheduler.ts";
import { eventually } from "../../testing/temp.ts";
import { connectBus } from "./connection.ts";
import { silent } from "../../testing/nats.ts";
import { readFileSync } from "node:fs";
import { join } from "node:path";

let scheduler: TestScheduler;
let evil: NatsConnection;
const refusals: string[] = [];

const logged: {
  readonly msg: string;
  readonly host?: string;
  readonly reason?: string;
  readonly operation?: string;
  readonly about?: string;
  readonly line?: string;
}[] = [];
const metric = async (name: string): Promise<number> => {
  const { text } = await scheduler.call("GET", "/metrics");
  const line = text.split("\n").find((one) => one.startsWith(`${name} `));
  return Number(line?.slice(name.length + 1) ?? 0);
};

beforeAll(async () => {
  const logger = pino({ level: "warn" }, { write: (line: string) => void logged.push(JSON.parse(line)) });
  scheduler = await startScheduler({ logger });
  const { seed, enrolled } = await enrol(scheduler, "evil");
  evil = await connectAs(enrolled.natsUrls, "evil", seed);
  void (async () => {
    for await (const status of evil.status()) {
      if (status.type === "error")
        refusals.push(`${JSON.stringify(status.data)} ${status.permissionContext?.subject ?? ""}`);
    }
  })();
});

describe("publishing", () => {
  test.each([
    "hb.victim",
    "api.victim.report",
    "api.victim.hello",
    "host.victim.desired",
    "host.evil.desired",
    "host.victim.rpc",
    "$KV.desired.evil",
    "$KV.desired.victim",
    "log",
    "ctl.leader",
    "_INBOX_victim.x",
    "_INBOX.x",
    "$JS.API.INFO",
    "$JS.API.STREAM.DELETE.LOG",
    "$JS.API.STREAM.PURGE.KV_desired",
    "$JS.API.DIRECT.GET.KV_desired.$KV.desired.evil",
    "$JS.API.CONSUMER.CREATE.LOG",
    "$JS.ACK.LOG.x.1.1.1.1.1",
    "$SYS.REQ.SERVER.PING",
  ])("%s is refused", async (subject) => {
    const before = refusals.length;
    evil.publish(subject, "x");
    await eventually("the refusal", () => refusals.slice(before).some((text) => text.includes(subject)));
  });
});

describe("listening", () => {
  test.each([
    ">",
    "*",
    "hb.*",
    "api.>",
    "host.*.desired",
    "host.victim.>",
    "_INBOX_victim.>",
    "_INBOX.>",
    "$KV.>",
    "log",
    "$JS.>",
    "$SYS.>",
  ])("%s is refused", async (subject) => {
    const failed = new Promise<string>((resolve) => {
      evil.subscribe(subject, { callback: (error) => resolve(error?.message ?? "heard something") });
    });
    await evil.flush().catch(() => {});
    expect(await failed).toMatch(/permissions violation/i);
  });
});

test("what the server refused is in the scheduler's log, with who and what, and counted", async () => {
  const lines = (): string[] => logged.filter(({ msg }) => msg === "bus_refused").map(({ line }) => line ?? "");
  for (const what of ["Publish Violation", '"hb.victim"', "Subscription Violation", '"host.victim.>"']) {
    await eventually(what, () => lines().some((line) => line.includes(what)));
  }
  expect(await metric('berth_bus_refusals_total{kind="publish"}')).toBeGreaterThanOrEqual(19);
  expect(await metric('berth_bus_refusals_total{kind="subscribe"}')).toBeGreaterThanOrEqual(12);
});

test("a request whose answer would land at another host is not answered", async () => {
  const victim = await startFakeAgent(scheduler, { id: "victim" });
  const heard: string[] = [];
  victim.connection.subscribe("_INBOX_victim.>", { callback: (_error, message) => void heard.push(message.subject) });
  victim.connection.subscribe("host.victim.>", { callback: (_error, message) => void heard.push(message.subject) });
  await victim.connection.flush();
  heard.length = 0;
  for (const reply of [
    "host.victim.desired",
    "host.victim.rpc",
    "_INBOX_victim.stolen",
    "_INBOX_evil",
    "_INBOX_evilx.a",
    "log",
    "hb.victim",
  ]) {
    evil.publish("api.evil.sync", JSON.stringify({ session: "x".repeat(16), epoch: 0, rev: 0 }), { reply });
  }
  // Its own inbox is answered, so the ones before were seen.
  const answer = await evil.request("api.evil.sync", JSON.stringify({ session: "x".repeat(16), epoch: 0, rev: 0 }), {
    timeout: 5_000,
  });
  expect(answer.json()).toMatchObject({ ok: false, problem: { code: "host.unknown" } });
  await victim.connection.flush();
  expect(heard.filter((subject) => subject !== "host.victim.desired" || victim.problems.length > 0)).toEqual([]);
  const { text } = await scheduler.call("GET", "/metrics");
  expect(text).toMatch(/berth_agent_messages_refused_total\{reason="inbox"\} [1-9]/);
  const said = logged.filter(({ msg, reason }) => msg === "agent_message_refused" && reason === "inbox");
  expect(said).toMatchObject([{ host: "evil" }]);
});

test("reports about another host's allocations change nothing", async () => {
  const victim = await startFakeAgent(scheduler, { id: "holder", behave: () => ({ code: "forever" }) });
  await scheduler.call("POST", "/v1/jobs", batch("held"));
  const held = await eventually("running", async () => {
    const { body } = await scheduler.call("GET", "/v1/allocations?job=held&state=running");
    return body.items[0] as { id: string; hostId: string } | undefined;
  });
  expect([victim.id, "victim"]).toContain(held.hostId);
  const session = "evil-session-0000";
  const request = async (operation: string, body: unknown) =>
    (await evil.request(`api.evil.${operation}`, JSON.stringify(body), { timeout: 5_000 })).json();
  const { capacityOf, inventoryOf } = await import("../../testing/fake-agent.ts");
  const tiny = capacityOf(0);
  expect(
    await request("hello", {
      version: 1,
      session,
      bootId: "b",
      inventory: inventoryOf("evil"),
      capacity: tiny,
      epoch: 0,
      rev: 0,
    }),
  ).toMatchObject({ ok: true });
  const exit = { code: 1, signal: null, oom: false, cause: "exited", detail: null, startedAtMs: null, finishedAtMs: 1 };
  const report = { id: held.id, state: "exited", reason: "exited", startedAtMs: null, exit };
  expect(await request("report", { session, allocations: [report] })).toMatchObject({ ok: true });
  expect((await scheduler.call("GET", `/v1/allocations/${held.id}`)).body.state).toBe("running");
  const said = logged.filter(({ msg, reason }) => msg === "agent_message_refused" && reason === "foreign");
  expect(said).toMatchObject([{ host: "evil", operation: "report", about: held.id }]);
  expect(await metric('berth_agent_messages_refused_total{reason="foreign"}')).toBe(1);
});

test("messages without form are answered with problems and crash nothing", async () => {
  const bodies = [
    "",
    "{",
    "null",
    "[]",
    '{"session":1}',
    "x".repeat(1_000),
    JSON.stringify({ session: "a".repeat(16), allocations: [{}] }),
  ];
  for (const operation of ["hello", "report", "sync"]) {
    for (const body of bodies) {
      const answer = (await evil.request(`api.evil.${operation}`, body, { timeout: 5_000 })).json();
      expect(answer, `${operation} ${body.slice(0, 40)}`).toMatchObject({
        ok: false,
        problem: { code: "message.invalid" },
      });
    }
  }
  const bytes = (await evil.request("api.evil.hello", new Uint8Array([0xff, 0xfe]), { timeout: 5_000 })).json();
  expect(bytes).toMatchObject({ ok: false, problem: { code: "message.invalid" } });
  const unknown = (await evil.request("api.evil.__proto__", "{}", { timeout: 5_000 })).json();
  expect(unknown).toMatchObject({ ok: false, problem: { code: "message.invalid" } });
  expect(logged.filter(({ msg, reason }) => msg === "agent_message_refused" && reason === "form")).toMatchObject([
    { host: "evil" },
  ]);
  for (const body of ["", "{", "x".repeat(500_000), JSON.stringify({ session: "a".repeat(16) })])
    evil.publish("hb.evil", body);
  evil.publish("hb.evil", "{}", { headers: headers(503, "odd") });
  await evil.flush();
  expect((await scheduler.call("GET", "/v1/version")).status).toBe(200);
});

test("a key that was not admitted cannot connect; one that is admitted later can at once, and the others stay", async () => {
  const stranger = nkeys.createUser();
  const [url = ""] = scheduler.running.natsUrls;
  await expect(connectBus([url], new TextDecoder().decode(stranger.getSeed()), silent)).rejects.toThrow(
    /cannot connect/,
  );
  await expect(connectBus([url], "not a seed", silent)).rejects.toThrow();
  let dropped = false;
  void (async () => {
    for await (const status of evil.status()) if (status.type === "disconnect") dropped = true;
  })();
  const { seed, enrolled } = await enrol(scheduler, "newcomer");
  const connection = await connectAs(enrolled.natsUrls, "newcomer", seed);
  await connection.flush();
  await connection.close();
  expect(dropped).toBe(false);
  const again = await scheduler.call("POST", "/v1/hosts", { id: "newcomer", publicKey: stranger.getPublicKey() });
  expect(again.body).toMatchObject({ code: "host.key_differs", status: 409 });
});

test("a document in the store and a document on the wire is signed; the store cannot be read without control's key", async () => {
  const seed = readFileSync(join(scheduler.dataDir, "scheduler/control.nk"), "utf8").trim();
  const bus = await connectBus(scheduler.running.natsUrls, seed, silent);
  const bucket = await bus.nats.jetstream().views.kv("desired", { bindOnly: true });
  const entry = await bucket.get("evil" as HostId);
  expect(entry?.json()).toMatchObject({
    payload: expect.stringContaining('"host":"evil"'),
    signature: expect.any(String),
  });
  await bus.close();
});

test("a flood is dropped before it is read, counted, said once, and keeps nobody else waiting", async () => {
  const other = await startFakeAgent(scheduler, { id: "quiet" });
  const name = 'berth_agent_messages_refused_total{reason="rate"}';
  const body = JSON.stringify({ session: "x".repeat(16), epoch: 0, rev: 0 });
  for (let at = 0; at < 20_000; at += 1) {
    evil.publish("hb.evil", "{}");
    if (at % 4 === 0) evil.publish("api.evil.sync", body, { reply: "_INBOX_evil.flood" });
  }
  await evil.flush();
  await eventually("it was dropped", async () => (await metric(name)) > 20_000);
  const sent = other.connection.request(
    "api.quiet.sync",
    JSON.stringify({ session: "y".repeat(16), epoch: 0, rev: 0 }),
    { timeout: 5_000 },
  );
  expect((await sent).json()).toMatchObject({ ok: false, problem: { code: "host.unknown" } });
  expect((await scheduler.call("GET", "/v1/hosts/quiet")).body.state).toBe("ready");
  const said = logged.filter(({ msg, reason }) => msg === "agent_message_refused" && reason === "rate");
  expect(said.length).toBeGreaterThan(0);
  expect(said.length).toBeLessThan(5);
});
