/**
 * The isolation probe (test/probe) inside a default container: whatever it can think of must be refused. What it finds
 * must stand in `accepted`, each with the reason why it is left.
 */
import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { hostname } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openRuntime } from "../../lib/index.ts";
import { eventually, isAlive, testHost } from "../host.ts";
import { holding, holdSupervisors } from "../holding.ts";
import { childrenOf, ready } from "../standby.ts";
import { accepted } from "./accepted.ts";
import { programs } from "./tools.ts";

const host = testHost();
const STANDBY = 2;
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
const tools = programs(host, { holder, holding });

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

let pools = 0;

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

test("a default container, beside a neighbour and a host that have something to find, finds nothing", async () => {
  await findsNothing();
});

test("a container born from a standby finds nothing either", async () => {
  await fromPool(() => findsNothing());
});

test("nor while what was its root before is still below its own, with the host's /proc on it", async () => {
  await findsNothing(() =>
    fromPool(async (stateDir) => {
      const hold = await holdSupervisors(tools, stateDir, "umount2");
      const probing = probe();
      try {
        await endedBeside(await hold.held);
      } finally {
        await hold.release();
      }
      return await probing;
    }),
  );
});

test("a program that is fast enough to look is in no other root for a moment", async () => {
  await fromPool(async (stateDir) => {
    const hold = await holdSupervisors(tools, stateDir, "umount2");
    const told = join(host.directory, "told");
    mkdirSync(told);
    const looking = host.sh(
      "until [ -e /told/now ]; do sleep 0.01; done; [ /.. -ef / ] && [ /../proc -ef /proc ] && cd /.. && ls -d told",
      { mounts: [{ source: told, target: "/told", readOnly: true }] },
    );
    try {
      const supervisor = await hold.held;
      writeFileSync(join(told, "now"), "");
      await endedBeside(supervisor);
    } finally {
      await hold.release();
    }
    expect(await looking).toMatchObject({ stdout: "told\n", exit: { code: 0 } });
  });
});

test("a container from which the host's /proc cannot be taken away never runs, and nothing of it stays", async () => {
  await fromPool(async (stateDir) => {
    const hold = await holdSupervisors(tools, stateDir, "umount2");
    const spec = host.spec(["true"]);
    const starting = host.runtime.start(spec);
    try {
      await endedBeside(await hold.held);
      hold.fail();
      expect(await starting).toMatchObject({
        ok: false,
        error: { stage: "mount.root", code: "ENOSYS", detail: expect.stringContaining("/proc") },
        exit: { code: 125, cause: "start_failed" },
      });
    } finally {
      await hold.release();
    }
    expect([host.cgroupsOf(spec.id), existsSync(join(stateDir, spec.id))]).toEqual([[], false]);
  });
});

test("nor does it run on when its supervisor is killed before that", async () => {
  await fromPool(async (stateDir) => {
    const hold = await holdSupervisors(tools, stateDir, "umount2");
    const spec = host.spec(["sleep", "1000"]);
    const starting = host.runtime.start(spec);
    try {
      const supervisor = await hold.held;
      const [init = 0] = childrenOf(supervisor);
      process.kill(supervisor, "SIGKILL");
      await eventually(() => !isAlive(init));
    } finally {
      await hold.release();
    }
    const result = await starting;
    if (!result.ok) throw new Error(JSON.stringify(result.error));
    expect(await result.value.exited).toMatchObject({ cause: "supervisor_lost" });
    await result.value.remove();
    expect(host.cgroupsOf(spec.id)).toEqual([]);
  });
});

test("a container that may mount begins when that is gone", async () => {
  for (const more of [{ capabilities: { add: ["sys_admin"] } }, { seccomp: "unconfined" }] as const)
    await fromPool(async (stateDir) => {
      const hold = await holdSupervisors(tools, stateDir, "umount2");
      try {
        expect(await host.run(["true"], more)).toMatchObject({ exit: { code: 0 } });
        expect(await Promise.race([hold.held, sleep(0)])).toBeUndefined();
      } finally {
        await hold.release();
      }
    });
});

/** The container that this one, who stands still in its mounts, is the supervisor of has ended, and is not waited for yet. */
const endedBeside = async (supervisor: number): Promise<void> => {
  expect(readlinkSync(`/proc/${supervisor}/ns/mnt`)).not.toBe(readlinkSync("/proc/self/ns/mnt"));
  const hasEnded = (pid: number): boolean => readFileSync(`/proc/${pid}/stat`, "utf8").includes(") Z ");
  await eventually(() => childrenOf(supervisor).some(hasEnded));
};

const fromPool = async <T>(work: (stateDir: string) => Promise<T>): Promise<T> => {
  const { runtime } = host;
  const stateDir = join(host.directory, `pooled-${(pools += 1)}`);
  const allow = { capabilities: ["sys_admin"], unconfinedSeccomp: true } as const;
  host.runtime = await openRuntime({ stateDir, cgroupParent: host.cgroupParent, standby: STANDBY, allow });
  try {
    await host.runtime.adopt();
    await eventually(() => ready(stateDir).length === STANDBY);
    await sleep(300);
    return await work(stateDir);
  } finally {
    await host.runtime.close();
    host.runtime = runtime;
  }
};

const findsNothing = async (find = probe): Promise<void> => {
  const segment = spawn(join(tools, "bin/holder"), [String(SHM_KEY), queue], { stdio: ["pipe", "pipe", "inherit"] });
  const neighbour = await host.start(["holder", String(SHM_KEY), queue, "for ever"], { layers: [tools, host.image] });
  try {
    await new Promise((resolve) => segment.stdout.once("data", resolve));
    const before = readFileSync("/proc/sys/kernel/core_pattern", "utf8");
    const { findings, attempts } = await find();
    expect(attempts).toBeGreaterThan(3000);
    expect(findings.filter((one) => !isAccepted(one)).map((one) => `${one.probe}: ${one.detail}`)).toEqual([]);
    expect(readFileSync("/proc/sys/kernel/core_pattern", "utf8")).toBe(before);
  } finally {
    segment.stdin.end();
    await new Promise((resolve) => segment.once("exit", resolve));
    await neighbour.stop({ signal: 9, graceMs: 0 });
    await neighbour.remove();
  }
};
