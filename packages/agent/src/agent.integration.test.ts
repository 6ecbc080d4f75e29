/** An agent process against a real nats-server and the real kernel; the scheduler is a fake that speaks the schema. */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { mkdtemp, rm, truncate } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { openLog } from "@berth/native";
import {
  isTerminal,
  type AllocationId,
  type Chunk,
  type ContainerUsage,
  type Heartbeat,
  type OutputList,
} from "@berth/schema";
import type { AgentProcess } from "./testing/agent-process.ts";
import { startCluster, type TestCluster } from "./testing/cluster.ts";
import { eventually } from "./testing/eventually.ts";
import { stopAllContainers } from "./stop-all.ts";
import { allocationId, clusterKeys, signWith, testSpec } from "./testing/fake-scheduler.ts";

const cleanups: (() => Promise<unknown>)[] = [];

const cluster = async (): Promise<TestCluster> => {
  const made = await startCluster();
  cleanups.push(made.close);
  return made;
};

const folder = async (): Promise<string> => {
  const path = await mkdtemp(join(tmpdir(), "berth-agent-test-"));
  cleanups.push(() => rm(path, { recursive: true, force: true }));
  return path;
};

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

const seen = (made: TestCluster, agent: AgentProcess) => () =>
  `${JSON.stringify(made.scheduler.reports)}\n${agent.log.join("\n")}`;

const ended = (made: TestCluster, agent: AgentProcess, id: AllocationId) =>
  eventually(`${id} ends`, () => made.scheduler.end(id), seen(made, agent));
const runs = (made: TestCluster, agent: AgentProcess, id: AllocationId) =>
  eventually(`${id} runs`, () => made.scheduler.states(id).includes("running"), seen(made, agent));

const logged = (agent: AgentProcess, event: string) =>
  eventually(
    `the log says ${event}`,
    () => agent.log.find((line) => line.includes(`"${event}"`)),
    () => agent.log.join("\n"),
  );

const terminalReports = ({ scheduler }: TestCluster, id: AllocationId) =>
  scheduler.states(id).filter(isTerminal).length;

const readFile = async (
  made: TestCluster,
  allocation: AllocationId,
  file: { kind: "stdout" | "stderr" } | { kind: "output"; path: string },
): Promise<Buffer> => {
  const parts: Buffer[] = [];
  for (let offset = 0; ;) {
    const reply = await made.scheduler.rpc({ kind: "read", allocation, file, offset, maxBytes: 65_536, waitMs: 5000 });
    if (!reply.ok) throw new Error(JSON.stringify(reply.problem));
    const chunk = reply.value as Chunk;
    const data = Buffer.from(chunk.data, "base64");
    parts.push(data);
    offset += data.length;
    if (chunk.done) return Buffer.concat(parts);
  }
};

/** A program that says once which ids it has, waits until `stop` exists, and exits with 0. */
const ticker = (shared: string) =>
  testSpec(
    [
      "sh",
      "-c",
      "echo $BERTH_ALLOCATION $(cat /proc/self/uid_map) >> /shared/started; while [ ! -e /shared/stop ]; do sleep 0.1; done; echo bye",
    ],
    {
      volumes: [{ source: shared, target: "/shared", readOnly: false }],
    },
  );

const sharedFolder = async (): Promise<string> => {
  const path = await folder();
  execFileSync("chmod", ["777", path]);
  return path;
};

/** How often the program itself says that it was started. */
const starts = (shared: string): number =>
  existsSync(join(shared, "started")) ? readFileSync(join(shared, "started"), "utf8").trim().split("\n").length : 0;

