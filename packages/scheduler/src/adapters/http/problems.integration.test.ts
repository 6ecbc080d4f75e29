/** Every kind of bad request gets an RFC 9457 problem with a stable code, and the server goes on. */
import { connect } from "node:net";
import { beforeAll, describe, expect, test } from "vitest";
import { isProblemCode, Problems, type ProblemCode } from "@berth/schema";
import { answerOf, batch, startScheduler, type Answer, type TestScheduler } from "../../testing/scheduler.ts";

let scheduler: TestScheduler;
beforeAll(async () => {
  scheduler = await startScheduler();
});

const expectProblem = (answer: Answer, code: ProblemCode, detail: RegExp | string): void => {
  expect(answer.body, answer.text).toMatchObject({ code, status: Problems[code].status, title: Problems[code].title });
  expect(isProblemCode(answer.body.code)).toBe(true);
  expect(answer.status).toBe(Problems[code].status);
  expect(answer.headers.get("content-type")).toBe("application/problem+json; charset=utf-8");
  expect(answer.body.type).toContain(code);
  expect(answer.body.detail).toMatch(detail);
};

const json = { "content-type": "application/json" };
const host = { id: "h1", publicKey: `U${"A".repeat(55)}` };
const alloc = "alloc_06f0000000000000000000000a";

describe("bodies", () => {
  test.each<[string, string | Uint8Array, Record<string, string>, ProblemCode, RegExp]>([
    ["cut off", '{"name": "a",', json, "job.document_malformed", /not JSON.*line 1, column \d+|not JSON/],
    ["an error on a later line", '{\n "name": "a",\n oops }', json, "job.document_malformed", /line 3, column 2/],
    ["not UTF-8", new Uint8Array([0x22, 0xff, 0x22]), json, "job.document_malformed", /not UTF-8/],
    ["empty", "", json, "job.document_malformed", /empty/],
    ["YAML", "name: a", { "content-type": "application/yaml" }, "request.media_type", /application\/json/],
    ["a form", "a=b", { "content-type": "application/x-www-form-urlencoded" }, "request.media_type", /json/],
    ["a type that only begins like JSON", "{}", { "content-type": "application/jsonx" }, "request.media_type", /json/],
    ["a type with something behind it", "{}", { "content-type": "application/json x" }, "request.media_type", /json/],
    ["a nonsense type", "{}", { "content-type": ";;;" }, "request.media_type", /json/],
    ["larger than 1 MiB", JSON.stringify({ name: "x".repeat(2 ** 20) }), json, "request.too_large", /1 MiB/],
    ["an array", "[]", json, "job.spec_invalid", /document/],
    ["null", "null", json, "job.document_malformed", /empty/],
    [
      "an unknown key",
      JSON.stringify(batch("a", { comand: ["x"] })),
      json,
      "job.spec_invalid",
      /did you mean "command"/,
    ],
    ["a wrong type", JSON.stringify(batch("a", { array: { size: "many" } })), json, "job.spec_invalid", /array\/size/],
    [
      "a wrong quantity",
      JSON.stringify(batch("a", { resources: { memory: { request: "12 elephants" } } })),
      json,
      "job.spec_invalid",
      /elephants/,
    ],
    ["nested deeply", "[".repeat(100_000), json, "job.document_malformed", /not JSON/],
    ["nested deeply and whole", "[".repeat(50_000) + "]".repeat(50_000), json, "job.spec_invalid", /document/],
    ["a prototype", '{"__proto__": {"name": "a"}}', json, "job.spec_invalid", /__proto__|missing/],
  ])("%s", async (_name, body, headers, code, detail) => {
    expectProblem(await scheduler.call("POST", "/v1/jobs", body, headers), code, detail);
    expectProblem(await scheduler.call("POST", "/v1/jobs?dryRun=true", body, headers), code, detail);
  });

  test.each<[string, unknown, RegExp]>([
    ["no body", undefined, /body/],
    ["a key of another kind", { ...host, publicKey: `A${"A".repeat(55)}` }, /publicKey/],
    ["an id that is no label", { ...host, id: "Bad.Host" }, /body\/id/],
    ["an unknown key", { ...host, publickey: 1 }, /did you mean "publicKey"/],
  ])("a host: %s", async (_name, body, detail) => {
    expectProblem(await scheduler.call("POST", "/v1/hosts", body), "request.invalid", detail);
  });

  test("a malformed body elsewhere is a malformed request, and a route without a body does not mind an empty one", async () => {
    expectProblem(await scheduler.call("POST", "/v1/hosts", "{", json), "request.malformed", /not JSON/);
    expectProblem(
      await scheduler.call("POST", "/v1/jobs/default/none/stop", "", json),
      "job.not_found",
      /default\/none/,
    );
  });
});

