/**
 * `berth run` as other programs use it: exit status, streams, formats; and what a cluster says to bad input, over the
 * command line, HTTP, WebSocket and NATS. In the end the very same processes must still be there.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { connect, nkeyAuthenticator, StringCodec, type NatsConnection } from "nats";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import { Cluster, eventually, inside, type Up } from "./support/index.ts";

const cluster = new Cluster();
const files = mkdtempSync("/tmp/berth-e2e-jobs-");
let up: Up;
let host: string;
let daemons: number[];

const daemonPids = (): number[] => {
  const { scheduler, nats, agents } = cluster.daemons();
  return [...scheduler, ...nats, ...agents].map((one) => one.pid).toSorted((a, b) => a - b);
};

beforeAll(async () => {
  up = await cluster.up("--host-path", "/nonexistent:ro");
  await up.ready();
  host = (await cluster.hosts())[0]?.id ?? "";
  daemons = daemonPids();
  expect(daemons).toHaveLength(3);
});
afterAll(async () => {
  rmSync(files, { recursive: true, force: true });
  expect(await cluster.close()).toEqual([]);
});

const write = (name: string, text: string): string => {
  const path = join(files, name);
  writeFileSync(path, text);
  return path;
};
const batch = (name: string, command: readonly string[], more: object = {}) => ({
  name,
  kind: "batch",
  image: "builtin://busybox",
  command,
  resources: { cpu: { request: "20m" }, memory: { request: "16Mi" } },
  ...more,
});
const script = (name: string, text: string, more: object = {}) =>
  write(`${name}.json`, JSON.stringify(batch(name, ["sh", "-c", text], more)));

describe("what a job says about its container", () => {
  test("holds inside", async () => {
    const text = [
      "touch /new 2>/dev/null || echo read-only",
      "ulimit -n",
      "umask",
      "cat /proc/sys/net/core/somaxconn",
      "grep CapEff /proc/self/status",
      "df -k /scratch | tail -1 | awk '{ print $2 }'",
      "cat /proc/self/oom_score_adj",
    ].join("; ");
    const container = {
      readOnlyRoot: true,
      rlimits: { nofile: 777 },
      umask: "027",
      sysctls: { "net.core.somaxconn": 321 },
      capabilities: { drop: ["all"], add: ["chown"] },
      tmpfs: [{ target: "/scratch", size: "4Mi" }],
      oomScore: 321,
    };
    const { code, stdout } = await cluster.cli(["run", "--wait", script("box", text, { container })]);
    expect(stdout.trim().split(/\s*\n\s*/)).toEqual([
      "read-only",
      "777",
      "0027",
      "321",
      expect.stringMatching(/^CapEff:\s+0000000000000001$/),
      "4096",
      "321",
    ]);
    expect(code).toBe(0);
  });
});

