// `berth run` against an API whose answers are written down: what it prints where, and what it exits with.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { problem, type AllocationView, type JobView } from "@berth/schema";
import { runProgram } from "../program.ts";
import { fakeApi, raw, routes, type Answer, type FakeApi, type Handler } from "../testing/fake-api.ts";
import { fakeIo } from "../testing/fake-io.ts";
import { allocationId, allocationView, exitOf, jobView } from "../testing/samples.ts";

const JOB = "GET /v1/jobs/default/hello";
const page = (items: readonly unknown[]): Answer => ({ json: { items, next: null, revision: 9 } });

let api: FakeApi | undefined;
let directory: string;
beforeEach(() => (directory = mkdtempSync(join(tmpdir(), "berth-run-"))));
afterEach(async () => {
  await api?.close();
  rmSync(directory, { recursive: true });
});

const DOCUMENT = "name: hello\nkind: batch\nimage: builtin://busybox\ncommand: ['true']\n";

const run = async (handler: Handler, words: readonly string[] = [], document = DOCUMENT) => {
  api = await fakeApi(handler);
  const file = join(directory, "job.yaml");
  writeFileSync(file, document);
  const io = fakeIo({ env: api.env });
  const status = await runProgram(io, ["run", file, ...words]);
  return { status, out: io.text(), err: io.errText().replaceAll(directory, "DIR") };
};

/** A cluster that runs the job as the list of its states says, one for each question. */
const cluster = (
  states: readonly JobView[],
  allocations: readonly AllocationView[] = [],
  logs: Readonly<Record<string, Answer | Handler>> = {},
): Handler => {
  let asked = 0;
  return routes({
    "POST /v1/jobs": { status: 201, json: { job: states[0], action: "create", revision: 3 }, etag: 3 },
    [JOB]: () => {
      asked = Math.min(asked + 1, states.length);
      return { json: states[asked - 1], etag: 3 + asked };
    },
    "GET /v1/allocations": page(allocations),
    ...logs,
  });
};

const logsOf =
  (stdout: string, stderr: string): Handler =>
  (request) => ({
    text: request.query.get("stream") === "stderr" ? stderr : stdout,
  });

const pending = jobView({ state: "pending", tasks: { pending: 1 } });
const running = jobView({ tasks: { running: 1 } });
const ended = (exitCode: number) =>
  jobView({
    state: exitCode === 0 ? "succeeded" : "failed",
    exitCode,
    tasks: exitCode === 0 ? { succeeded: 1 } : { failed: 1 },
    finishedAtMs: 912_000,
  });
const LOGS = `GET /v1/allocations/${allocationId(1)}/logs`;

