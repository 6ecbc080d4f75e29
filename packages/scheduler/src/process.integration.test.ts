/** The scheduler as a process: its one line, its signals, its exit codes, and what a kill -9 leaves behind. */
import { spawn, type ChildProcess } from "node:child_process";
import { existsSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { startFakeAgent } from "./testing/fake-agent.ts";
import { schedulerProgram } from "./testing/processes.ts";
import { batch, clientOf } from "./testing/scheduler.ts";
import { afterTests, eventually, tempDir } from "./testing/temp.ts";

const root = fileURLToPath(new URL("../../..", import.meta.url));

interface Ready {
  readonly ready: boolean;
  readonly api: string;
  readonly natsUrls: string[];
  readonly tokenFile: string;
}

const start = (args: readonly string[], env: Record<string, string> = {}) => {
  const child: ChildProcess = spawn(process.execPath, [...schedulerProgram(), ...args], {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: ["pipe", "pipe", "pipe"],
  });
  let out = "";
  let err = "";
  child.stdout?.on("data", (chunk: Buffer) => (out += chunk.toString()));
  child.stderr?.on("data", (chunk: Buffer) => (err += chunk.toString()));
  const exit = new Promise<number | string>((resolve) =>
    child.once("close", (code, signal) => resolve(code ?? signal ?? "none")),
  );
  afterTests(async () => {
    child.kill("SIGKILL");
    await exit;
  });
  const ready = (): Promise<Ready> =>
    eventually(
      "the ready line",
      () => {
        if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}: ${err.slice(-500)}`);
        return out.includes("\n") ? (JSON.parse(out) as Ready) : undefined;
      },
      40_000,
    );
  return { child, exit, ready, out: () => out, err: () => err };
};

const free = ["--api-port", "0", "--nats-port", "0"];
const serverPid = (dataDir: string): number => Number(readFileSync(join(dataDir, "scheduler/nats/server.pid"), "utf8"));
const isAlive = (pid: number): boolean =>
  existsSync(`/proc/${pid}/exe`) && !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
/** Servers whose scheduler was killed on purpose. */
const killServerOf = (dataDir: string): void => {
  try {
    const pid = serverPid(dataDir);
    if (readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(dataDir)) process.kill(pid, "SIGKILL");
  } catch {
    // It has ended already.
  }
};

const dataDirectory = (): string => {
  const dataDir = tempDir();
  afterTests(() => killServerOf(dataDir));
  return dataDir;
};

test("says one line when it is ready, keeps secrets to itself, and stops in order on SIGTERM", async () => {
  const dataDir = dataDirectory();
  const one = start(["--data-dir", dataDir, ...free]);
  const { api, natsUrls, tokenFile } = await one.ready();
  expect(api).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
  expect(natsUrls).toEqual([expect.stringMatching(/^nats:\/\/127\.0\.0\.1:\d+$/)]);
  for (const name of ["admin.token", "cluster.key", "control.nk", "log.state", "nats/nats.conf", "nats/users.conf"]) {
    expect([name, statSync(join(dataDir, "scheduler", name)).mode & 0o777]).toEqual([name, 0o600]);
  }
  expect(statSync(join(dataDir, "scheduler/nats/store")).mode & 0o777).toBe(0o700);
  const token = readFileSync(tokenFile, "utf8").trim();
  expect((await clientOf(api, token)("GET", "/v1/version")).status).toBe(200);
  const pid = serverPid(dataDir);
  one.child.kill("SIGTERM");
  expect(await one.exit).toBe(0);
  expect(isAlive(pid)).toBe(false);
  expect(one.out().trim().split("\n")).toHaveLength(1);
  expect(one.err()).not.toContain(token);
});

test("kill -9 ends the server, too; a second start stops one that was left behind, and has the same jobs and token", async () => {
  const dataDir = dataDirectory();
  const one = start(["--data-dir", dataDir, ...free]);
  const first = await one.ready();
  const token = readFileSync(first.tokenFile, "utf8").trim();
  const call = clientOf(first.api, token);
  for (const name of ["a", "b", "c"]) expect((await call("POST", "/v1/jobs", batch(name))).status).toBe(201);
  const server = serverPid(dataDir);
  const program = readlinkSync(`/proc/${server}/exe`);
  one.child.kill("SIGKILL");
  expect(await one.exit).toBe("SIGKILL");
  await eventually("the server has ended", () => !isAlive(server));
  // As an older version left it, whose server outlived its scheduler.
  const outlives = spawn(program, ["-c", join(dataDir, "scheduler/nats/nats.conf")], { stdio: "ignore" });
  afterTests(() => void outlives.kill("SIGKILL"));
  const leftOver = outlives.pid ?? 0;
  await eventually("it has taken the place of the other", () => serverPid(dataDir) === leftOver);

  // Another scheduler of that directory would destroy its store; this one is allowed, since the first is gone.
  const two = start(["--data-dir", dataDir, ...free]);
  const second = await two.ready();
  expect(isAlive(leftOver)).toBe(false);
  const { body } = await clientOf(second.api, token)("GET", "/v1/jobs");
  expect(body.items.map((job: { name: string }) => job.name)).toEqual(["a", "b", "c"]);
  const audit = await clientOf(second.api, token)("GET", "/v1/audit?kind=job_submitted");
  expect(audit.body.items.map((entry: { job: string }) => entry.job)).toEqual(["a", "b", "c"]);

  const third = start(["--data-dir", dataDir, ...free]);
  expect(await third.exit).toBe(1);
  expect(third.err()).toMatch(/berth-scheduler: another scheduler is using .*--data-dir/);
  expect(isAlive(serverPid(dataDir))).toBe(true);

  two.child.stdin?.end();
  expect((await clientOf(second.api, token)("GET", "/v1/version")).status).toBe(200);
  two.child.kill("SIGINT");
  expect(await two.exit).toBe(0);
});

/** A port that nobody uses now: agents must find the restarted scheduler where it was. */
const freePort = async (): Promise<string> => {
  const probe = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => probe.once("listening", resolve));
  const { port } = probe.address() as { port: number };
  await new Promise((resolve) => probe.close(resolve));
  return String(port);
};

test("kill -9 of the scheduler while an array runs: each index ends exactly once, the agent is the same", async () => {
  const dataDir = dataDirectory();
  const flags = ["--data-dir", dataDir, "--api-port", await freePort(), "--nats-port", await freePort()];
  const one = start(flags);
  const { api, tokenFile } = await one.ready();
  const call = clientOf(api, readFileSync(tokenFile, "utf8").trim());
  const agent = await startFakeAgent({ call }, { id: "h1" });
  expect((await call("POST", "/v1/jobs", batch("array", { array: { size: 150, maxRunning: 4 } }))).status).toBe(201);
  await eventually("some have run", () => agent.started.length > 20);
  one.child.kill("SIGKILL");
  await one.exit;
  const two = start(flags);
  await two.ready();
  await eventually(
    "the end",
    async () => (await call("GET", "/v1/jobs/default/array")).body.state === "succeeded",
    40_000,
  );
  expect(agent.started).toHaveLength(150);
  expect(new Set(agent.started).size).toBe(150);
  expect((await call("GET", "/v1/jobs/default/array")).body.tasks.succeeded).toBe(150);
  two.child.kill("SIGTERM");
  expect(await two.exit).toBe(0);
});

test("--exit-with-parent: the end of standard input stops it in order", async () => {
  const dataDir = dataDirectory();
  const one = start(["--data-dir", dataDir, "--exit-with-parent", ...free]);
  await one.ready();
  const pid = serverPid(dataDir);
  one.child.stdin?.end();
  expect(await one.exit).toBe(0);
  expect(isAlive(pid)).toBe(false);
});

describe("one clear line and exit status 1", () => {
  const failsWith = async (args: readonly string[], pattern: RegExp, env: Record<string, string> = {}, status = 1) => {
    const one = start(args, env);
    expect(await one.exit, one.err()).toBe(status);
    const lines = one
      .err()
      .split("\n")
      .filter((line) => line.startsWith("berth-scheduler: "));
    expect(lines, one.err()).toHaveLength(1);
    expect(lines[0]).toMatch(pattern);
    expect(one.out()).toBe("");
  };

  test("a taken port", async () => {
    const blocker = createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => blocker.once("listening", resolve));
    const { port } = blocker.address() as { port: number };
    try {
      await failsWith(
        ["--data-dir", dataDirectory(), "--nats-port", "0", "--api-port", String(port)],
        /port \d+ on 127.0.0.1 is taken.*--api-port/,
      );
    } finally {
      blocker.close();
    }
  });

  test("wrong flags have a status of their own", async () => {
    await failsWith(["--data-dir", tempDir(), "--api-prot", "1"], /api-prot/, {}, 64);
  });
});
