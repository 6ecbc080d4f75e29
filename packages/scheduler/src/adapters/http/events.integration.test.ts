/** Server-sent events over a real log: order, resumption from memory and from the log after a restart, what is cut off. */
import { beforeAll, expect, test } from "vitest";
import { decoder, EventSchema, Routes, type Event } from "@berth/schema";
import { startFakeAgent } from "../../testing/fake-agent.ts";
import { batch, startScheduler, type TestScheduler } from "../../testing/scheduler.ts";
import { eventually } from "../../testing/temp.ts";

let scheduler: TestScheduler;
beforeAll(async () => {
  scheduler = await startScheduler();
  await startFakeAgent(scheduler, { id: "h1" });
});

const decode = decoder(EventSchema);

const parse = (text: string): Event[] =>
  [...text.matchAll(/^data: (.*)$/gm)].map(([, json]) => {
    const event = decode(JSON.parse(json ?? ""));
    if (!event.ok) throw new Error(`${json} ${JSON.stringify(event.error)}`);
    return event.value;
  });

const there = async (query: string): Promise<Event[]> => {
  const answer = await scheduler.call("GET", `${Routes.events}?follow=false&${query}`);
  expect(answer.status, answer.text).toBe(200);
  expect(answer.headers.get("content-type")).toContain("text/event-stream");
  return parse(answer.text);
};

const follow = async (headers: Record<string, string> = {}) => {
  const stop = new AbortController();
  const response = await fetch(scheduler.url + Routes.events, {
    headers: { authorization: `Bearer ${scheduler.token}`, ...headers },
    signal: stop.signal,
  });
  let text = "";
  const reading = (async () => {
    for await (const part of response.body ?? []) text += Buffer.from(part).toString();
  })().catch(() => {});
  return {
    text: () => text,
    events: () => parse(text),
    stop: async () => {
      stop.abort();
      await reading;
    },
  };
};

const ended = async (name: string): Promise<unknown> =>
  eventually(
    `the end of ${name}`,
    async () => (await scheduler.call("GET", `/v1/jobs/default/${name}`)).body.state === "succeeded",
  );

test("a job from its submission to its end, with who asked; Last-Event-ID goes on exactly there", async () => {
  const feed = await follow();
  await scheduler.call("POST", "/v1/jobs", batch("seen", { array: { size: 3 } }));
  await ended("seen");
  await eventually("all ends", () => feed.events().filter(({ message }) => message.startsWith("exited")).length === 3);
  await feed.stop();
  const events = feed.events();
  expect(events[0]).toMatchObject({
    kind: "job_submitted",
    project: "default",
    job: "seen",
    message: "version 1: 3 tasks of builtin://busybox",
    origin: { who: "admin", via: "token" },
  });
  const first = events.filter(({ index }) => index === 1).map(({ kind }) => kind);
  expect(first.slice(0, 2)).toEqual(["allocation_placed", "allocation_reported"]);
  for (const [at, event] of events.entries()) {
    const before = events[at - 1];
    if (before?.sequence === event.sequence) expect(event.part).toBe(before.part + 1);
    else expect(event).toMatchObject({ part: 0, sequence: (before?.sequence ?? event.sequence - 1) + 1 });
  }
  // The first id says where it began: everything after it comes again, and nothing before.
  const ids = [...feed.text().matchAll(/^id: (\d+)$/gm)].map(([, id]) => id ?? "");
  const again = await follow({ "last-event-id": ids[0] ?? "" });
  await eventually("all again", () => again.events().length >= events.length);
  await again.stop();
  expect(again.events().slice(0, events.length)).toEqual(events);
});

test("filters, tail, and numbers that cannot be", async () => {
  await scheduler.call("POST", "/v1/jobs", batch("other"));
  await ended("other");
  const all = await there("since=0");
  expect(all[0]).toMatchObject({ sequence: 1, kind: "leader_elected" });
  expect((await there("since=0&job=other")).every(({ job }) => job === "other")).toBe(true);
  expect((await there("since=0&host=h1")).map(({ kind }) => kind)).toContain("host_registered");
  expect((await there("since=0&project=none")).length).toBe(0);
  const tail = await there("tail=3");
  expect(tail.length).toBeGreaterThanOrEqual(3);
  expect(tail.at(-1)).toEqual(all.at(-1));
  expect((await scheduler.call("GET", `${Routes.events}?since=99999999`)).body).toMatchObject({
    code: "request.invalid",
  });
  expect((await scheduler.call("GET", Routes.events, undefined, { "last-event-id": "x" })).body).toMatchObject({
    code: "request.invalid",
  });
});

test("after a restart of the scheduler the past comes from the log, the same as before; behind the cut it is gone", async () => {
  const before = await there("since=0&job=seen");
  const dataDir = scheduler.dataDir;
  await scheduler.running.close();
  scheduler = await startScheduler({
    dataDir,
    snapshotLimits: { everyMs: 3_600_000, transactions: 1, logBytes: 2 ** 30 },
  });
  const after = await there("since=0&job=seen");
  expect(after).toEqual(before);
  await eventually(
    "the log is cut",
    async () => {
      await scheduler.call("POST", "/v1/jobs", batch(`more-${Math.random().toString(36).slice(2)}`));
      return (await scheduler.call("GET", `${Routes.events}?follow=false&since=0`)).status === 410;
    },
    20_000,
  );
  const gone = (await scheduler.call("GET", `${Routes.events}?follow=false&since=0`)).body;
  expect(gone).toMatchObject({ code: "events.gone", status: 410 });
  expect(gone.oldestSequence).toBeGreaterThan(1);
  const rest = await there(`since=${gone.oldestSequence - 1}`);
  expect(rest[0]?.sequence).toBe(gone.oldestSequence);
});
