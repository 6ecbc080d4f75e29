/** Programs beside a running task: their output, their input, their status, their terminal, and that none outlives who asked. */
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { AllocationView, Problem } from "@berth/schema";
import { BERTH, environment, finish, spawnBerth, type Finished } from "./support/cli.ts";
import { Cluster, eventually, inside, kill, ROOT, statusOf } from "./support/index.ts";

const cluster = new Cluster();
afterAll(async () => expect(await cluster.close()).toEqual([]));

const env = { BERTH_DATA_DIR: cluster.dataDir };
let task: AllocationView;

const runningTask = (job: string): Promise<AllocationView> =>
  eventually(`${job} runs`, async () => (await cluster.allocations(`&job=${job}&state=running`))[0]);

beforeAll(async () => {
  await (await cluster.up()).ready();
  await cluster.submit({
    name: "idle",
    kind: "service",
    image: "builtin://busybox",
    command: ["sh", "-c", "echo started; while :; do sleep 1; done"],
    env: { COLOUR: "blue" },
    resources: { cpu: { request: "50m" }, memory: { limit: "32Mi" }, pids: 32 },
  });
  task = await runningTask("idle");
  cluster.noteCgroups(task.id);
});

const exec = (args: readonly string[], stdin?: string): Promise<Finished> =>
  cluster.cli(["exec", ...args], stdin === undefined ? {} : { stdin });

/** The shell of a session, found by a word of its script. */
const programWith = (word: string) =>
  eventually(`a program with ${word}`, () =>
    inside(task.id).find((one) => one.command[0] === "sh" && one.command.some((text) => text.includes(word))),
  );

/** Of the cgroup that a process is in for its processor time. */
const cpuStat = (pid: number): ReadonlyMap<string, string> => {
  const lines = readFileSync(`/proc/${pid}/cgroup`, "utf8").split("\n");
  const [, , path = ""] = (lines.find((line) => /:(cpu|cpu,cpuacct):/.test(line)) ?? lines[0] ?? "").split(":");
  const mounts = readFileSync("/proc/mounts", "utf8").split("\n");
  const mount = mounts.find((line) => / cgroup .*\bcpu\b/.test(line)) ?? mounts.find((line) => / cgroup2 /.test(line));
  const text = readFileSync(`${mount?.split(" ")[1]}${path}/cpu.stat`, "utf8");
  return new Map(text.split("\n").map((line) => line.split(" ") as [string, string]));
};

test("both outputs, the environment and the status come through", async () => {
  const done = await exec(["-e", "SIZE=7", "idle", "--", "sh", "-c", "echo $COLOUR $SIZE; echo talk >&2; exit 7"]);
  expect(done).toEqual({ code: 7, signal: null, stdout: "blue 7\n", stderr: "talk\n" });
});

test("what a program changes of its container's image is told", async () => {
  await exec(["idle", "--", "sh", "-c", "echo x >> /etc/hosts; rm /etc/shells; : > /root/made"]);
  const done = await cluster.cli(["diff", "idle"]);
  expect([done.code, done.stderr]).toEqual([0, ""]);
  for (const line of ["C /etc/hosts", "D /etc/shells", "A /root/made"]) expect(done.stdout.split("\n")).toContain(line);
});

test("more input and output than any window come through whole", async () => {
  const text = "0123456789abcde\n".repeat(200_000);
  const done = await exec(["-i", "idle", "--", "cat"], text);
  expect({ code: done.code, stderr: done.stderr, same: done.stdout === text }).toEqual({
    code: 0,
    stderr: "",
    same: true,
  });
});

