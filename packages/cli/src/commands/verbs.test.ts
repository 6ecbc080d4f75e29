// The verbs that look: whole texts for people, the API's own document for programs.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { problem, type HostId, type JobName } from "@berth/schema";
import { runProgram } from "../program.ts";
import { fakeApi, routes, TOKEN, type Answer, type FakeApi, type Handler } from "../testing/fake-api.ts";
import { fakeIo } from "../testing/fake-io.ts";
import { allocationId, allocationView, exitOf, hostView, jobView } from "../testing/samples.ts";
import { conflictsOf, isSafePath, type OutputFile } from "./outputs.ts";

let api: FakeApi | undefined;
const directories: string[] = [];
afterEach(async () => {
  await api?.close();
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true });
});

const berth = async (handler: Handler, words: readonly string[], columns = 110) => {
  await api?.close();
  api = await fakeApi(handler);
  const io = fakeIo({ env: api.env, columns });
  const status = await runProgram(io, words);
  return { status, out: io.text(), err: io.errText() };
};

const temporary = (): string => {
  const directory = mkdtempSync(join(tmpdir(), "berth-verbs-"));
  directories.push(directory);
  return directory;
};

const page = (items: readonly unknown[], next: string | null = null): Answer => ({
  json: { items, next, revision: 9 },
});

describe("lists", () => {
  const jobs = [
    jobView({ tasks: { running: 1 } }),
    jobView({ document: { name: "thumbs", project: "media" }, state: "succeeded", exitCode: 0 }),
  ];

  test("of jobs, for people, for programs and for the shell", async () => {
    const handler = routes({ "GET /v1/jobs": page(jobs) });
    expect((await berth(handler, ["jobs"])).out).toMatchInlineSnapshot(`
      "PROJECT  JOB     KIND   STATE      TASKS      EXIT  SUBMITTED
      default  hello   batch  running    1 running        1m 40s ago
      media    thumbs  batch  succeeded                0  1m 40s ago
      "
    `);
    expect(JSON.parse((await berth(handler, ["jobs", "-o", "json"])).out)).toEqual({
      items: jobs,
      next: null,
      revision: 9,
    });
    expect(parse((await berth(handler, ["jobs", "-o", "yaml"])).out)).toEqual({ items: jobs, next: null, revision: 9 });
    expect((await berth(handler, ["jobs", "-o", "name"])).out).toBe("default/hello\nmedia/thumbs\n");
  });

  test("over all pages are one document", async () => {
    const handler: Handler = (request) =>
      request.query.get("cursor") === null ? page([jobs[0]], "c1") : page([jobs[1]]);
    expect(JSON.parse((await berth(handler, ["jobs", "-o", "json"])).out)).toEqual({
      items: jobs,
      next: null,
      revision: 9,
    });
  });

  test("of tasks leave out what has ended, unless asked", async () => {
    const over = allocationView({ number: 2, index: 1, state: "exited", exit: exitOf() });
    const handler = routes({ "GET /v1/allocations": page([allocationView(), over]) });
    expect((await berth(handler, ["ps", "-o", "name"])).out).toBe("default/hello[0]\n");
    expect((await berth(handler, ["ps", "-a", "-o", "name"])).out).toBe("default/hello[0]\ndefault/hello[1]\n");
    await berth(handler, ["ps", "media/thumbs", "--host", "h-02"]);
    expect(Object.fromEntries(api?.requests.at(-1)?.query ?? [])).toMatchObject({
      project: "media",
      job: "thumbs",
      host: "h-02",
    });
  });

  test("that are empty say so on stderr, and nothing on stdout", async () => {
    const handler = routes({ "GET /v1/jobs": page([]), "GET /v1/hosts": page([]), "GET /v1/allocations": page([]) });
    expect(await berth(handler, ["jobs"])).toEqual({
      status: 0,
      out: "",
      err: "No jobs. Try: berth run examples/hello.yaml\n",
    });
    expect((await berth(handler, ["hosts"])).err).toContain("berth up");
    expect((await berth(handler, ["ps"])).err).toContain("berth ps --all");
    expect((await berth(handler, ["jobs", "-o", "json"])).out).toContain('"items": []');
  });

  test("of hosts", async () => {
    expect((await berth(routes({ "GET /v1/hosts": page([hostView()]) }), ["hosts"])).out).toMatchInlineSnapshot(`
      "HOST  STATE  TASKS  CPU RESERVED       USED  MEMORY RESERVED              USED      HEARD
      h-01  ready      3  0.95 of 3.8 (25%)  0.12  1.5 GiB of 7.5 GiB (20%)  700 MiB  400ms ago
      "
    `);
  });
});