describe("run", () => {
  test("shows the output of a single task as its own and exits with its code", async () => {
    const done = allocationView({ state: "exited", exit: exitOf({ code: 3 }) });
    const { status, out, err } = await run(
      cluster([pending, running, ended(3)], [done], { [LOGS]: logsOf("to stdout\n", "to stderr\n") }),
    );
    expect(status).toBe(3);
    expect(out).toBe("to stdout\n");
    expect(err).toMatchInlineSnapshot(`
      "hello: pending
      hello: running
      to stderr
      hello failed in 12s with exit code 3
        hello[0] exited with 3 on h-01
      try: berth logs hello
      "
    `);
  });

  test("says why a container could not be started, and exits with 125", async () => {
    const exit = exitOf({
      code: 125,
      cause: "start_failed",
      detail: "mount.volume: /nowhere: ENOENT",
      startedAtMs: null,
    });
    const noLogs = { status: 404, json: problem("allocation.no_logs", "it never ran") };
    const { status, err } = await run(
      cluster([pending, ended(125)], [allocationView({ state: "failed", exit })], { [LOGS]: noLogs }),
    );
    expect(status).toBe(125);
    expect(err).toMatchInlineSnapshot(`
      "hello: pending
      hello failed in 12s with exit code 125
        hello[0] could not be started on h-01: mount.volume: /nowhere: ENOENT
      try: berth why hello
      "
    `);
  });

  test("follows a task over its attempts, in their order", async () => {
    const first = allocationView({ number: 1, state: "exited", exit: exitOf({ code: 1 }) });
    const second = allocationView({ number: 2, attempt: 2, state: "exited", exit: exitOf() });
    const { status, out } = await run(
      cluster([running, ended(0)], [second, first], {
        [LOGS]: logsOf("first\n", ""),
        [`GET /v1/allocations/${allocationId(2)}/logs`]: logsOf("second\n", ""),
      }),
    );
    expect([status, out]).toEqual([0, "first\nsecond\n"]);
  });

  test("takes up output that breaks off where it broke off", async () => {
    const text = "0123456789";
    let calls = 0;
    const flaky: Handler = (request) => {
      if (request.query.get("stream") === "stderr") return { text: "" };
      calls += 1;
      const rest = text.slice(Number(request.query.get("offset")));
      if (calls >= 4) return { text: rest };
      return raw((response) => {
        response.writeHead(200, { "content-length": "1000" });
        response.write(rest.slice(0, 2), () => response.destroy());
      });
    };
    const done = allocationView({ state: "exited", exit: exitOf() });
    const { status, out } = await run(cluster([running, ended(0)], [done], { [LOGS]: flaky }));
    expect([status, out, calls]).toEqual([0, text, 4]);
  });

  test("of an array shows counts, and the tasks that failed", async () => {
    const document = { name: "hello", array: { size: 30 } };
    const bad = Array.from({ length: 7 }, (_, at) =>
      allocationView({
        number: at + 1,
        index: at * 2,
        state: "exited",
        exit: exitOf({ code: 137, signal: 9, oom: true, cause: "oom" }),
      }),
    );
    const states = [
      jobView({ document, tasks: { running: 10, pending: 20 } }),
      jobView({ document, state: "failed", exitCode: 137, tasks: { succeeded: 23, failed: 7 }, finishedAtMs: 990_000 }),
    ];
    const { status, out, err } = await run(cluster(states, bad), [], `${DOCUMENT}array: { size: 30 }\n`);
    expect([status, out]).toEqual([137, ""]);
    expect(err).toMatchInlineSnapshot(`
      "hello: 0 of 30 · 10 running, 20 pending
      hello failed in 1m 30s with exit code 137: 23 succeeded, 7 failed
        hello[0] was killed on h-01: out of memory, its limit is resources.memory.limit
        hello[2] was killed on h-01: out of memory, its limit is resources.memory.limit
        hello[4] was killed on h-01: out of memory, its limit is resources.memory.limit
        hello[6] was killed on h-01: out of memory, its limit is resources.memory.limit
        hello[8] was killed on h-01: out of memory, its limit is resources.memory.limit
        … and 2 more: berth ps hello --all
      try: berth logs 'hello[0]'
      "
    `);
  });

  test("of a service returns when it is up", async () => {
    const document = { name: "hello", kind: "service", replicas: 2 };
    const states = [jobView({ document, tasks: { starting: 2 } }), jobView({ document, tasks: { running: 2 } })];
    const { status, err } = await run(cluster(states), [], DOCUMENT.replace("batch", "service"));
    expect(status).toBe(0);
    expect(err).toContain("hello is up: 2 running. Its output: berth logs -f hello");
  });

  test("of a service or a daemon ends when the rest has failed for good, and says of what", async () => {
    const exit = exitOf({ code: 3 });
    for (const kind of ["service", "daemon"] as const) {
      const document = kind === "daemon" ? { name: "hello", kind } : { name: "hello", kind, replicas: 3 };
      const states = [
        jobView({ document, tasks: { starting: 2, pending: 1 } }),
        jobView({ document, tasks: { running: 1, pending: 1, failed: 1 } }),
        jobView({ document, tasks: { running: 2, failed: 1 } }),
      ];
      const bad = [allocationView({ number: 1, index: 1, state: "exited", exit })];
      const { status, err } = await run(cluster(states, bad), [], DOCUMENT.replace("batch", kind));
      expect([kind, status]).toEqual([kind, 1]);
      expect(err).toContain("hello is not up, and what has failed is not tried again: 2 running, 1 failed\n");
      expect(err).toContain("  hello[1] exited with 3 on h-01\ntry: berth logs 'hello[1]'\n");
      await api?.close();
    }
  });

  test("detached prints the job's name and does not wait", async () => {
    const { status, out, err } = await run(cluster([pending]), ["--detach"]);
    expect({ status, out, err }).toEqual({ status: 0, out: "default/hello\n", err: "default/hello accepted\n" });
    expect(api?.requests).toHaveLength(1);
    expect(api?.requests[0]?.headers["idempotency-key"]).toMatch(/^[\da-f-]{36}$/);
    expect(JSON.parse(api?.requests[0]?.body ?? "")).toEqual({
      name: "hello",
      kind: "batch",
      image: "builtin://busybox",
      command: ["true"],
    });
  });

  test("with -o json prints the final document and nothing else on stdout", async () => {
    const done = allocationView({ state: "exited", exit: exitOf({ code: 3 }) });
    const { status, out } = await run(cluster([running, ended(3)], [done], { [LOGS]: logsOf("output\n", "") }), [
      "-o",
      "json",
    ]);
    expect(status).toBe(3);
    expect(JSON.parse(out)).toEqual(ended(3));
  });

  test("stops waiting after --timeout, with a status of its own", async () => {
    const { status, err } = await run(cluster([running, running]), ["--timeout", "50ms"]);
    expect(status).toBe(124);
    expect(err).toContain(
      "error: hello has not ended in time\n  it goes on; only the waiting has ended\ntry: berth job hello\n",
    );
  });

  test("goes on through a scheduler that has no leader for a moment", async () => {
    const inner = cluster([running, ended(0)], [allocationView({ state: "exited", exit: exitOf() })], {
      [LOGS]: logsOf("x\n", ""),
    });
    let refused = 0;
    const { status, out } = await run((request) => {
      if (request.method === "POST" && refused < 2) {
        refused += 1;
        return { status: 503, json: problem("leader.unknown", "an election is going on", { retryAfterMs: 1 }) };
      }
      return inner(request);
    });
    expect([status, out, refused]).toEqual([0, "x\n", 2]);
    // A repeated submission is recognised by its key.
    const keys = api?.requests
      .filter((request) => request.method === "POST")
      .map((request) => request.headers["idempotency-key"]);
    expect(new Set(keys).size).toBe(1);
  });

  test("shows the cluster's own objections in the document", async () => {
    const errors = [{ pointer: "/command/0", message: "is not welcome" }];
    const { status, err } = await run(
      routes({ "POST /v1/jobs": { status: 422, json: problem("job.spec_invalid", "x", { errors }) } }),
    );
    expect(status).toBe(65);
    expect(err).toContain("DIR/job.yaml:4:11: is not welcome\n");
  });

  test("sends nothing when the document is wrong", async () => {
    const { status, err } = await run(() => undefined, [], `${DOCUMENT}imagge: x\n`);
    expect(status).toBe(65);
    expect(err).toContain('DIR/job.yaml:5:1: unknown key "imagge"; did you mean "image"?');
    expect(api?.requests).toEqual([]);
  });

  test("of a job that is still running names the ways on", async () => {
    const { status, err } = await run(
      routes({ "POST /v1/jobs": { status: 409, json: problem("job.active", "1 task to finish") } }),
    );
    expect(status).toBe(75);
    expect(err).toBe(
      "error: The job is still running\n  1 task to finish\ntry: berth job hello\n     berth stop hello\n",
    );
  });
});
