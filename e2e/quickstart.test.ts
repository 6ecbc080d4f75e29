/**
 * The first hour of a new user on one machine: start, look, stop, start again, kill. The containers are watched by their
 * pids on the host: whatever happens to Berth, they are the same processes until somebody stops them.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import { Cluster, eventually, inside, isAlive, kill, runBerth, type Up } from "./support/index.ts";

const cluster = new Cluster();
const files = mkdtempSync("/tmp/berth-e2e-quickstart-");
const backup = join(files, "berth.backup");
afterAll(async () => {
  rmSync(files, { recursive: true, force: true });
  expect(await cluster.close()).toEqual([]);
});

/** The pids of everything in the containers that run now. */
const containerPids = async (): Promise<number[]> => {
  const running = (await cluster.allocations()).filter((one) => one.state === "running");
  return running.flatMap((one) => {
    cluster.noteCgroups(one.id);
    // The shell and its init stay; the `sleep` of a tick is another process every second.
    return inside(one.id).flatMap((process) => (process.command[0] === "sleep" ? [] : [process.pid]));
  });
};

const byNumber = (a: number, b: number): number => a - b;

const noDaemons = () =>
  eventually("Berth's own processes are gone", () => {
    const { scheduler, nats, agents } = cluster.daemons();
    const left = [...scheduler, ...nats, ...agents];
    if (left.length > 0) throw new Error(left.map((one) => `${one.pid} ${one.command.join(" ")}`).join("; "));
    return true;
  });

let up: Up;
let pids: number[];

describe("a first start", () => {
  test("runs a container, and shows its output, its exit code, the dashboard's link and what to try", async () => {
    up = await cluster.up();
    const link = await up.ready();
    expect(up.stdout).toContain("Hello from hello-0, a container on host ");
    expect(up.stderr).toContain("exit code 0");
    expect(link.startsWith(cluster.apiUrl)).toBe(true);
    await eventually(
      "three commands to try",
      () => /hosts\n.*run examples\/service.yaml\n.*ps\n/.exec(up.stderr) !== null,
    );
  });

  test("is told apart from one that is already there", async () => {
    const second = await cluster.cli(["up", "--api-port", "0", "--nats-port", "0"]);
    expect(second.code).not.toBe(0);
    expect(second.stderr).toMatch(/^error: /);
    expect(second.stderr).toMatch(/^try: /m);
  });

  test("can be looked at: hosts, a service, its log", async () => {
    expect(await cluster.must(["hosts"])).toMatch(/ready/);
    await cluster.must(["run", "examples/service.yaml"]);
    const rows = await cluster.must(["ps"]);
    for (const name of ["ticker[0]", "ticker[1]", "ticker[2]"]) expect(rows).toContain(name);
    await eventually("its heart beats", async () =>
      (await cluster.must(["logs", "ticker[1]"])).includes("replica 1: beat 2"),
    );
  });
});

describe("Ctrl-C", () => {
  test("stops agents first and the scheduler last, and leaves the containers alone", async () => {
    pids = await containerPids();
    expect(pids.length).toBeGreaterThanOrEqual(3);
    kill(up.pid, "SIGINT");
    expect(await up.end()).toBe(0);
    const stopped = up.stderr.slice(up.stderr.indexOf("Stopping"));
    expect(stopped).toMatch(/host \S+.* stopped[\s\S]*scheduler.* stopped/);
    expect(stopped).toMatch(/3 containers go on/);
    await noDaemons();
    expect(pids.filter((pid) => !isAlive(pid))).toEqual([]);
  });

  test("is undone by the next start, which finds the very same processes and does not greet again", async () => {
    up = await cluster.up();
    await up.ready();
    expect(up.stderr).toMatch(/^Found running: ticker\[\d\], ticker\[\d\], ticker\[\d\]$/m);
    expect(up.stdout).not.toContain("Hello from");
    await eventually("all three run", async () => (await cluster.job("ticker")).tasks.running === 3);
    expect((await containerPids()).toSorted(byNumber)).toEqual(pids.toSorted(byNumber));
    await cluster.must(["backup", backup]);
    expect(statSync(backup).mode & 0o777).toBe(0o600);
  });
});