describe("a task", () => {
  test("runs, is reported, and its output can be read", async () => {
    const made = await cluster();
    const agent = await made.startAgent();
    const spec = testSpec(
      ["sh", "-c", "echo hello $BERTH_JOB ${INDEX} of ${COUNT} $BERTH_ATTEMPT $BERTH_HOST; echo oops >&2; exit 3"],
      {
        count: 5,
      },
    );
    const id = made.scheduler.place(spec, { index: 2, attempt: 4 });
    made.scheduler.publish();
    const report = await ended(made, agent, id);
    expect(report).toMatchObject({ state: "exited", exit: { code: 3, cause: "exited", signal: null, oom: false } });
    expect((await readFile(made, id, { kind: "stdout" })).toString()).toBe("hello test 2 of 5 4 h1\n");
    expect((await readFile(made, id, { kind: "stderr" })).toString()).toBe("oops\n");
    expect(terminalReports(made, id)).toBe(1);
  });

  test("that cannot start is reported as failed, with the code of a shell and what was wrong", async () => {
    const made = await cluster();
    const agent = await made.startAgent();
    const missing = made.scheduler.place(testSpec(["/no/such/program"]));
    const notExecutable = made.scheduler.place(testSpec(["/etc/passwd"]));
    const volume = made.scheduler.place(
      testSpec(["true"], { volumes: [{ source: "/no/such/source", target: "/data", readOnly: true }] }),
    );
    const image = made.scheduler.place(testSpec(["true"], { image: "oci://nowhere/nothing:1" }));
    made.scheduler.publish();
    const exits = await Promise.all([missing, notExecutable, volume, image].map((id) => ended(made, agent, id)));
    expect(exits.map((report) => [report.state, report.exit?.code, report.exit?.cause])).toEqual([
      ["failed", 127, "start_failed"],
      ["failed", 126, "start_failed"],
      ["failed", 125, "start_failed"],
      ["failed", 125, "start_failed"],
    ]);
    expect(exits[2]?.exit?.detail).toContain("/no/such/source does not exist on this host");
    expect(exits[3]?.exit?.detail).toContain("oci://nowhere/nothing:1");
  });

  test("that exceeds its run timeout is stopped, and the cause is timeout", async () => {
    const made = await cluster();
    const agent = await made.startAgent();
    const id = made.scheduler.place(testSpec(["sleep", "1000"], { runTimeoutMs: 300 }));
    made.scheduler.publish();
    expect((await ended(made, agent, id)).exit).toMatchObject({ cause: "timeout", code: 143, signal: 15 });
    expect((await readFile(made, id, { kind: "stdout" })).length, "a log, without bytes").toBe(0);
  });

  test("that is no longer wanted is stopped: first politely, then not", async () => {
    const made = await cluster();
    const agent = await made.startAgent();
    const polite = made.scheduler.place(
      testSpec(["sh", "-c", "trap 'exit 9' TERM; echo ready; while :; do sleep 0.1; done"], { kind: "service" }),
    );
    const deaf = made.scheduler.place(
      testSpec(["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.1; done"], { stopTimeoutMs: 300 }),
    );
    made.scheduler.publish();
    await Promise.all([polite, deaf].map((id) => runs(made, agent, id)));
    // Running means that the program was started; its handlers are set when it says so.
    const isReady = async (id: AllocationId) =>
      (await openLog(join(made.dataDir, "runtime", id, "log")).range("stdout")).end === "ready\n".length;
    await eventually("both are ready", async () => (await isReady(polite)) && isReady(deaf), seen(made, agent));
    made.scheduler.wish(polite, "stop");
    made.scheduler.drop(deaf);
    made.scheduler.publish();
    expect((await ended(made, agent, polite)).exit).toMatchObject({ code: 9, cause: "stopped" });
    expect((await ended(made, agent, deaf)).exit).toMatchObject({ code: 137, signal: 9, cause: "stopped" });
  });

  test("that was stopped before it started ends without ever having run", async () => {
    const made = await cluster();
    const agent = await made.startAgent();
    const id = made.scheduler.place(testSpec(["true"]), { desired: "stop" });
    made.scheduler.publish();
    const report = await ended(made, agent, id);
    expect(report).toMatchObject({ state: "exited", startedAtMs: null, exit: { cause: "stopped" } });
  });

  test("killed by its memory limit is reported as out of memory", async () => {
    const made = await cluster();
    const agent = await made.startAgent();
    const spec = testSpec(["sh", "-c", "x=a; while :; do x=$x$x; done"], {
      limits: { cpuMillis: null, memoryBytes: 16 * 2 ** 20, pids: 16 },
    });
    const id = made.scheduler.place(spec);
    made.scheduler.publish();
    expect((await ended(made, agent, id)).exit).toMatchObject({ oom: true, cause: "oom", code: 137 });
  });
});

