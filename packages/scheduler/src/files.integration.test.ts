/** Logs and outputs through the agent: streamed, followed, offset, and what happens when they are not there. */
import { randomBytes } from "node:crypto";
import { beforeAll, expect, test } from "vitest";
import { startFakeAgent, type FakeAgent } from "./testing/fake-agent.ts";
import { batch, startScheduler, type TestScheduler } from "./testing/scheduler.ts";
import { eventually } from "./testing/temp.ts";

let scheduler: TestScheduler;
let agent: FakeAgent;
const files = new Map<string, Buffer>();
beforeAll(async () => {
  scheduler = await startScheduler();
  agent = await startFakeAgent(scheduler, {
    id: "h1",
    files,
    behave: (_allocation, spec) => ({ code: spec.command[0] === "forever" ? "forever" : 0 }),
  });
});

const allocationOf = async (name: string, state: string): Promise<string> => {
  const found = await eventually(`${name} is ${state}`, async () => {
    const { body } = await scheduler.call("GET", `/v1/allocations?job=${name}&state=${state}`);
    return body.items[0] as { id: string } | undefined;
  });
  return found.id;
};

const bytesOf = async (path: string): Promise<{ status: number; headers: Headers; data: Buffer }> => {
  const response = await fetch(scheduler.url + path, { headers: { authorization: `Bearer ${scheduler.token}` } });
  return { status: response.status, headers: response.headers, data: Buffer.from(await response.arrayBuffer()) };
};

test("a log of many chunks arrives whole, byte for byte, also from an offset; requests are bound to session and epoch", async () => {
  await scheduler.call("POST", "/v1/jobs", batch("logged"));
  const id = await allocationOf("logged", "exited");
  const content = randomBytes(1_000_003);
  files.set(`${id}/stdout`, content);
  files.set(`${id}/stderr`, Buffer.from("complaint\n"));
  const whole = await bytesOf(`/v1/allocations/${id}/logs`);
  expect(whole.status).toBe(200);
  expect(whole.headers.get("content-type")).toBe("text/plain; charset=utf-8");
  expect(whole.data.equals(content)).toBe(true);
  const tail = await bytesOf(`/v1/allocations/${id}/logs?offset=999000&follow=true`);
  expect(tail.data.equals(content.subarray(999_000))).toBe(true);
  expect((await bytesOf(`/v1/allocations/${id}/logs?stream=stderr`)).data.toString()).toBe("complaint\n");
  expect((await bytesOf(`/v1/allocations/${id}/logs?offset=5000000`)).data).toHaveLength(0);
  for (const rpc of agent.rpcs) expect([rpc.host, rpc.session]).toEqual(["h1", agent.session()]);
});

test("following: it waits for the file, what is written later arrives, and it ends with the container", async () => {
  await scheduler.call("POST", "/v1/jobs", batch("followed", { command: ["forever"] }));
  const id = await allocationOf("followed", "running");
  const before = agent.rpcs.length;
  const reading = bytesOf(`/v1/allocations/${id}/logs?follow=true`);
  await eventually("it was asked for before it is there", () => agent.rpcs.length > before);
  files.set(`${id}/stdout`, Buffer.from("one\n"));
  const seen = agent.rpcs.length;
  await eventually("it was read", () =>
    agent.rpcs.slice(seen).some((rpc) => rpc.op.kind === "read" && rpc.op.offset === 4),
  );
  files.set(`${id}/stdout`, Buffer.from("one\ntwo\n"));
  await scheduler.call("POST", "/v1/jobs/default/followed/stop");
  expect((await reading).data.toString()).toBe("one\ntwo\n");
});

test("a follower that goes away stops asking the agent", async () => {
  await scheduler.call("POST", "/v1/jobs", batch("left", { command: ["forever"] }));
  const id = await allocationOf("left", "running");
  files.set(`${id}/stdout`, Buffer.from("x"));
  const leaving = new AbortController();
  const response = await fetch(`${scheduler.url}/v1/allocations/${id}/logs?follow=true`, {
    headers: { authorization: `Bearer ${scheduler.token}` },
    signal: leaving.signal,
  });
  await response.body?.getReader().read();
  leaving.abort();
  const open = async (): Promise<number> =>
    Number(/^berth_file_streams (\d+)/m.exec((await scheduler.call("GET", "/metrics")).text)?.[1] ?? -1);
  await eventually("the stream is closed", async () => (await open()) === 0);
});

test("outputs are listed and delivered as attachments, whatever their names", async () => {
  await scheduler.call("POST", "/v1/jobs", batch("made"));
  const id = await allocationOf("made", "exited");
  files.set(`${id}/out/a/b c.txt`, Buffer.from("hello"));
  files.set(`${id}/out/ü"x`, Buffer.from("umlaut"));
  const list = await scheduler.call("GET", `/v1/allocations/${id}/outputs`);
  expect(list.body).toEqual({
    files: [
      { path: "a/b c.txt", sizeBytes: 5 },
      { path: 'ü"x', sizeBytes: 6 },
    ],
    next: null,
  });
  const one = await bytesOf(`/v1/allocations/${id}/outputs/a/b%20c.txt`);
  expect([one.status, one.data.toString()]).toEqual([200, "hello"]);
  expect(one.headers.get("content-disposition")).toBe(`attachment; filename="b_c.txt"; filename*=UTF-8''b%20c.txt`);
  const other = await bytesOf(`/v1/allocations/${id}/outputs/${encodeURIComponent('ü"x')}`);
  expect(other.data.toString()).toBe("umlaut");
});

test("a file that is not there, and an agent that is gone, are problems", async () => {
  await scheduler.call("POST", "/v1/jobs", batch("empty"));
  const id = await allocationOf("empty", "exited");
  expect((await scheduler.call("GET", `/v1/allocations/${id}/logs`)).body).toMatchObject({
    code: "allocation.no_logs",
    status: 404,
  });
  await agent.close();
  expect((await scheduler.call("GET", `/v1/allocations/${id}/logs`)).body).toMatchObject({
    code: "agent.unreachable",
    status: 503,
  });
  expect((await scheduler.call("GET", `/v1/allocations/${id}/outputs`)).body).toMatchObject({
    code: "agent.unreachable",
  });
});
