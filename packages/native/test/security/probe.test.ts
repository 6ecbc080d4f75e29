/**
 * The isolation probe (test/probe) inside a default container: whatever it can think of must be refused. What it finds
 * must stand in `accepted`, each with the reason why it is left.
 */
import { execFileSync, spawn } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { createServer } from "node:net";
import { hostname } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openRuntime } from "../../lib/index.ts";
import { eventually, testHost } from "../host.ts";
import { accepted } from "./accepted.ts";
import { programs } from "./tools.ts";

const host = testHost();
const SHM_KEY = 0x6265_7274 % 0x7fff_ffff;

/** C: holds a System V segment and a message queue until its standard input ends. */
const holder = `#include <mqueue.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/shm.h>
#include <unistd.h>
int main(int n, char **v) {
  int id = shmget(atoi(v[1]), 4096, IPC_CREAT | 0666);
  mqd_t queue = mq_open(v[2], O_RDWR | O_CREAT, 0666, 0);
  char c;
  if (n < 3 || id < 0 || queue < 0 || puts("ready") < 0 || fflush(stdout)) return 1;
  if (n == 4) pause();
  while (read(0, &c, 1) > 0) ;
  mq_unlink(v[2]);
  return shmctl(id, IPC_RMID, 0);
}`;
const tools = programs(host, { holder });

beforeAll(() => {
  const source = fileURLToPath(new URL("../probe", import.meta.url));
  const files = readdirSync(source).filter((name) => name.endsWith(".c"));
  mkdirSync(join(tools, "bin"), { recursive: true });
  const warnings = ["-Wall", "-Wextra", "-Werror"];
  execFileSync(
    "gcc",
    ["-std=gnu17", "-O1", "-static", "-D_GNU_SOURCE", ...warnings, "-o", join(tools, "bin/probe"), ...files],
    { cwd: source, stdio: "inherit" },
  );
});

interface Finding {
  readonly probe: string;
  readonly detail: string;
}

const server = createServer((socket) => socket.end());
const abstract = `berth-probe-${process.pid}`;
const queue = `/berth-probe-${process.pid}`;
const abstractServer = createServer((socket) => socket.end());
const listening = new Promise<number>((resolve) => {
  abstractServer.listen(`\0${abstract}`);
  server.listen(0, "127.0.0.1", () => {
    const address = server.address();
    resolve(typeof address === "object" && address !== null ? address.port : 0);
  });
});
afterAll(() => {
  server.close();
  abstractServer.close();
});

const hostNamespaces = () =>
  ["user", "mnt", "pid", "net", "ipc", "uts", "cgroup"].map((name) => readlinkSync(`/proc/self/ns/${name}`)).join(" ");

const probe = async (): Promise<{ readonly findings: readonly Finding[]; readonly attempts: number }> => {
  const { stdout, stderr, exit } = await host.run(
    [
      "probe",
      `canary=${host.directory}`,
      `canary=${host.cgroupParent}`,
      ...(hostname().length > 5 ? [`canary=${hostname()}`] : []),
      `abstract=${abstract}`,
      `port=${await listening}`,
      `shm=${SHM_KEY}`,
      `mqueue=${queue}`,
      `namespaces=${hostNamespaces()}`,
    ],
    { layers: [tools, host.image] },
  );
  expect(stderr).toBe("");
  const lines = stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Finding & { readonly attempts?: number });
  expect(exit, stdout.slice(-500)).toMatchObject({ code: 0, cause: "exited" });
  const end = lines.pop();
  expect(end?.probe).toBe("end");
  return { findings: lines, attempts: end?.attempts ?? 0 };
};

const isAccepted = ({ probe: name, detail }: Finding) =>
  accepted.some((one) => one.probe === name && one.detail.test(detail));

/** On standby until the name of its directory is another's. */
const standing = (stateDir: string): number =>
  readdirSync(stateDir).filter((name) => name.startsWith(".standby-")).length;

test("a default container, beside a neighbour and a host that have something to find, finds nothing", async () => {
  await findsNothing();
});

test("a container born from a standby finds nothing either", async () => {
  const { runtime } = host;
  const stateDir = join(host.directory, "pooled");
  host.runtime = await openRuntime({ stateDir, cgroupParent: host.cgroupParent, standby: 2 });
  try {
    await host.runtime.adopt();
    await eventually(() => standing(stateDir) === 2);
    await new Promise((resolve) => setTimeout(resolve, 300));
    await findsNothing();
  } finally {
    await host.runtime.close();
    host.runtime = runtime;
  }
});

const findsNothing = async (): Promise<void> => {
  const holding = spawn(join(tools, "bin/holder"), [String(SHM_KEY), queue], { stdio: ["pipe", "pipe", "inherit"] });
  const neighbour = await host.start(["holder", String(SHM_KEY), queue, "for ever"], { layers: [tools, host.image] });
  try {
    await new Promise((resolve) => holding.stdout.once("data", resolve));
    const before = readFileSync("/proc/sys/kernel/core_pattern", "utf8");
    const { findings, attempts } = await probe();
    expect(attempts).toBeGreaterThan(3000);
    expect(findings.filter((one) => !isAccepted(one)).map((one) => `${one.probe}: ${one.detail}`)).toEqual([]);
    expect(readFileSync("/proc/sys/kernel/core_pattern", "utf8")).toBe(before);
  } finally {
    holding.stdin.end();
    await new Promise((resolve) => holding.once("exit", resolve));
    await neighbour.stop({ signal: 9, graceMs: 0 });
    await neighbour.remove();
  }
};