test("output can be followed while it is written, and ends with the container", async () => {
  const made = await cluster();
  const shared = await sharedFolder();
  const agent = await made.startAgent();
  const id = made.scheduler.place(ticker(shared));
  const read = async (offset: number, waitMs: number): Promise<Chunk> => {
    const op = { kind: "read", allocation: id, file: { kind: "stdout" }, offset, maxBytes: 2, waitMs } as const;
    const reply = await made.scheduler.rpc(op);
    if (!reply.ok) throw new Error(JSON.stringify(reply.problem));
    return reply.value;
  };
  await logged(agent, "session.welcome");
  const unknown = await made.scheduler.rpc({ kind: "list_outputs", allocation: allocationId(), offset: 0 });
  expect(unknown).toMatchObject({ ok: false, problem: { code: "allocation.not_found" } });
  made.scheduler.publish();
  await runs(made, agent, id);
  expect(await read(0, 100)).toEqual({ data: "", offset: 0, size: 0, done: false });
  const following = read(0, 10_000);
  writeFileSync(join(shared, "stop"), "");
  expect(await following).toMatchObject({ data: Buffer.from("by").toString("base64"), size: 4, done: false });
  await ended(made, agent, id);
  expect(await read(2, 10_000)).toEqual({
    data: Buffer.from("e\n").toString("base64"),
    offset: 2,
    size: 4,
    done: true,
  });
  expect(await read(4, 10_000)).toEqual({ data: "", offset: 4, size: 4, done: true });
  expect(await read(400, 10_000)).toEqual({ data: "", offset: 400, size: 4, done: true });
});

describe("outputs", () => {
  test("are there, byte for byte, once the task is reported as succeeded", async () => {
    const made = await cluster();
    const agent = await made.startAgent();
    const script =
      "mkdir -p /out/deep/er && head -c 700000 /dev/urandom > /out/deep/er/blob && sha256sum < /out/deep/er/blob && " +
      "echo two > /logs/b && ln -s /etc/passwd /out/link && mkfifo /out/fifo && : > /out/empty";
    const id = made.scheduler.place(testSpec(["sh", "-c", script], { outputs: [{ path: "/out" }, { path: "/logs" }] }));
    made.scheduler.publish();
    expect((await ended(made, agent, id)).exit).toMatchObject({ code: 0 });
    const list = await made.scheduler.rpc({ kind: "list_outputs", allocation: id, offset: 0 });
    expect(list).toEqual({
      ok: true,
      value: {
        files: [
          { path: "logs/b", sizeBytes: 4 },
          { path: "out/deep/er/blob", sizeBytes: 700_000 },
          { path: "out/empty", sizeBytes: 0 },
        ],
        next: null,
      },
    });
    const blob = await readFile(made, id, { kind: "output", path: "out/deep/er/blob" });
    const said = (await readFile(made, id, { kind: "stdout" })).toString().split(" ")[0];
    expect(createHash("sha256").update(blob).digest("hex")).toBe(said);
    expect((await readFile(made, id, { kind: "output", path: "out/empty" })).length).toBe(0);
    for (const path of [
      "out/link",
      "out/fifo",
      "../../desired.json",
      "out/../out/empty",
      "/etc/passwd",
      "nothing",
      "out",
    ]) {
      const reply = await made.scheduler.rpc({
        kind: "read",
        allocation: id,
        file: { kind: "output", path },
        offset: 0,
        maxBytes: 10,
        waitMs: 0,
      });
      expect(reply, path).toMatchObject({ ok: false, problem: { code: "allocation.no_logs" } });
    }
  });

  test("of a task that failed are not kept", async () => {
    const made = await cluster();
    const agent = await made.startAgent();
    const id = made.scheduler.place(
      testSpec(["sh", "-c", "echo half > /out/half; exit 1"], { outputs: [{ path: "/out" }] }),
    );
    made.scheduler.publish();
    await ended(made, agent, id);
    const list = await made.scheduler.rpc({ kind: "list_outputs", allocation: id, offset: 0 });
    expect(list).toMatchObject({ ok: true, value: { files: [] } as Partial<OutputList> });
    await eventually("they are deleted", () => !existsSync(join(made.dataDir, "allocations", id, "outputs")));
  });
});