describe("secrets", () => {
  const value = "a-value-that-nobody-else-has";
  const next = "the-value-that-came-after-it";
  const text = "cd /run/secrets; stat -c '%n %a %u' *; cat db.password; echo; echo $DB; touch x";
  const reader = (...secrets: readonly object[]) => script("reader", text, { user: "1000:1000", secrets });
  const set = (bytes: string) => cluster.cli(["secret", "set", "db.password"], { stdin: bytes });

  test("a task has one as a file for its user alone and as a variable; another value comes with the next start", async () => {
    const job = reader({ secret: "db.password" }, { secret: "db.password", env: "DB" });
    const refused = await cluster.cli(["run", job]);
    expect(refused.code).toBe(66);
    expect(refused.stderr).toContain("project default has no secret db.password; berth secret set db.password");
    expect((await set(value)).stderr).toContain("db.password of default is set (version 1, 28 bytes)");
    const first = await cluster.cli(["run", "--wait", job]);
    expect(first.stdout.trim().split("\n")).toEqual(["db.password 400 1000", value, value]);
    expect(first.stderr).toMatch(/Read-only file system|Permission denied/);
    expect((await set(next)).stderr).toContain("version 2");
    expect((await cluster.cli(["run", "--wait", job])).stdout).toContain(`${next}\n${next}`);
    expect(await cluster.must(["secret", "ls"])).toMatch(/db\.password +2 .* ago +admin +-/);
    await cluster.must(["secret", "rm", "db.password"]);
  });

  test("no file of the cluster ever holds a value, but the log that a task wrote it into", () => {
    const found = readdirSync(cluster.dataDir, { recursive: true, withFileTypes: true }).filter((entry) => {
      if (!entry.isFile()) return false;
      const bytes = readFileSync(join(entry.parentPath, entry.name));
      return [value, Buffer.from(value).toString("base64").slice(0, 30)].some((part) => bytes.includes(part));
    });
    const places = found.map((entry) => join(entry.parentPath, entry.name).slice(cluster.dataDir.length));
    expect(places.filter((place) => !/^\/hosts\/[^/]+\/allocations\/\w+\/log\//.test(place))).toEqual([]);
    expect(places.length).toBeGreaterThan(0);
  });
});

describe("berth run --wait", () => {
  test.each([
    ["the program's own code", "own", ["sh", "-c", "exit 7"], {}, 7],
    [
      "125 when the container cannot be started",
      "nothing-there",
      ["true"],
      { volumes: [{ source: "/nonexistent/e2e", target: "/x", readOnly: true }] },
      125,
    ],
    ["126 when the command cannot be invoked", "no-program", ["/etc"], {}, 126],
    ["127 when the command is not found", "not-found", ["no-such-program"], {}, 127],
    ["128+9 after SIGKILL", "killed", ["sh", "-c", "kill -9 $$"], {}, 137],
    ["128+15 after SIGTERM", "terminated", ["sh", "-c", "kill -15 $$"], {}, 143],
    ["0 for success", "fine", ["true"], {}, 0],
  ])("exits with %s", async (_what, name, command, more, code) => {
    const done = await cluster.cli([
      "run",
      "--wait",
      write(`${name}.json`, JSON.stringify(batch(name, command, more))),
    ]);
    expect({ code: done.code, stdout: done.stdout, said: done.stderr }).toMatchObject({ code, stdout: "" });
    const [allocation] = await cluster.allocations(`&job=${name}`);
    expect(allocation?.exit).toMatchObject({ code });
  });

  test("a path that no host lets is no place, and the plan says so host by host", async () => {
    const volumes = [{ source: "/nonexistent/e2e", target: "/x" }];
    const file = write("not-let.json", JSON.stringify(batch("not-let", ["true"], { volumes })));
    const planned = await cluster.cli(["plan", file]);
    expect(planned.code).toBe(2);
    expect(planned.stdout).toContain("/nonexistent/e2e may only be mounted with readOnly: true on this host");
  });

  test("keeps the program's streams apart and byte for byte, and its own talk on stderr", async () => {
    const file = script("streams", "printf 'one\\ntwo\\000three'; printf 'trouble\\n' >&2");
    const done = await cluster.cli(["run", file]);
    expect(done).toMatchObject({ code: 0, stdout: "one\ntwo\0three" });
    expect(done.stderr).toContain("trouble\n");
    expect((await cluster.cli(["logs", "streams"])).stdout).toBe("one\ntwo\0three");
    expect((await cluster.cli(["logs", "streams", "--stderr"])).stdout).toBe("trouble\n");
  });

  test("-o json prints one document, and nothing else, on stdout", async () => {
    const done = await cluster.cli(["run", "-o", "json", script("json", "echo hidden; exit 3")]);
    expect(done.code).toBe(3);
    expect(JSON.parse(done.stdout)).toMatchObject({ name: "json", state: "failed", exitCode: 3, tasks: { failed: 1 } });
  });

  test.each(["hosts", "jobs", "ps --all", "job json", "why json", "version"])(
    "-o json of %s is JSON",
    async (words) => {
      const text = await cluster.must([...words.split(" "), "-o", "json"]);
      expect(JSON.parse(text)).toBeTypeOf("object");
    },
  );

  test("reads a document from standard input", async () => {
    const stdin = JSON.stringify(batch("piped", ["sh", "-c", "echo from a pipe"]));
    expect(await cluster.cli(["run", "-"], { stdin })).toMatchObject({ code: 0, stdout: "from a pipe\n" });
  });

  test("says that memory ran out", async () => {
    const file = script("greedy", "x=a; while true; do x=$x$x; done", {
      resources: { memory: { request: "16Mi", limit: "16Mi" } },
    });
    const done = await cluster.cli(["run", file]);
    expect(done).toMatchObject({ code: 137 });
    expect(done.stderr).toContain("out of memory");
    const [allocation] = await cluster.allocations("&job=greedy");
    expect(allocation?.exit).toMatchObject({ oom: true, cause: "oom", code: 137 });
  });

  test("stops what runs longer than it may", async () => {
    const done = await cluster.cli(["run", script("slow", "sleep 600", { timeouts: { run: "1s", stop: "1s" } })]);
    expect(done.code).not.toBe(0);
    expect((await cluster.allocations("&job=slow"))[0]?.exit).toMatchObject({ cause: "timeout" });
  });

  test("tries again as the document says, and tells the program about itself", async () => {
    const file = script("again", 'echo "$BERTH_JOB ${INDEX} of ${COUNT} on $BERTH_HOST"; exit 75', {
      restart: { on: "failure", max: 2, backoff: "100ms..200ms" },
    });
    const done = await cluster.cli(["run", file]);
    expect(done).toMatchObject({ code: 75, stdout: `again 0 of 1 on ${host}\n`.repeat(3) });
    expect((await cluster.allocations("&job=again")).map((one) => one.attempt).toSorted((a, b) => a - b)).toEqual([
      1, 2, 3,
    ]);
  });

  test("has no colour in a pipe, or when NO_COLOR says so", async () => {
    const plain = await cluster.cli(["ps", "--all"]);
    expect(plain.stdout + plain.stderr).not.toContain("\u001b");
    const refused = await cluster.cli(["job", "nothing"], { env: { NO_COLOR: "1", FORCE_COLOR: "1" } });
    expect(refused.stderr).not.toContain("\u001b");
  });
});

test("200 short tasks end well, and nothing of them stays in the kernel", async () => {
  await cluster.submit(batch("many", ["true"], { array: { size: 200, maxRunning: 16 } }));
  const job = await cluster.finished("many");
  expect(job).toMatchObject({ state: "succeeded", exitCode: 0, tasks: { succeeded: 200 } });
  const allocations = await cluster.allocations("&job=many");
  expect(new Set(allocations.map((one) => one.index)).size).toBe(200);
  expect(allocations).toHaveLength(200);
  await eventually("their processes are gone", () => allocations.every((one) => inside(one.id).length === 0));
  await eventually("nothing is booked", async () => (await cluster.hosts())[0]?.reserved.cpuMillis === 0);
});

describe("a bad document", () => {
  test("that is not YAML is shown with its line and column", async () => {
    const file = write("broken.yaml", "name: x\nkind: [batch\ncommand: {\n");
    const refused = await cluster.cli(["run", file]);
    expect(refused).toMatchObject({ code: 65, stdout: "" });
    expect(refused.stderr).toMatch(/broken\.yaml:\d+:\d+: /);
  });

  test("with an unknown key is shown with the line itself and what was probably meant", async () => {
    const file = write("typo.yaml", "name: typo\nkind: service\nimage: builtin://busybox\ncommand: [sh]\nreplica: 3\n");
    const refused = await cluster.cli(["run", file]);
    expect(refused).toMatchObject({ code: 65, stdout: "" });
    expect(refused.stderr).toMatch(/typo\.yaml:5:1: unknown key "replica"; did you mean "replicas"\?/);
    expect(refused.stderr).toMatch(/5 \| replica: 3/);
    expect((await cluster.cli(["job", "typo"])).code).toBe(66);
  });

  test("that is too large for every host is kept pending, with every host's name and shortfall", async () => {
    const file = script("huge", "true", { resources: { cpu: { request: 900_000 }, memory: { request: "500Ti" } } });
    expect((await cluster.cli(["run", "--detach", file])).code).toBe(0);
    const why = await cluster.must(["why", "huge"]);
    expect(why).toContain(host);
    const outcome = JSON.parse(await cluster.must(["why", "huge", "-o", "json"])) as { readonly outcome: unknown };
    expect(outcome.outcome).toMatchObject({ kind: "blocked", hosts: [{ hostId: host, reason: "too_small" }] });
    const job = await cluster.job("huge");
    expect(job).toMatchObject({ state: "pending", tasks: { pending: 1 } });
    expect(job.pendingReason).toContain(host);
    await cluster.must(["stop", "huge"]);
  });

  test("can be planned: the same reasons, and nothing changes", async () => {
    const file = script("unplanned", "true", { resources: { memory: { request: "500Ti" } } });
    const planned = await cluster.cli(["plan", file]);
    expect(planned.stdout).toContain(host);
    expect((await cluster.cli(["job", "unplanned"])).code).toBe(66);
  });
});

describe("bad input over HTTP", () => {
  const json = { "content-type": "application/json" };
  const good = batch("never-runs", ["true"]);
  test.each<readonly [string, string, RequestInit, number, string]>([
    ["no token", "/v1/jobs", { headers: { authorization: "" } }, 401, "auth.required"],
    ["a wrong token", "/v1/jobs", { headers: { authorization: "Bearer nonsense" } }, 401, "auth.required"],
    ["an unknown address", "/v1/nothing", {}, 404, "route.not_found"],
    ["a job that is not there", "/v1/jobs/default/none", {}, 404, "job.not_found"],
    ["an impossible name", "/v1/jobs/default/..%2f..", {}, 400, "request.invalid"],
    ["a wrong query", "/v1/jobs?limit=many", {}, 400, "request.invalid"],
    ["a cursor that is not ours", "/v1/jobs?cursor=%00", {}, 400, "request.invalid"],
    ["no JSON", "/v1/jobs", { method: "POST", headers: json, body: "{" }, 400, "job.document_malformed"],
    [
      "another type",
      "/v1/jobs",
      { method: "POST", headers: { "content-type": "text/plain" }, body: "x" },
      415,
      "request.media_type",
    ],
    ["a list", "/v1/jobs", { method: "POST", headers: json, body: "[]" }, 422, "job.spec_invalid"],
    [
      "wrong types",
      "/v1/jobs",
      { method: "POST", headers: json, body: JSON.stringify({ ...good, command: 5 }) },
      422,
      "job.spec_invalid",
    ],
    [
      "an environment named __proto__",
      "/v1/jobs",
      { method: "POST", headers: json, body: JSON.stringify(good).replace("{", '{"env":{"__proto__":"x"},') },
      422,
      "job.spec_invalid",
    ],
    [
      "2 MiB",
      "/v1/jobs",
      { method: "POST", headers: json, body: `"${"x".repeat(2 ** 21)}"` },
      413,
      "request.too_large",
    ],
    [
      "a host with half a key",
      "/v1/hosts",
      { method: "POST", headers: json, body: '{"id":"h","publicKey":"U"}' },
      400,
      "request.invalid",
    ],
    [
      "an allocation that is not there",
      `/v1/allocations/alloc_${"0".repeat(26)}/logs`,
      {},
      404,
      "allocation.not_found",
    ],
    ["a WebSocket address without WebSocket", "/v1/watch", {}, 400, "request.invalid"],
  ])("%s is a problem", async (_what, path, init, status, code) => {
    const answer = await cluster.fetch(path, init);
    expect(answer.headers.get("content-type")).toMatch(/^application\/problem\+json/);
    expect(await answer.json()).toMatchObject({ status, code, title: expect.any(String) as unknown });
    expect(answer.status).toBe(status);
  });

  test("the same Idempotency-Key for another document is refused, for the same one it is the same job", async () => {
    const post = (document: object) =>
      cluster.fetch("/v1/jobs", {
        method: "POST",
        headers: { ...json, "idempotency-key": "e2e-1" },
        body: JSON.stringify(document),
      });
    const first = (await (await post(batch("once", ["true"]))).json()) as {
      readonly job: { readonly version: number };
    };
    const second = (await (await post(batch("once", ["true"]))).json()) as {
      readonly job: { readonly version: number };
    };
    expect(second.job.version).toBe(first.job.version);
    expect(await (await post(batch("once", ["false"]))).json()).toMatchObject({ code: "idempotency.reused" });
  });
});

describe("bad input over WebSocket", () => {
  const dial = (headers: Readonly<Record<string, string>>) =>
    new Promise<{ readonly status?: number; readonly socket?: WebSocket; readonly frames: string[] }>(
      (resolve, reject) => {
        const socket = new WebSocket(`${cluster.apiUrl.replace("http", "ws")}/v1/watch`, { headers });
        const frames: string[] = [];
        socket.on("message", (data) => frames.push((data as Buffer).toString()));
        socket.once("unexpected-response", (_request, response) =>
          resolve({ status: response.statusCode ?? 0, frames }),
        );
        socket.once("open", () => resolve({ socket, frames }));
        socket.once("error", reject);
      },
    );

  test("without a token there is no upgrade", async () => {
    expect((await dial({})).status).toBe(401);
  });

  test.each([
    ["text", "{"],
    ["bytes", Buffer.from([0, 255, 1])],
    ["too much", "x".repeat(100_000)],
  ])("a client that sends %s is told and disconnected", async (_what, data) => {
    const { socket, frames } = await dial({ authorization: `Bearer ${cluster.token}` });
    if (socket === undefined) throw new Error("no upgrade");
    const closed = new Promise<number>((resolve) => socket.once("close", resolve));
    await eventually("a snapshot", () => frames.some((frame) => frame.includes('"snapshot"')));
    socket.send(data);
    expect([1008, 1009]).toContain(await closed);
  });
});

describe("bad input over NATS, as an agent with its own key", () => {
  let nats: NatsConnection;
  const text = StringCodec();
  const denials: string[] = [];
  beforeAll(async () => {
    const seed = readFileSync(join(cluster.dataDir, "hosts", host, "identity.seed"));
    nats = await connect({
      servers: `127.0.0.1:${cluster.natsPort}`,
      authenticator: nkeyAuthenticator(new TextEncoder().encode(seed.toString().trim())),
      inboxPrefix: `_INBOX_${host}`,
    });
    void (async () => {
      for await (const status of nats.status()) denials.push(JSON.stringify(status));
    })();
  });
  afterAll(() => nats.close());

  test.each(["hello", "report", "sync", "dance"])(
    "%s with junk is answered with a problem, or not at all",
    async (operation) => {
      for (const junk of ["", "{", "[]", '{"version":1}', `{"session":"${"x".repeat(9000)}"}`, "\u0000\u0001"]) {
        const answer = await nats
          .request(`api.${host}.${operation}`, text.encode(junk), { timeout: 5_000 })
          .catch(() => undefined);
        if (operation === "dance" && answer === undefined) continue;
        expect(answer === undefined ? "silence" : JSON.parse(text.decode(answer.data))).toMatchObject({
          ok: false,
          problem: {
            code: expect.stringMatching(/^(message|host|request|route)\./) as unknown,
            status: expect.any(Number) as unknown,
          },
        });
      }
    },
  );

  test("heartbeats of junk, and of half a megabyte, change nothing", async () => {
    for (const junk of ["", "{", "null", "x".repeat(500_000)]) nats.publish(`hb.${host}`, text.encode(junk));
    await nats.flush();
    expect((await cluster.hosts())[0]).toMatchObject({ id: host, state: "ready" });
  });

  test("the subjects of others, the log and JetStream are refused by the server", async () => {
    const forbidden = [
      "hb.other",
      "api.other.hello",
      `host.${host}.desired`,
      "log",
      "ctl.leader",
      "$JS.API.INFO",
      "$KV.desired.x",
    ];
    for (const subject of forbidden) nats.publish(subject, text.encode("{}"));
    for (const subject of ["host.other.>", "_INBOX_other.>", ">", "log"])
      nats.subscribe(subject, { callback: () => undefined });
    await nats.flush();
    await eventually(
      "every one is denied",
      () => {
        const missing = [...forbidden, "host.other.>", "_INBOX_other.>", ">"].filter(
          (one) => !denials.some((line) => line.includes(`"subject":"${one}"`)),
        );
        if (missing.length > 0) throw new Error(`not denied: ${missing.join(" ")} in ${denials.join("\n")}`);
        return true;
      },
      10_000,
    );
  });
});

test("all of that has ended none of the processes, and the cluster still works", async () => {
  expect(daemonPids()).toEqual(daemons);
  expect(up.stderr).not.toMatch(/starting it again/);
  expect(await cluster.cli(["run", script("still", "echo still here")])).toMatchObject({
    code: 0,
    stdout: "still here\n",
  });
});