describe("one job", () => {
  test("shows what was asked for and how far it is", async () => {
    const job = jobView({
      document: {
        name: "thumbs",
        project: "media",
        command: ["render", "--title", "it's"],
        array: { size: 3, maxRunning: 2 },
      },
      tasks: { running: 1, succeeded: 1, pending: 1 },
      pendingReason: "media/thumbs[2] waits for its turn",
    });
    const tasks = [
      allocationView({ job: "thumbs" as JobName, number: 1, state: "exited", exit: exitOf({ code: 1 }) }),
      allocationView({ job: "thumbs" as JobName, number: 2, attempt: 2, state: "exited", exit: exitOf() }),
      allocationView({ job: "thumbs" as JobName, number: 3, index: 1 }),
    ];
    const { out } = await berth(
      routes({ "GET /v1/jobs/media/thumbs": { json: job }, "GET /v1/allocations": page(tasks) }),
      ["job", "media/thumbs"],
    );
    expect(out).toMatchInlineSnapshot(`
      "job        media/thumbs (batch, version 1)
      state      running
      tasks      3, at most 2 at a time: 1 running, 1 pending, 1 succeeded
      command    render --title 'it'\\''s'
      each       0.1 CPU (no CPU limit), 128 MiB memory (limit 128 MiB), 256 processes
      submitted  1m 40s ago by admin
      waits for  media/thumbs[2] waits for its turn

      TASK       STATE    HOST  ATTEMPT  CPU  MEMORY  RAN  EXIT
      thumbs[0]  exited   h-01        2               10s  0
      thumbs[1]  running  h-01        1               50s

      1 waiting; why: berth why 'thumbs[2]'
      "
    `);
  });

  test("that does not exist is not found, with a way on", async () => {
    const { status, err } = await berth(
      routes({
        "GET /v1/jobs/default/x": { status: 404, json: problem("job.not_found", "there is no job default/x") },
      }),
      ["job", "x"],
    );
    expect({ status, err }).toEqual({
      status: 66,
      err: "error: No such job\n  there is no job default/x\ntry: berth jobs\n",
    });
  });

  test.each([
    ["job", "x[1]"],
    ["job", "A"],
    ["stop", "a/b/c"],
    ["logs", "x[y]"],
  ])("%s %s is refused before anything is sent", async (verb, name) => {
    const { status } = await berth(() => undefined, [verb, name]);
    expect([status, api?.requests.length]).toEqual([64, 0]);
  });
});