test("a program that is not there, a signal, nonsense: each has its status and a sentence", async () => {
  const missing = await exec(["idle", "--", "no-such-program"]);
  expect([missing.code, missing.stderr]).toEqual([127, "exec: no-such-program (ENOENT)\n"]);
  const killed = await exec(["idle", "--", "sh", "-c", "kill -9 $$"]);
  expect(killed.code).toBe(137);
  const nobody = await exec(["-u", "nobody-at-all", "idle", "--", "true"]);
  expect(nobody.code).toBe(125);
  expect(nobody.stderr).toContain('no user "nobody-at-all"');
  const nameless = await exec(["idle", "--", ""]);
  expect([nameless.code, nameless.stderr]).toEqual([65, expect.stringContaining("the program's name is empty")]);
  const unknown = await exec([`alloc_${"0".repeat(26)}`, "--", "true"]);
  expect([unknown.code, unknown.stderr]).toEqual([66, expect.stringContaining("No such allocation")]);
});

test("its own limits hold beside the container's, are bounded, and what they did is said", async () => {
  const greedy = ["idle", "--", "sh", "-c", "x=$(head -c 12000000 /dev/zero | tr '\\0' x); echo held ${#x}"];
  expect(await exec(["--memory", "24Mi", ...greedy])).toMatchObject({ code: 0, stdout: "held 12000000\n" });
  expect(await exec(["--memory", "8Mi", ...greedy])).toMatchObject({
    ...{ code: 137, stdout: "" },
    stderr: "killed: it needed more memory than it, or its container, may have\n",
  });

  const forks = "sleep 9 & sleep 9 & sleep 9 & sleep 9 & kill $(jobs -p); echo all";
  expect(await exec(["--pids", "12", "idle", "--", "sh", "-c", forks])).toMatchObject({ code: 0, stdout: "all\n" });
  const few = await exec(["--pids", "3", "idle", "--", "sh", "-c", forks]);
  expect([few.code, few.stdout, few.stderr]).toEqual([
    ...[2, "", expect.stringContaining("can't fork: Resource temporarily unavailable")],
  ]);

  const child = spawnBerth(["exec", "--cpu", "0.1", "idle", "--", "sh", "-c", ": spinner; while :; do :; done"], env);
  const done = finish(child, ["exec"], {});
  const { pid } = await programWith("spinner");
  await eventually("it is held back", () => Number(cpuStat(pid).get("nr_throttled") ?? 0) > 5);
  child.kill("SIGINT");
  expect((await done).code).toBe(130);
  // None of it touched the container.
  expect(await runningTask("idle")).toMatchObject({ id: task.id });

  for (const [flag, value, sentence] of [
    ["--cpu", "half", '"half" is not a number of CPUs'],
    ["--cpu", "1m", "write 10m to 1000000 CPUs"],
    ["--memory", "1Mi", "write 4 MiB to 1 PiB"],
    ["--pids", "1", "write a whole number from 2 to 4194304"],
  ] as const) {
    const refused = await exec([flag, value, "idle", "--", "true"]);
    expect([refused.code, refused.stderr]).toEqual([64, expect.stringContaining(sentence)]);
  }
});

test("it is confined as its container is", async () => {
  const child = spawnBerth(["exec", "idle", "--", "sh", "-c", ": confined; sleep 1000 & wait"], env);
  const done = finish(child, ["exec"], {});
  const program = statusOf((await programWith("confined")).pid);
  const own = statusOf(
    inside(task.id).find((one) => one.command.includes("echo started; while :; do sleep 1; done"))?.pid ?? 0,
  );
  for (const field of [
    "Uid",
    "CapInh",
    "CapPrm",
    "CapEff",
    "CapBnd",
    "CapAmb",
    "NoNewPrivs",
    "Seccomp",
    "Seccomp_filters",
  ]) {
    expect([field, program.get(field)]).toEqual([field, own.get(field)]);
  }
  // Ctrl-C of who watches is one of the program.
  child.kill("SIGINT");
  expect((await done).code).toBe(130);
  await eventually("it is gone", () => !inside(task.id).some((one) => one.command.join(" ").includes("confined")));
});