describe("an agent that is killed", () => {
  test("finds its running containers again; none is started twice, each end is told", async () => {
    const made = await cluster();
    const shared = await sharedFolder();
    const first = await made.startAgent();
    const running = Array.from({ length: 3 }, (_, index) => made.scheduler.place(ticker(shared), { index }));
    made.scheduler.publish();
    for (const id of running) await runs(made, first, id);
    await first.kill("SIGKILL");
    // One ends while nobody looks, two go on.
    const short = made.scheduler.place(testSpec(["true"]));
    const second = await made.startAgent();
    made.scheduler.publish();
    await ended(made, second, short);
    await second.kill("SIGKILL");
    writeFileSync(join(shared, "stop"), "");
    const third = await made.startAgent();
    for (const id of running) expect((await ended(made, third, id)).exit).toMatchObject({ code: 0, cause: "exited" });
    expect(starts(shared)).toBe(3);
    for (const id of running) expect(terminalReports(made, id), id).toBe(1);
    // Whoever is killed between telling and hearing that it was heard tells it again: never less, and never otherwise.
    const ends = made.scheduler.states(short).filter(isTerminal);
    expect(ends.length).toBeGreaterThan(0);
    expect(new Set(ends).size).toBe(1);
    expect((await readFile(made, running[0] as AllocationId, { kind: "stdout" })).toString()).toBe("bye\n");
    expect(new Set(made.scheduler.hellos.map((hello) => hello.session)).size).toBe(3);
  });

  test("at random moments of an array runs every task exactly once", async () => {
    const made = await cluster();
    const shared = await sharedFolder();
    const spec = testSpec(
      ["sh", "-c", "echo $BERTH_INDEX >> /shared/started; sleep 0.2; echo $BERTH_INDEX > /out/result"],
      {
        volumes: [{ source: shared, target: "/shared", readOnly: false }],
        outputs: [{ path: "/out" }],
        count: 40,
      },
    );
    const ids = Array.from({ length: 40 }, (_, index) => made.scheduler.place(spec, { index }));
    let agent = await made.startAgent();
    made.scheduler.publish();
    // Each kill comes after some more were started: somewhere between the write-ahead and the acknowledgement of others.
    for (const least of [1, 9, 20, 31]) {
      await eventually(`${least} starts`, () => starts(shared) >= least, seen(made, agent));
      await agent.kill("SIGKILL");
      agent = await made.startAgent();
    }
    for (const id of ids) await ended(made, agent, id);
    const lines = readFileSync(join(shared, "started"), "utf8").trim().split("\n").map(Number);
    expect(lines.toSorted((a, b) => a - b)).toEqual(ids.map((_, index) => index));
    for (const [index, id] of ids.entries()) {
      expect(made.scheduler.end(id)?.exit, id).toMatchObject({ code: 0, cause: "exited" });
      expect((await readFile(made, id, { kind: "output", path: "out/result" })).toString()).toBe(`${index}\n`);
    }
  }, 240_000);

  test("still enforces a run timeout that began before", async () => {
    const made = await cluster();
    const first = await made.startAgent();
    const id = made.scheduler.place(testSpec(["sleep", "1000"], { runTimeoutMs: 1500 }));
    made.scheduler.publish();
    await runs(made, first, id);
    await first.kill("SIGKILL");
    const second = await made.startAgent();
    const report = await ended(made, second, id);
    expect(report.exit).toMatchObject({ cause: "timeout" });
  });

  test("leaves in order on SIGTERM and when its parent closes its stdin; containers run on", async () => {
    const made = await cluster();
    const shared = await sharedFolder();
    const first = await made.startAgent();
    const id = made.scheduler.place(ticker(shared));
    made.scheduler.publish();
    await runs(made, first, id);
    expect(await first.kill("SIGTERM")).toBe(0);
    const second = await made.startAgent("--exit-with-parent");
    second.closeStdin();
    expect(await second.exited).toBe(0);
    const third = await made.startAgent();
    writeFileSync(join(shared, "stop"), "");
    expect((await ended(made, third, id)).exit).toMatchObject({ code: 0 });
    expect(starts(shared)).toBe(1);
  });
});