describe("addresses", () => {
  test.each<[string, string, ProblemCode, RegExp]>([
    ["GET", "/v1/nothing", "route.not_found", /GET \/v1\/nothing/],
    ["PUT", "/v1/jobs", "route.not_found", /PUT/],
    ["DELETE", "/v1/jobs/default/a", "route.not_found", /DELETE/],
    ["GET", "/v1/jobs/%zz/a", "request.malformed", /well-formed/],
    ["GET", "/v1/jobs/Default/a", "request.invalid", /path\/project/],
    ["GET", "/v1/jobs/default/none", "job.not_found", /default\/none/],
    ["GET", "/v1/jobs/default/none/tasks/0/why", "job.not_found", /none/],
    ["GET", "/v1/jobs/default/none/tasks/x/why", "request.invalid", /path\/index/],
    ["GET", "/v1/jobs/default/none/tasks/-1/why", "request.invalid", /path\/index/],
    ["GET", "/v1/jobs?limit=0", "request.invalid", /query\/limit/],
    ["GET", "/v1/jobs?limit=99999999999999999999", "request.invalid", /query\/limit/],
    ["GET", "/v1/jobs?limit=1&limit=2", "request.invalid", /query\/limit/],
    ["GET", "/v1/jobs?cursor=%20", "request.invalid", /cursor/],
    ["GET", "/v1/jobs?projct=a", "request.invalid", /did you mean "project"/],
    ["GET", "/v1/jobs?project=a.b", "request.invalid", /query\/project/],
    ["GET", "/v1/jobs/default/none?wait=30", "request.invalid", /duration/],
    ["GET", "/v1/hosts/none", "host.not_found", /none/],
    ["GET", "/v1/hosts/NONE", "request.invalid", /path\/host/],
    ["GET", "/v1/allocations?state=flying", "request.invalid", /must be one of placed/],
    ["GET", "/v1/allocations/alloc_x", "request.invalid", /path\/allocation/],
    ["GET", `/v1/allocations/${alloc}`, "allocation.not_found", /alloc_/],
    ["GET", `/v1/allocations/${alloc}/logs`, "allocation.not_found", /alloc_/],
    ["GET", `/v1/allocations/${alloc}/logs?stream=stdin`, "request.invalid", /stdout, stderr/],
    ["GET", `/v1/allocations/${alloc}/logs?follow=maybe`, "request.invalid", /query\/follow/],
    ["GET", `/v1/allocations/${alloc}/outputs`, "allocation.not_found", /alloc_/],
    ["GET", `/v1/allocations/${alloc}/outputs/a/b`, "allocation.not_found", /alloc_/],
    ["GET", "/v1/watch", "request.invalid", /WebSocket/],
    ["GET", "/login", "request.invalid", /ticket/],
    ["GET", "/login?ticket=none", "auth.required", /login link/],
  ])("%s %s", async (method, path, code, detail) => {
    expectProblem(await scheduler.call(method, path), code, detail);
  });
});

test("headers that make no sense", async () => {
  const answer = await scheduler.call("POST", "/v1/jobs", batch("a"), { "idempotency-key": "x".repeat(200) });
  expectProblem(answer, "request.invalid", /Idempotency-Key/);
});

/** What a socket gets back for raw bytes. */
const exchange = (bytes: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const { hostname, port } = new URL(scheduler.url);
    const socket = connect(Number(port), hostname, () => socket.write(bytes));
    let text = "";
    socket.on("data", (chunk) => (text += chunk.toString())).on("close", () => resolve(text));
    socket.on("error", reject);
  });

test("bytes that are not HTTP, and headers without end", async () => {
  expect(await exchange("\u0016\u0003\u0001 hello\r\n\r\n")).toMatch(
    /^HTTP\/1.1 400 [\s\S]*problem\+json[\s\S]*request\.malformed/,
  );
  expect(await exchange(`GET / HTTP/1.1\r\nx: ${"y".repeat(100_000)}\r\n\r\n`)).toMatch(
    /^HTTP\/1.1 413 [\s\S]*request\.too_large/,
  );
});

test("all problems of a document come at once, with pointers", async () => {
  const answer = await scheduler.call("POST", "/v1/jobs", {
    name: "Bad Name",
    kind: "batch",
    image: "x",
    command: [],
    replicas: 2,
  });
  expect(answer.body.errors.map((error: { pointer: string }) => error.pointer)).toEqual(
    expect.arrayContaining(["/name", "/command"]),
  );
});

test("after all that the server still works", async () => {
  expect(await answerOf(await fetch(`${scheduler.url}/livez`))).toMatchObject({ status: 200, body: { ok: true } });
  expect((await scheduler.call("POST", "/v1/jobs", batch("fine"))).status).toBe(201);
});
