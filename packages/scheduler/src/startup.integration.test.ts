/** Reasons not to start: each is one clear sentence, and what was started before is stopped again. */
import { chmodSync, copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { expect, test } from "vitest";
import { createUserSeed } from "./adapters/nats/connection.ts";
import { StartupProblem } from "./index.ts";
import { startFakeAgent } from "./testing/fake-agent.ts";
import { startNats } from "./testing/nats.ts";
import { batch, startScheduler, type TestScheduler } from "./testing/scheduler.ts";
import { eventually, tempDir } from "./testing/temp.ts";

/** Servers whose configuration lies in this directory. */
const serversOf = (dataDir: string): string[] =>
  readdirSync("/proc").filter((name) => {
    if (!/^\d+$/.test(name)) return false;
    try {
      return readFileSync(`/proc/${name}/cmdline`, "utf8").includes(dataDir);
    } catch {
      return false;
    }
  });

const refusal = async (options: Parameters<typeof startScheduler>[0]): Promise<string> => {
  const error: unknown = await startScheduler(options).then(
    () => new Error("it started"),
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(StartupProblem);
  return (error as Error).message;
};

test("a taken port, of the bus and of the API; nothing is left running", async () => {
  const blocker = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => blocker.once("listening", resolve));
  const { port } = blocker.address() as { port: number };
  const dataDir = tempDir();
  try {
    const bus = { kind: "embedded", host: "127.0.0.1", port } as const;
    expect(await refusal({ dataDir, bus })).toMatch(/^port \d+ on 127.0.0.1 is taken.*--nats-port/);
    expect(await refusal({ dataDir, api: { host: "127.0.0.1", port } })).toMatch(
      /^port \d+ on 127.0.0.1 is taken.*--api-port/,
    );
    expect(await refusal({ dataDir, api: { host: "192.0.2.1", port: 0 } })).toMatch(
      /cannot listen on 192.0.2.1.*--api-host/,
    );
    expect(await refusal({ dataDir, bus: { ...bus, host: "192.0.2.1", port: 0 } })).toMatch(
      /cannot listen.*--nats-host/,
    );
  } finally {
    blocker.close();
  }
  expect(serversOf(dataDir)).toEqual([]);
  // The directory is free again as well.
  await startScheduler({ dataDir });
});

test("no nats-server, or something else in its place", async () => {
  const dir = tempDir();
  const fake = join(dir, "nats-server");
  const withBinary = (path: string) => refusal({ env: { ...process.env, NATS_SERVER_BIN: path } });
  expect(await withBinary(join(dir, "nothing"))).toMatch(/NATS_SERVER_BIN names .*nothing, which cannot be executed/);
  writeFileSync(fake, "#!/bin/sh\necho nats-server: v2.8.4\n");
  chmodSync(fake, 0o755);
  expect(await withBinary(fake)).toMatch(/is nats-server 2\.8\.4; Berth needs 2\.9\.0 or newer/);
  writeFileSync(fake, "#!/bin/sh\necho hello\n");
  expect(await withBinary(fake)).toMatch(/says "hello"; is it a nats-server\?/);
  writeFileSync(fake, "#!/bin/sh\nexit 3\n");
  expect(await withBinary(fake)).toMatch(/--version failed/);
  writeFileSync(
    fake,
    '#!/bin/sh\n[ "$1" = --version ] && echo nats-server: v2.9.10 || { echo "[1] 2026/01/01 00:00:00 [FTL] no disk"; exit 1; }\n',
  );
  expect(await withBinary(fake)).toMatch(/nats-server ended with exit code 1: \[FTL\] no disk/);
});

test("a directory that cannot be one, an external bus that is not there or has no seed", async () => {
  expect(await refusal({ dataDir: "/proc/nowhere" })).toMatch(/cannot use the data directory \/proc\/nowhere/);
  const seedFile = join(tempDir(), "seed");
  const bus = { kind: "external", urls: ["nats://127.0.0.1:1"], seedFile } as const;
  expect(await refusal({ bus })).toMatch(/cannot read the seed/);
  writeFileSync(seedFile, "nonsense");
  expect(await refusal({ bus })).toMatch(/does not hold the seed of an nkey/);
});

test("a log that has vanished, was replaced, or lost its end; secrets that are none", async () => {
  const dataDir = tempDir();
  const one = await startScheduler({ dataDir });
  await one.call("POST", "/v1/jobs", batch("a"));
  await one.running.close();
  const stateFile = join(dataDir, "scheduler/log.state");
  const state = JSON.parse(readFileSync(stateFile, "utf8")) as { lastSequence: number; incarnation: string };
  expect(state.lastSequence).toBe(2);

  writeFileSync(stateFile, JSON.stringify({ ...state, lastSequence: 50 }));
  expect(await refusal({ dataDir })).toMatch(
    /lost its end: 50 transactions were in it, 2 are there; restore.*log\.state/,
  );
  writeFileSync(stateFile, JSON.stringify({ ...state, incarnation: "another" }));
  expect(await refusal({ dataDir })).toMatch(/not the one that was here/);
  writeFileSync(stateFile, "nonsense");
  expect(await refusal({ dataDir })).toMatch(/log\.state cannot be read/);
  writeFileSync(stateFile, JSON.stringify(state));
  const key = join(dataDir, "scheduler/cluster.key");
  const secret = readFileSync(key);
  writeFileSync(key, "nonsense");
  expect(await refusal({ dataDir })).toMatch(/cluster\.key is not a private key/);
  writeFileSync(key, secret);
  const again = await startScheduler({ dataDir });
  expect((await again.call("GET", "/v1/jobs/default/a")).status).toBe(200);
  await again.running.close();
  rmSync(join(dataDir, "scheduler/nats/store"), { recursive: true });
  expect(await refusal({ dataDir })).toMatch(/the log that was here has vanished/);
  expect(serversOf(dataDir)).toEqual([]);
});

test("an external bus: two instances on it, one leads, the other follows, takes over, and has everything", async () => {
  const seed = createUserSeed();
  const seedFile = join(tempDir(), "seed");
  writeFileSync(seedFile, seed);
  const nats = await startNats({ seed });
  const bus = { kind: "external", urls: [nats.server.localUrl], seedFile } as const;
  const one = await startScheduler({ bus });
  const checks = async (scheduler: TestScheduler) => (await scheduler.call("GET", "/readyz")).body;
  await eventually("one leads", async () => (await checks(one)).checks.leader.detail.startsWith("leading"));
  const dataDir = tempDir();
  mkdirSync(join(dataDir, "scheduler"));
  for (const name of ["cluster.key", "admin.token"]) {
    copyFileSync(join(one.dataDir, "scheduler", name), join(dataDir, "scheduler", name));
  }
  const two = await startScheduler({ bus, dataDir });
  // Agents would believe nothing that is signed with another key.
  expect(await refusal({ bus })).toMatch(
    /^cluster\.key of .* is not the key of this cluster; copy cluster\.key and admin\.token/,
  );
  expect((await one.call("POST", "/v1/jobs", batch("outside"))).status).toBe(201);
  await eventually(
    "the other has it as well",
    async () => (await two.call("GET", "/v1/jobs/default/outside")).status === 200,
  );
  await eventually("the other is ready to read from", async () => (await checks(two)).ready === true);
  expect((await checks(two)).checks.leader.detail).toMatch(/^following/);
  await one.running.close();
  await eventually("the other leads", async () => (await checks(two)).checks.leader.detail.startsWith("leading"));
  expect((await two.call("POST", "/v1/jobs", batch("after"))).status).toBe(201);
  const { body } = await two.call("GET", "/v1/jobs");
  expect(body.items.map((job: { name: string }) => job.name)).toEqual(["after", "outside"]);
});

test("a port of IPv6, and a cluster whose control key was lost", async () => {
  const dataDir = tempDir();
  const bus = { kind: "embedded", host: "::1", port: 0 } as const;
  const one = await startScheduler({ dataDir, bus, api: { host: "::1", port: 0 } });
  expect(one.running.natsUrls[0]).toMatch(/^nats:\/\/\[::1\]:\d+$/);
  expect((await one.call("POST", "/v1/jobs", batch("six"))).status).toBe(201);
  const agent = await startFakeAgent(one, { id: "h1" });
  await agent.close();
  await one.running.close();
  rmSync(join(dataDir, "scheduler/control.nk"));
  const two = await startScheduler({ dataDir, bus, api: { host: "::1", port: 0 } });
  expect((await two.call("GET", "/v1/hosts/h1")).status).toBe(200);
  const users = (): string => readFileSync(join(dataDir, "scheduler/nats/users.conf"), "utf8");
  await eventually("the hosts are admitted again", () => users().includes("# h1"));
});