describe("a damaged journal", () => {
  test("is no reason to stop or to start anything: documents are asked for again, containers adopted", async () => {
    const made = await cluster();
    const shared = await sharedFolder();
    const first = await made.startAgent();
    const id = made.scheduler.place(ticker(shared));
    const done = made.scheduler.place(testSpec(["sh", "-c", "echo once"]));
    made.scheduler.publish();
    await runs(made, first, id);
    await ended(made, first, done);
    await first.kill("SIGKILL");
    await truncate(join(made.dataDir, "desired.json"), 200);
    writeFileSync(join(made.dataDir, "allocations", id, "record.json"), "garbage");
    writeFileSync(join(made.dataDir, "allocations", done, "record.json"), "");
    const second = await made.startAgent();
    await logged(second, "journal.desired_damaged");
    await logged(second, "session.welcome");
    writeFileSync(join(shared, "stop"), "");
    expect((await ended(made, second, id)).exit).toMatchObject({ code: 0, cause: "exited" });
    expect(starts(shared)).toBe(1);
  });

  test("of another cluster is not believed", async () => {
    const made = await cluster();
    const first = await made.startAgent();
    await logged(first, "session.welcome");
    await first.kill("SIGKILL");
    const path = join(made.dataDir, "desired.json");
    const [, body = ""] = readFileSync(path, "utf8").split("\n");
    const file = JSON.parse(body) as { document: unknown; epoch: number };
    file.document = signWith(clusterKeys().privateKey, made.scheduler.document());
    file.epoch = 1000;
    const forged = JSON.stringify(file);
    writeFileSync(path, `${createHash("sha256").update(forged).digest("hex")}\n${forged}\n`);
    const second = await made.startAgent();
    await logged(second, "journal.desired_not_trusted");
    await logged(second, "session.welcome");
  });
});

describe("the line", () => {
  test("may be down while a task ends: it is told afterwards, once", async () => {
    const made = await cluster();
    const shared = await sharedFolder();
    const agent = await made.startAgent();
    const id = made.scheduler.place(ticker(shared));
    made.scheduler.publish();
    await runs(made, agent, id);
    await made.server.stop();
    writeFileSync(join(shared, "stop"), "");
    await logged(agent, "allocation.ended");
    await made.server.start();
    expect((await ended(made, agent, id)).exit).toMatchObject({ code: 0 });
    expect(terminalReports(made, id)).toBe(1);
  });

  test("may be down when the agent starts: it runs on what it knows, and starts nothing new", async () => {
    const made = await cluster();
    const shared = await sharedFolder();
    const first = await made.startAgent();
    const id = made.scheduler.place(ticker(shared));
    made.scheduler.publish();
    await runs(made, first, id);
    await first.kill("SIGKILL");
    await made.server.stop();
    const second = await made.startAgent();
    writeFileSync(join(shared, "stop"), "");
    await logged(second, "allocation.ended");
    await made.server.start();
    expect((await ended(made, second, id)).exit).toMatchObject({ code: 0 });
    expect(starts(shared)).toBe(1);
  });

  test("repeats reports until they are acknowledged", async () => {
    const made = await cluster();
    const agent = await made.startAgent();
    made.scheduler.reportProblem = {
      type: "about:blank",
      title: "no leader",
      status: 503,
      code: "leader.unknown",
      retryAfterMs: 100,
    };
    const id = made.scheduler.place(testSpec(["true"]));
    made.scheduler.publish();
    await logged(agent, "report.delayed");
    await logged(agent, "allocation.ended");
    made.scheduler.reportProblem = undefined;
    expect((await ended(made, agent, id)).exit).toMatchObject({ code: 0 });
  });

  test("carries heartbeats with what containers use", async () => {
    const made = await cluster();
    const agent = await made.startAgent("--cpu", "600m", "--memory", "64Mi", "--pids", "100");
    const id = made.scheduler.place(testSpec(["sh", "-c", "while :; do :; done"]));
    made.scheduler.publish();
    await runs(made, agent, id);
    const usageIn = (beat: Heartbeat) => (beat.containers as Readonly<Record<string, ContainerUsage>>)[id];
    const heartbeat = await eventually("a heartbeat with the container", () =>
      made.scheduler.heartbeats.findLast((beat) => (usageIn(beat)?.cpuMillis ?? 0) > 0),
    );
    expect(heartbeat.usage.cpuMillis).toBe(usageIn(heartbeat)?.cpuMillis);
    expect(made.scheduler.hellos[0]?.capacity.allocatable).toEqual({
      cpuMillis: 600,
      memoryBytes: 64 * 2 ** 20,
      pids: 100,
      more: { diskBytes: expect.any(Number), ports: 10_000 },
    });
    expect(made.scheduler.hellos[0]?.inventory.cpuCount).toBeGreaterThan(0);
    made.scheduler.drop(id);
    made.scheduler.publish();
    await ended(made, agent, id);
  });
});

