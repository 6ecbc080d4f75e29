/**
 * What the kernel counts by user and not by cgroup: a container that takes all that it can get leaves its neighbours, and the
 * host, what they need.
 */
import { execFileSync, spawn } from "node:child_process";
import { readdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { totalmem } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { openRuntime, type Container } from "../lib/index.ts";
import { eventually, outputOf, testHost } from "./host.ts";
import { programs } from "./security/tools.ts";

const host = testHost();

/** C: takes argv[1] as often as it can, at most argv[2] times, prints how often, and holds it when there is an argv[3]. */
const take = `#include <fcntl.h>
#include <linux/aio_abi.h>
#include <mqueue.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
static int queue(int count) {
  char name[32];
  struct mq_attr shape = { .mq_maxmsg = 10, .mq_msgsize = 8192 };
  snprintf(name, sizeof name, "/take-%d-%d", getpid(), count);
  int fd = mq_open(name, O_RDWR | O_CREAT, 0600, &shape);
  if (fd >= 0) mq_unlink(name);
  return fd;
}
int main(int n, char **v) {
  struct rlimit files;
  sigset_t held;
  timer_t timer;
  int count = 0, most = atoi(v[2]);
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  sigemptyset(&held);
  sigaddset(&held, SIGRTMIN);
  sigprocmask(SIG_BLOCK, &held, 0);
  for (int more = 0; count < most && more >= 0; count += more >= 0) {
    if (strcmp(v[1], "inotify") == 0) more = inotify_init();
    if (strcmp(v[1], "queue") == 0) more = queue(count);
    if (strcmp(v[1], "signal") == 0) more = sigqueue(getpid(), SIGRTMIN, (union sigval){ 0 });
    if (strcmp(v[1], "timer") == 0) more = timer_create(CLOCK_MONOTONIC, 0, &timer);
    if (strcmp(v[1], "aio") == 0) {
      aio_context_t context = 0;
      more = syscall(SYS_io_setup, 1000, &context);
    }
    if (strcmp(v[1], "terminal") == 0) more = open("/dev/ptmx", O_RDWR | O_NOCTTY);
  }
  printf("%d\\n", count);
  fflush(stdout);
  if (n > 3) pause();
  return 0;
}`;
const tools = programs(host, { take });
const layers = () => [tools, host.image];

const greedy = async (
  what: string,
  most: number,
  runtime = host.runtime,
): Promise<{ readonly container: Container; readonly got: number }> => {
  const started = await runtime.start(host.spec(["take", what, String(most), "hold"], { layers: layers() }));
  if (!started.ok) throw new Error(JSON.stringify(started.error));
  const container = started.value;
  await eventually(async () => (await outputOf(container)) !== "");
  return { container, got: Number(await outputOf(container)) };
};
const end = async (container: Container): Promise<void> => {
  await container.stop({ signal: 9, graceMs: 0 });
  await container.remove();
};

describe.each([
  ["inotify", "inotify", 100_000],
  ["queue", "queue", 100_000],
  ["signal", "timer", 5_000_000],
])("who takes every %s there is", (what, other, most) => {
  test("leaves enough to others and to the host", async () => {
    const { container, got } = await greedy(what, most);
    try {
      expect(got).toBeGreaterThan(0);
      expect(got).toBeLessThan(most);
      const { stdout } = await host.run(["take", other, "5"], { layers: layers() });
      expect(stdout).toBe("5\n");
      expect(execFileSync(join(tools, "bin/take"), [other, "5"], { encoding: "utf8" })).toBe("5\n");
    } finally {
      await end(container);
    }
  });
});

test("one that was born from a standby takes no more", async () => {
  const stateDir = join(host.directory, "pooled");
  const runtime = await openRuntime({ stateDir, cgroupParent: host.cgroupParent, standby: 2 });
  try {
    await runtime.adopt();
    /* The second is begun when the first is ready. */
    await eventually(() => readdirSync(stateDir).filter((name) => name.startsWith(".standby-")).length === 2);
    const { container } = await greedy("inotify", 100_000, runtime);
    try {
      expect(execFileSync(join(tools, "bin/take"), ["inotify", "5"], { encoding: "utf8" })).toBe("5\n");
    } finally {
      await end(container);
    }
  } finally {
    await runtime.close();
  }
});

test("a container has 256 terminals, and its neighbour its own", async () => {
  const { container, got } = await greedy("terminal", 5000);
  try {
    expect(got).toBe(256);
    const { stdout } = await host.run(["take", "terminal", "5"], { layers: layers() });
    expect(stdout).toBe("5\n");
  } finally {
    await end(container);
  }
});

/** As docs/explanation/security-rules.md and `berth doctor` advise it: 64 bytes of memory for each. */
test("asynchronous I/O: where a machine has as much as its memory, the greedy one's own limit ends it before the others lack any", async () => {
  const file = "/proc/sys/fs/aio-max-nr";
  const before = readFileSync(file, "utf8");
  writeFileSync(file, String(Math.max(Number(before), Math.ceil(totalmem() / 64))));
  try {
    const limits = { ...host.spec([]).limits, memoryBytes: 48 * 2 ** 20 };
    const greedyOne = await host.run(["take", "aio", "1000000", "hold"], { layers: layers(), limits });
    expect(greedyOne).toMatchObject({ stdout: "", exit: { cause: "oom", oom: true } });
    const { stdout } = await host.run(["take", "aio", "5"], { layers: layers() });
    expect(stdout).toBe("5\n");
  } finally {
    writeFileSync(file, before);
  }
});

test("an agent that has no ids to count by says so", async () => {
  const script = `
    const { openRuntime } = await import(${JSON.stringify(new URL("../dist/index.js", import.meta.url).pathname)});
    const runtime = await openRuntime(JSON.parse(process.argv[1]));
    process.stdout.write(JSON.stringify(runtime.features().missing));
    await runtime.close();`;
  const options = { stateDir: join(host.directory, "mapped"), cgroupParent: host.cgroupParent };
  const node = `read go && exec ${process.execPath} --input-type=module -e "$0" "$1"`;
  const child = spawn("unshare", ["--user", "sh", "-c", node, script, JSON.stringify(options)]);
  let said = "";
  child.stdout.on("data", (part: Buffer) => (said += part.toString()));
  child.stderr.on("data", (part: Buffer) => (said += part.toString()));
  const own = readlinkSync("/proc/self/ns/user");
  await eventually(() => readlinkSync(`/proc/${child.pid}/ns/user`) !== own);
  for (const map of ["uid_map", "gid_map"]) writeFileSync(`/proc/${child.pid}/${map}`, "0 0 65536\n");
  child.stdin.end("go\n");
  await new Promise((resolve) => child.once("close", resolve));
  expect(said).toContain("containers share what is counted by user");
  expect(host.runtime.features().missing.join(" ")).not.toContain("counted by user");
});