test("a program whose user vanishes is ended, even when it would not", async () => {
  const child = spawnBerth(
    ["exec", "idle", "--", "sh", "-c", "trap '' HUP INT TERM; : stubborn; while :; do sleep 1; done"],
    env,
  );
  const done = finish(child, ["exec"], {});
  const { pid } = await programWith("stubborn");
  child.kill("SIGKILL");
  await done;
  await eventually("it is gone", () => !inside(task.id).some((one) => one.pid === pid), 10_000);
});

test("a terminal has the size of ours, and its keys and status go through", async () => {
  // script(1) gives the command line a terminal of its own.
  const line = `${process.execPath} ${BERTH} exec -it idle -- sh -c 'stty size; read word; echo got-$word; exit 5'`;
  const child = spawn("script", ["-qefc", `stty rows 33 columns 99; ${line}`, "/dev/null"], {
    cwd: ROOT,
    env: environment({ ...env, TERM: "vt100" }),
    stdio: ["pipe", "pipe", "pipe"],
  });
  let seen = "";
  child.stdout.on("data", (part: Buffer) => (seen += part.toString()));
  const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
  await eventually("the size is told", () => seen.includes("33 99"), 30_000);
  child.stdin.write("apple\r");
  await eventually("the word comes back", () => seen.includes("got-apple"), 30_000);
  expect(await ended).toBe(5);
});

test("attaching shows what was written before, and leaving leaves the task alone", async () => {
  const child = spawnBerth(["attach", "idle"], env);
  const seen: Buffer[] = [];
  child.stdout?.on("data", (part: Buffer) => seen.push(part));
  const done = finish(child, ["attach"], {});
  await eventually("its output", () => Buffer.concat(seen).toString() === "started\n");
  child.kill("SIGINT");
  expect((await done).code).toBe(0);
  expect((await runningTask("idle")).id).toBe(task.id);
});

test("a paused task stands still, takes no programs, and goes on", async () => {
  expect(await cluster.cli(["pause", "idle"])).toMatchObject({ code: 0, stderr: "default/idle[0] is paused\n" });
  await eventually("ps shows it", async () => /idle\S* +paused /.test((await cluster.cli(["ps"])).stdout));
  const refused = await exec(["idle", "--", "true"]);
  expect([refused.code, refused.stderr]).toEqual([75, expect.stringContaining("is paused")]);
  await cluster.must(["resume", "idle"]);
  expect((await exec(["idle", "--", "true"])).code).toBe(0);
});

test("when the agent is killed its programs are ended and the user is told; the next agent serves again", async () => {
  const child = spawnBerth(["exec", "idle", "--", "sh", "-c", ": orphan; while :; do sleep 1; done"], env);
  const done = finish(child, ["exec"], {});
  const { pid } = await programWith("orphan");
  const [host] = await cluster.hosts();
  kill(cluster.agentOf(host?.id ?? "").pid, "SIGKILL");
  await eventually("it is gone", () => !inside(task.id).some((one) => one.pid === pid), 10_000);
  const { code, stderr } = await done;
  expect([code, stderr]).toEqual([69, expect.stringMatching(/the host is silent|the agent was started again/)]);
  await eventually("exec works again", async () => (await exec(["idle", "--", "true"])).code === 0, 30_000);
});

test("when the container ends, so does the session; of one that has ended there is none, and the problem says so", async () => {
  const child = spawnBerth(["exec", "idle", "--", "sh", "-c", ": last; while :; do sleep 1; done"], env);
  const done = finish(child, ["exec"], {});
  await programWith("last");
  // Paused or not.
  await cluster.must(["pause", "idle"]);
  await cluster.must(["stop", "idle"]);
  expect((await done).code).toBe(137);
  const answer = await cluster.fetch(`/v1/allocations/${task.id}/exec`);
  expect(answer.headers.get("content-type")).toContain("application/problem+json");
  expect((await answer.json()) as Problem).toMatchObject({ code: "allocation.not_running", status: 409 });
  expect((await exec(["idle", "--", "true"])).code).toBe(75);
});