describe("what is not signed by the cluster, or is too old,", () => {
  test("is refused: documents", async () => {
    const made = await cluster();
    const agent = await made.startAgent();
    await logged(agent, "session.welcome");
    const evil = made.scheduler.place(testSpec(["true"]));
    const document = { ...made.scheduler.document(), rev: 1000 };
    made.scheduler.drop(evil);
    made.scheduler.announce(signWith(clusterKeys().privateKey, document));
    await logged(agent, "desired.forged");
    made.scheduler.announce({ ...made.scheduler.sign(document), payload: JSON.stringify({ ...document, rev: 1001 }) });
    made.scheduler.announce(made.scheduler.sign({ ...document, host: "h2" }));
    await logged(agent, "desired.other_host");
    made.scheduler.announce(made.scheduler.sign({ ...document, epoch: 6 }));
    await logged(agent, "desired.stale");
    made.scheduler.announce(made.scheduler.sign({ ...document, allocations: "all" }));
    await logged(agent, "desired.malformed");
    // A good one still gets through, and nothing of the others was started.
    const good = made.scheduler.place(testSpec(["true"]));
    made.scheduler.publish();
    await ended(made, agent, good);
    expect(made.scheduler.states(evil)).toEqual([]);
  });

  test("is refused: requests", async () => {
    const made = await cluster();
    const { scheduler } = made;
    const agent = await made.startAgent();
    const id = scheduler.place(testSpec(["echo", "secret"]));
    scheduler.publish();
    await ended(made, agent, id);
    const op = { kind: "read", allocation: id, file: { kind: "stdout" }, offset: 0, maxBytes: 10, waitMs: 0 } as const;
    const rpc = scheduler.rpcOf(op);
    const anew = (more: object) => scheduler.sign({ ...scheduler.rpcOf(op), ...more });
    const code = (signed: unknown): Promise<string> =>
      scheduler.ask(signed).then((reply) => (reply.ok ? "ok" : reply.problem.code));
    expect(await code(signWith(clusterKeys().privateKey, rpc))).toBe("auth.forbidden");
    expect(await code(scheduler.sign({ ...rpc, host: "h2" }))).toBe("auth.forbidden");
    for (const other of [{ session: "an-earlier-session" }, { epoch: scheduler.epoch - 1 }])
      expect(await code(scheduler.sign({ ...rpc, ...other }))).toBe("message.stale");
    for (const form of [scheduler.sign({ ...rpc, op: { kind: "format_disk" } }), { hello: 1 }])
      expect(await code(form)).toBe("message.invalid");
    // The very same again, and one that was held back until it had expired: reads may be late, changes may not.
    expect([await code(scheduler.sign(rpc)), await code(scheduler.sign(rpc))]).toEqual(["ok", "message.stale"]);
    expect(await code(anew({ expiresAtMs: 1 }))).toBe("ok");
    const change = { kind: "volume_remove", id: "default.data.5" } as const;
    const late = [anew({ expiresAtMs: 1, op: change }), anew({ expiresAtMs: Date.now() + 3_600_000, op: change })];
    for (const signed of late) expect(await code(signed)).toBe("message.stale");
    const removed = anew({ op: change });
    expect([await code(removed), await code(removed)]).toEqual(["ok", "message.stale"]);
    expect(agent.log.filter((line) => line.includes("rpc.refused")).length).toBeGreaterThanOrEqual(8);
    // A newer leader was seen: the one before it is not listened to any more, also after a restart.
    expect([await code(anew({ epoch: scheduler.epoch + 1 })), await code(anew({}))]).toEqual(["ok", "message.stale"]);
    await agent.kill("SIGKILL");
    const second = await made.startAgent();
    await logged(second, "desired.stale");
    scheduler.epoch += 1;
    await logged(second, "session.welcome");
  });
});

