/** Reasons not to start: each is one clear sentence, and what was started before is stopped again. */
import { chmodSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { expect, test } from "vitest";
import { StartupProblem } from "./index.ts";
import { batch, startScheduler } from "./testing/scheduler.ts";
import { tempDir } from "./testing/temp.ts";

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

test("an external bus: the same scheduler on a server that it did not start, and a second instance that follows", async () => {
  const owner = await startScheduler();
  // The control user of another cluster's embedded server stands for the operator's own user.
  const seedFile = join(owner.dataDir, "scheduler/control.nk");
  await owner.running.close();
  const { startNats } = await import("./testing/nats.ts");
  const nats = await startNats({ seed: readFileSync(seedFile, "utf8").trim() });
  const bus = { kind: "external", urls: [nats.server.localUrl], seedFile } as const;
  const one = await startScheduler({ bus });
  expect((await one.call("POST", "/v1/jobs", batch("outside"))).status).toBe(201);
  expect((await one.call("GET", "/readyz")).body.ready).toBe(true);
  await one.running.close();
  const two = await startScheduler({ bus });
  expect((await two.call("GET", "/v1/jobs/default/outside")).status).toBe(200);
});