describe("plan", () => {
  const score = { total: 0.62, parts: [{ name: "best_fit", value: 0.62, weight: 1 }] };
  const plan = {
    project: "default",
    job: "hello",
    action: "create",
    version: 1,
    revision: 4,
    stops: 0,
    tasks: [
      {
        index: 0,
        sentence: "would be placed on h-01",
        outcome: { kind: "placed", hostId: "h-01" as HostId, score, runnersUp: [] },
      },
      {
        index: 1,
        sentence: "no host has room: h-01 lacks 512 MiB",
        outcome: {
          kind: "blocked",
          hosts: [
            {
              hostId: "h-01",
              reason: "exhausted",
              dimension: "memoryBytes",
              requested: 2 ** 30,
              free: 2 ** 29,
              short: 2 ** 29,
            },
          ],
          unblockedBy: [{ kind: "add_host" }],
        },
      },
    ],
    warnings: ["h-01 does not enforce pids"],
  };

  test("shows where tasks would go, and exits with 2 when one would wait for room", async () => {
    const directory = temporary();
    const file = join(directory, "x.yaml");
    writeFileSync(file, "name: hello\nkind: batch\nimage: builtin://busybox\ncommand: ['true']\n");
    const { status, out, err } = await berth(routes({ "POST /v1/jobs": { json: plan } }), ["plan", file]);
    expect(status).toBe(2);
    expect(api?.requests[0]?.query.get("dryRun")).toBe("true");
    expect(out).toMatchInlineSnapshot(`
      "would create default/hello (1 placed, 1 blocked)
      TASK      OUTCOME  WHY
      hello[0]  placed   would be placed on h-01
      hello[1]  blocked  no host has room: h-01 lacks 512 MiB
      "
    `);
    expect(err).toBe("warning: h-01 does not enforce pids\n");
  });

  test("says what the image means for the start, and does without when nobody answers", async () => {
    const file = join(temporary(), "x.yaml");
    writeFileSync(file, "name: hello\nkind: batch\nimage: distro://debian/12\n");
    const not = problem("image.not_found", "no host has it");
    const asked = { "POST /v1/jobs": { json: plan }, "GET /v1/images/inspect": { status: 404, json: not } };
    expect((await berth(routes(asked), ["plan", file])).out).toContain(
      "image: no host has it, and tasks fail until it is built: berth image build distro://debian/12\n",
    );
    expect((await berth(routes({ "POST /v1/jobs": { json: plan } }), ["plan", file])).out).not.toContain("image:");
  });

  test("why shows the evidence behind the sentence", async () => {
    const why = {
      project: "default",
      job: "hello",
      index: 1,
      sentence: plan.tasks[1]?.sentence,
      outcome: plan.tasks[1]?.outcome,
    };
    const handler = routes({
      "GET /v1/jobs/default/hello/tasks/1/why": { json: why },
      "GET /v1/allocations": page([
        allocationView({ index: 1, state: "exited", exit: exitOf({ code: 137, signal: 9, cause: "oom", oom: true }) }),
      ]),
    });
    expect((await berth(handler, ["why", "hello[1]"])).out).toMatchInlineSnapshot(`
      "no host has room: h-01 lacks 512 MiB
        h-01: 512 MiB memory free, 512 MiB memory short
        would help: another host
        attempt 1 of version 1: hello[1] was killed on h-01: out of memory, its limit is resources.memory.limit
      "
    `);
    expect(JSON.parse((await berth(handler, ["why", "hello[1]", "-o", "json"])).out)).toEqual(why);
  });

  test("why says of a task that runs what it scored, and where it could be now", async () => {
    const scored = (total: number) => ({ total, parts: [{ name: "fullness", value: total, weight: 1 }] });
    const outcome = { kind: "placed", hostId: "h-01", score: scored(0.5), runnersUp: [] };
    const now = [
      { hostId: "h-02", score: scored(0.75) },
      { hostId: "h-01", score: scored(0.25) },
    ];
    const why = { project: "default", job: "hello", index: 0, sentence: "hello[0] runs on h-01", outcome, now };
    const handler = routes({
      "GET /v1/jobs/default/hello/tasks/0/why": { json: why },
      "GET /v1/allocations": page([allocationView({ index: 0 })]),
    });
    expect((await berth(handler, ["why", "hello"])).out).toMatchInlineSnapshot(`
      "hello[0] runs on h-01
        score on h-01: 0.500 (fullness 0.500 × 1)
        now on h-02: 0.750 (fullness 0.750 × 1)
        now on h-01: 0.250 (fullness 0.250 × 1)
      "
    `);
  });
});

