/** The live feed over a real socket: snapshot, ordered deltas, resume, and clients that misbehave. */
import { connect } from "node:net";
import { beforeAll, expect, test } from "vitest";
import { WebSocket } from "ws";
import { decoder, Routes, WatchMessageSchema, type WatchMessage } from "@berth/schema";
import { startFakeAgent } from "../../testing/fake-agent.ts";
import { batch, startScheduler, type TestScheduler } from "../../testing/scheduler.ts";
import { eventually } from "../../testing/temp.ts";

let scheduler: TestScheduler;
beforeAll(async () => {
  scheduler = await startScheduler();
  await startFakeAgent(scheduler, { id: "h1" });
});

const decode = decoder(WatchMessageSchema);

const watch = async (query = "") => {
  const socket = new WebSocket(scheduler.url.replace("http", "ws") + Routes.watch + query, {
    headers: { authorization: `Bearer ${scheduler.token}` },
  });
  const messages: WatchMessage[] = [];
  const raw: string[] = [];
  const closed = new Promise<{ code: number; reason: string }>((resolve) =>
    socket.on("close", (code, reason) => resolve({ code, reason: reason.toString() })),
  );
  socket.on("message", (data) => {
    const text = (data as Buffer).toString();
    raw.push(text);
    const decoded = decode(JSON.parse(text));
    if (decoded.ok) messages.push(decoded.value);
  });
  await new Promise((resolve, reject) => socket.on("open", resolve).on("error", reject));
  return { socket, messages, raw, closed };
};

const jobsOf = (messages: readonly WatchMessage[]) =>
  messages.flatMap((message) => (message.kind === "delta" || message.kind === "snapshot" ? message.jobs : []));

test("a snapshot, then deltas without a gap up to the end of a job; every message fits the schema", async () => {
  const feed = await watch();
  await eventually("the snapshot", () => feed.messages.length > 0);
  await scheduler.call("POST", "/v1/jobs", batch("watched", { array: { size: 20 } }));
  await eventually("the end", () =>
    jobsOf(feed.messages).some((job) => job.name === "watched" && job.state === "succeeded"),
  );
  expect(feed.raw).toHaveLength(feed.messages.length);
  let revision = -1;
  for (const message of feed.messages) {
    if (message.kind === "snapshot") revision = message.revision;
    if (message.kind !== "delta") continue;
    expect(message.previous).toBe(revision);
    revision = message.revision;
  }
  const allocations = feed.messages.flatMap((message) => (message.kind === "delta" ? message.allocations : []));
  expect(new Set(allocations.filter((one) => one.state === "exited").map((one) => one.index)).size).toBe(20);
  await eventually("measurements", () =>
    feed.messages.some((message) => message.kind === "usage" && "h1" in message.hosts),
  );
  feed.socket.terminate();
});

test("since: exactly what was missed; a revision that nobody knows gets a snapshot", async () => {
  const first = await watch();
  await eventually("the snapshot", () => first.messages.length > 0);
  const [snapshot] = first.messages;
  const revision = snapshot?.kind === "snapshot" ? snapshot.revision : -1;
  first.socket.terminate();
  await scheduler.call("POST", "/v1/jobs", batch("missed"));
  await eventually(
    "the end",
    async () => (await scheduler.call("GET", "/v1/jobs/default/missed")).body.state === "succeeded",
  );
  const second = await watch(`?since=${revision}`);
  await eventually("the end was told", () => jobsOf(second.messages).some((job) => job.state === "succeeded"));
  expect(second.messages[0]).toMatchObject({ kind: "delta", previous: revision });
  second.socket.terminate();
  const third = await watch("?since=999999");
  await eventually("a snapshot", () => third.messages[0]?.kind === "snapshot");
  third.socket.terminate();
});

test("a client that talks is told that nobody listens, and dropped", async () => {
  const feed = await watch();
  feed.socket.send('{"kind":"subscribe"}');
  expect(await feed.closed).toEqual({ code: 1008, reason: "message.invalid" });
  expect(JSON.parse(feed.raw.at(-1) ?? "{}")).toMatchObject({ code: "message.invalid", status: 400 });
});

test("a frame larger than any client needs ends the connection", async () => {
  const feed = await watch();
  feed.socket.on("error", () => {});
  feed.socket.send("x".repeat(100_000));
  expect((await feed.closed).code).toBe(1009);
});

test("a client that does not read is dropped, and nobody else is disturbed", async () => {
  const good = await watch();
  const { hostname, port } = new URL(scheduler.url);
  // A socket that asks for the feed and then never reads: the kernel's buffers fill, then ours.
  const stuck = connect(Number(port), hostname);
  stuck.write(
    `GET ${Routes.watch} HTTP/1.1\r\nHost: ${hostname}:${port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
      `Sec-WebSocket-Key: ${Buffer.alloc(16).toString("base64")}\r\nSec-WebSocket-Version: 13\r\nAuthorization: Bearer ${scheduler.token}\r\n\r\n`,
  );
  await new Promise((resolve) => stuck.once("data", resolve));
  stuck.pause();
  stuck.on("error", () => {});
  const filler = "x".repeat(120_000);
  const dropped = async (): Promise<number> => {
    const { text } = await scheduler.call("GET", Routes.metrics);
    return Number(/^berth_watch_clients_dropped_total (\d+)/m.exec(text)?.[1] ?? 0);
  };
  let round = 0;
  await eventually(
    "the drop",
    async () => {
      round += 1;
      // The whole spec is in every delta: a job whose command is large fills buffers quickly.
      await scheduler.call("POST", "/v1/jobs", batch(`big-${round}`, { command: ["true", filler] }));
      return (await dropped()) > 0;
    },
    50_000,
  );
  stuck.destroy();
  await eventually("the good one has it all", () => jobsOf(good.messages).some((job) => job.name === `big-${round}`));
  good.socket.terminate();
});