describe("kill -9 of everything at once", () => {
  test("leaves containers running, and the next start finds them", async () => {
    kill(up.pid, "SIGKILL");
    const { scheduler, nats, agents } = cluster.daemons();
    for (const one of [...scheduler, ...agents, ...nats]) kill(one.pid, "SIGKILL");
    await noDaemons();
    expect(pids.filter((pid) => !isAlive(pid))).toEqual([]);
    up = await cluster.up();
    await up.ready();
    await eventually("all three run", async () => (await cluster.job("ticker")).tasks.running === 3);
    expect((await containerPids()).toSorted(byNumber)).toEqual(pids.toSorted(byNumber));
  });

  test("of `berth up` alone ends its own processes and no container", async () => {
    kill(up.pid, "SIGKILL");
    await noDaemons();
    expect(pids.filter((pid) => !isAlive(pid))).toEqual([]);
  });
});

test("a backup brings back a cluster whose log and keys are gone, and it finds the very same processes", async () => {
  const { token } = cluster;
  rmSync(join(cluster.dataDir, "scheduler"), { recursive: true });
  await cluster.must(["restore", backup]);
  up = await cluster.up();
  await up.ready();
  expect(cluster.token).toBe(token);
  await eventually("all three run", async () => (await cluster.job("ticker")).tasks.running === 3);
  expect((await containerPids()).toSorted(byNumber)).toEqual(pids.toSorted(byNumber));
  kill(up.pid, "SIGKILL");
  await noDaemons();
});

test("berth down stops the containers of a cluster that is not running, and everything else", async () => {
  const down = await cluster.cli(["down"]);
  expect(down).toMatchObject({ code: 0 });
  expect(down.stderr).toContain("Stopped 3 containers");
  await eventually("nothing is left", () => cluster.remains().length === 0);
  expect(pids.filter(isAlive)).toEqual([]);
});

test("berth down leaves nothing of a cluster whose manager and scheduler were killed", async () => {
  up = await cluster.up();
  await up.ready();
  const { scheduler, nats } = cluster.daemons();
  kill(up.pid, "SIGKILL");
  for (const one of scheduler) kill(one.pid, "SIGKILL");
  expect(await cluster.cli(["down"])).toMatchObject({ code: 0 });
  expect(nats.length).toBe(1);
  await eventually("nothing is left", () => cluster.remains().length === 0);
});

test("berth down of a cluster that runs stops it, which then does not say that containers go on", async () => {
  up = await cluster.up();
  await up.ready();
  await cluster.must(["run", "examples/service.yaml"]);
  await eventually("all three run", async () => (await cluster.job("ticker")).tasks.running === 3);
  const down = await cluster.cli(["down"]);
  expect(down).toMatchObject({ code: 0 });
  expect(down.stderr).toContain("Stopped 3 containers");
  expect(await up.end()).toBe(0);
  expect(up.stderr).toContain("Stopping");
  expect(up.stderr.slice(up.stderr.indexOf("Stopping"))).not.toContain("on;");
  expect(cluster.remains()).toEqual([]);
});

describe("a start that cannot work says so in one message with a way out", () => {
  test("a port that is taken", async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    const port = typeof address === "object" ? (address?.port ?? 0) : 0;
    const refused = await cluster.cli(["up", "--api-port", `${port}`, "--nats-port", "0"]);
    server.close();
    expect(refused).toMatchObject({ code: 69, stdout: "" });
    expect(refused.stderr).toContain(`${port}`);
    expect(refused.stderr).toMatch(/^try: .*--api-port/m);
  });

  test("no root", async () => {
    const bin = fileURLToPath(new URL("../packages/cli/bin/berth.mjs", import.meta.url));
    const child = spawn(process.execPath, [bin, "up", "--data-dir", "/tmp/berth-e2e-nobody"], {
      uid: 65_534,
      gid: 65_534,
      cwd: "/",
    });
    let said = "";
    child.stderr.on("data", (chunk: Buffer) => (said += chunk.toString()));
    const code = await new Promise((resolve) => child.once("close", resolve));
    expect({ code, said }).toMatchObject({ code: 77, said: expect.stringMatching(/^error: .*root/) as unknown });
  });

  test("a verb without a cluster", async () => {
    const refused = await runBerth(["ps", "--data-dir", "/tmp/berth-e2e-none"]);
    expect(refused).toMatchObject({ code: 69, stdout: "" });
    expect(refused.stderr).toMatch(/^try: .*up/m);
  });
});