describe("logs", () => {
  const LOGS = `GET /v1/allocations/${allocationId(1)}/logs`;
  const both: Handler = (request) => ({ text: request.query.get("stream") === "stderr" ? "err\n" : "out\n" });

  test("keeps the two streams apart, and follows nothing unless asked", async () => {
    const handler = routes({ "GET /v1/allocations": page([allocationView()]), [LOGS]: both });
    expect(await berth(handler, ["logs", "hello"])).toEqual({ status: 0, out: "out\n", err: "err\n" });
    expect(await berth(handler, ["logs", "hello", "--stdout"])).toEqual({ status: 0, out: "out\n", err: "" });
    expect(await berth(handler, ["logs", "hello", "--stderr"])).toEqual({ status: 0, out: "err\n", err: "" });
    expect(api?.requests.some((request) => request.query.has("follow"))).toBe(false);
  });

  test("of a task that has not started say what to ask", async () => {
    const handler = routes({
      "GET /v1/allocations": page([]),
      "GET /v1/jobs/default/hello": { json: jobView({ tasks: { pending: 1 } }) },
    });
    const { status, err } = await berth(handler, ["logs", "hello"]);
    expect(status).toBe(66);
    expect(err).toContain("try: berth why 'default/hello[0]'");
    expect((await berth(handler, ["logs", "hello[7]"])).err).toContain("hello has 1 tasks: 0 to 0");
  });
});

describe("outputs", () => {
  const handler = (files: Readonly<Record<string, string>>[]): Handler =>
    routes({
      "GET /v1/jobs/default/hello": {
        json: jobView({ document: { array: { size: files.length } }, state: "succeeded" }),
      },
      "GET /v1/allocations": page(
        files.map((_, at) => allocationView({ number: at + 1, index: at, state: "exited", exit: exitOf() })),
      ),
      ...Object.fromEntries(
        files.flatMap((own, at): [string, Answer][] => [
          [
            `GET /v1/allocations/${allocationId(at + 1)}/outputs`,
            {
              json: {
                files: Object.entries(own).map(([path, text]) => ({ path, sizeBytes: text.length })),
                next: null,
              },
            },
          ],
          ...Object.entries(own).map(([path, text]): [string, Answer] => [
            `GET /v1/allocations/${allocationId(at + 1)}/outputs/${path.split("/").map(encodeURIComponent).join("/")}`,
            { text },
          ]),
        ]),
      ),
    });

  test("are listed, or merged into one directory", async () => {
    const tasks = [{ "out/a b.txt": "one" }, { "out/c.txt": "two!", "out/deep/d": "" }];
    expect((await berth(handler(tasks), ["outputs", "hello"])).out).toMatchInlineSnapshot(`
      "TASK      SIZE  PATH
      hello[0]   3 B  out/a b.txt
      hello[1]   4 B  out/c.txt
      hello[1]   0 B  out/deep/d
      "
    `);
    const to = temporary();
    const { status, out, err } = await berth(handler(tasks), ["outputs", "hello", "--to", to]);
    expect({ status, out, err: err.replace(to, "DIR") }).toEqual({ status: 0, out: "", err: "3 files, 7 B, in DIR\n" });
    expect(new Set(readdirSync(to, { recursive: true, encoding: "utf8" }))).toEqual(
      new Set(["out", "out/a b.txt", "out/c.txt", "out/deep", "out/deep/d"]),
    );
    expect(readFileSync(join(to, "out/a b.txt"), "utf8")).toBe("one");
  });

  test("of two tasks at one path are refused with both names, and nothing is fetched", async () => {
    const to = temporary();
    const tasks = [{ "out/x": "one" }, { "out/x": "two" }, { "out/x/y": "three" }];
    const { status, err } = await berth(handler(tasks), ["outputs", "hello", "--to", to]);
    expect(status).toBe(1);
    expect(err).toContain("  out/x: hello[0], hello[1]\n");
    expect(readdirSync(to)).toEqual([]);
    expect((await berth(handler(tasks), ["outputs", "hello", "--to", to, "--by-task"])).status).toBe(0);
    expect(readFileSync(join(to, "2/out/x/y"), "utf8")).toBe("three");
  });

  test("never leave the directory", async () => {
    const to = temporary();
    const { status } = await berth(handler([{ "../evil": "x" }]), ["outputs", "hello", "--to", join(to, "inner")]);
    expect(status).toBe(70);
    expect(readdirSync(to)).toEqual([]);
    for (const path of ["/etc/passwd", "a/../../b", "", "a//b", "./a", "a/\0"])
      expect(isSafePath(path), path).toBe(false);
  });

  test("conflict also when a file of one is a directory of another", () => {
    const file = (task: string, path: string): OutputFile => ({ task, path, index: 0, allocation: "a", sizeBytes: 1 });
    expect(conflictsOf([file("t[0]", "a"), file("t[1]", "a/b/c"), file("t[1]", "d")])).toEqual([
      { path: "a", tasks: ["t[0]", "t[1]"] },
    ]);
    expect(conflictsOf([file("t[0]", "ab"), file("t[1]", "a/b")])).toEqual([]);
  });
});