describe("a host", () => {
  test("has one agent per data directory", async () => {
    const made = await cluster();
    await made.startAgent();
    await expect(made.startAgent()).rejects.toThrow(/in use by another agent/);
  });

  test("gives two containers that are alive different ids", async () => {
    const made = await cluster();
    const agent = await made.startAgent("--id-base", "1000000", "--id-count", "196608");
    const shared = await sharedFolder();
    const ids = Array.from({ length: 3 }, () => made.scheduler.place(ticker(shared)));
    made.scheduler.publish();
    // Three ranges, of which builds of images have the last: the third waits for one to become free.
    await eventually("two run", () => starts(shared) >= 2, seen(made, agent));
    await logged(agent, "allocation.no_free_id_range");
    const states = readdirSync(join(made.dataDir, "allocations")).length;
    expect(states).toBe(2);
    const bases = readFileSync(join(shared, "started"), "utf8")
      .match(/ 0 +\d+ 65536/g)
      ?.map((line) => Number(line.trim().split(/ +/)[1]));
    expect(bases?.toSorted()).toEqual([1_000_000, 1_065_536]);
    writeFileSync(join(shared, "stop"), "");
    for (const id of ids) expect((await ended(made, agent, id)).exit).toMatchObject({ code: 0 });
  });
});

test("all containers of a host are stopped when its agent is gone, and told as stopped by the next one", async () => {
  const made = await cluster();
  const shared = await sharedFolder();
  const first = await made.startAgent();
  const ids = [made.scheduler.place(ticker(shared)), made.scheduler.place(ticker(shared))];
  made.scheduler.publish();
  for (const id of ids) await runs(made, first, id);
  await expect(stopAllContainers(made.dataDir)).rejects.toThrow(/in use by another agent/);
  await first.kill("SIGTERM");
  expect(cgroupsOf(made.dataDir)).not.toEqual([]);
  expect(await stopAllContainers(made.dataDir)).toBe(2);
  expect(cgroupsOf(made.dataDir)).toEqual([]);
  expect(await stopAllContainers(made.dataDir)).toBe(0);
  expect(await stopAllContainers(join(made.dataDir, "nothing"))).toBe(0);
  const second = await made.startAgent();
  for (const id of ids) expect((await ended(made, second, id)).exit).toMatchObject({ cause: "stopped", code: 143 });
});

/** The parents of this agent's cgroups that exist, in whatever hierarchies there are. */
const cgroupsOf = (dataDir: string): readonly string[] => {
  const { cgroupParent } = JSON.parse(readFileSync(join(dataDir, "agent.json"), "utf8").split("\n")[1] ?? "{}") as {
    readonly cgroupParent: string;
  };
  return ["", ...readdirSync("/sys/fs/cgroup")]
    .map((hierarchy) => join("/sys/fs/cgroup", hierarchy, cgroupParent))
    .filter((path) => existsSync(path));
};