describe("stop", () => {
  test("waits until nothing of the job runs", async () => {
    const states = [
      jobView({ state: "stopping", tasks: { stopping: 1 } }),
      jobView({ state: "stopped", exitCode: 143, tasks: { stopped: 1 }, finishedAtMs: 901_000 }),
    ];
    let asked = 0;
    const { status, err } = await berth(
      routes({
        "POST /v1/jobs/default/hello/stop": { json: states[0] },
        "GET /v1/jobs/default/hello": () => ({ json: states[Math.min(asked++, 1)], etag: asked }),
      }),
      ["stop", "hello"],
    );
    expect({ status, err }).toEqual({
      status: 0,
      err: "hello: stopping\nhello stopped in 1s with exit code 143\n",
    });
    expect(api?.requests.at(-1)?.query.get("revision")).toBe("1");
  });
});

describe("the way to the cluster", () => {
  test("is shown with the token, and a dashboard link is data", async () => {
    const handler = routes({ "POST /v1/tickets": { json: { ticket: "t/1", expiresInMs: 600_000 } } });
    const { out, err } = await berth(handler, ["dashboard"]);
    expect(out).toBe(`${api?.url}/login?ticket=t%2F1\n`);
    expect(err).toBe("Works once, within 10m:\n");
    expect(api?.requests[0]?.headers.authorization).toBe(`Bearer ${TOKEN}`);
  });

  test("that leads to something else is an error that says so", async () => {
    const page_ = await berth(() => ({ text: "<html>" }), ["jobs"]);
    expect(page_.status).toBe(69);
    expect(page_.err).toContain("does not answer like Berth: it answered 200 with something that is not JSON");
    expect((await berth(() => ({ json: { hello: 1 } }), ["jobs"])).err).toContain("unexpected form");
  });

  test("takes answers of a newer scheduler, with keys it does not know", async () => {
    const handler = routes({ "GET /v1/jobs": { json: { items: [], next: null, revision: 1, future: true } } });
    expect((await berth(handler, ["jobs"])).status).toBe(0);
  });

  test.each<[string, Readonly<Record<string, string>>, number, string]>([
    ["nothing known", { BERTH_DATA_DIR: "/nowhere" }, 69, "No cluster is known here"],
    [
      "an address without a token",
      { BERTH_API: "http://127.0.0.1:1", BERTH_DATA_DIR: "/nowhere" },
      69,
      "it also needs a token",
    ],
    ["nobody there", { BERTH_API: "http://127.0.0.1:1", BERTH_TOKEN: "x" }, 69, "nothing listens there"],
    [
      "an address that is none",
      { BERTH_API: "localhost", BERTH_TOKEN: "x" },
      64,
      "write it like http://127.0.0.1:8640",
    ],
    ["a token that is none", { BERTH_API: "http://127.0.0.1:1", BERTH_TOKEN: "a\nb" }, 64, "The token cannot be used"],
  ])("%s", async (_name, env, expected, text) => {
    const io = fakeIo({ env });
    expect(await runProgram(io, ["jobs"])).toBe(expected);
    expect(io.errText()).toContain(text);
  });

  test("is in the data directory when nobody says otherwise", async () => {
    api = await fakeApi(routes({ "GET /v1/jobs": page([]) }));
    const directory = temporary();
    writeFileSync(join(directory, "client.json"), JSON.stringify({ api: api.url, token: "t" }));
    expect(await runProgram(fakeIo({ env: { BERTH_DATA_DIR: directory } }), ["jobs"])).toBe(0);
    expect(await runProgram(fakeIo(), ["jobs", "--data-dir", directory])).toBe(0);
    writeFileSync(join(directory, "client.json"), "{");
    expect(await runProgram(fakeIo(), ["jobs", "--data-dir", directory])).toBe(69);
  });
});
