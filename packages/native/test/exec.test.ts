/** Other programs in a running container: they are as confined as it, get what they were given, and leave nothing. */
import { existsSync, mkdirSync, readFileSync, readdirSync, readlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { Container, ExecProcess, ExecSpec, ExitRecord, SeccompAction, SeccompProfile } from "../lib/index.ts";
import {
  eventually,
  isAlive,
  layout,
  processExists,
  processesWith,
  statusField,
  supervisorOf,
  testHost,
} from "./host.ts";

const host = testHost();

const executed = async (container: Container, spec: ExecSpec): Promise<ExecProcess> => {
  const result = await container.exec(spec);
  if (!result.ok) throw new Error(`not executed: ${JSON.stringify(result.error)}`);
  return result.value;
};
/** Runs to its end; both outputs. */
const run = async (
  container: Container,
  command: readonly string[],
  more: Partial<ExecSpec> = {},
): Promise<{ readonly exit: ExitRecord; readonly out: string; readonly err: string }> => {
  const program = await executed(container, { command, ...more });
  const seen = { out: "", err: "" };
  program.stdout.on("data", (chunk: Buffer) => (seen.out += chunk.toString("latin1")));
  program.stderr.on("data", (chunk: Buffer) => (seen.err += chunk.toString("latin1")));
  const ends = [program.stdout, program.stderr].map((stream) => new Promise((resolve) => stream.once("end", resolve)));
  const exit = await program.exited;
  await Promise.all(ends);
  return { exit, ...seen };
};
const sleeper = (more = {}): Promise<Container> => host.start(["sleep", "1000"], more);
const finish = async (container: Container): Promise<void> => {
  await container.stop({ signal: 9, graceMs: 0 });
  await container.remove();
};

describe("an executed program", () => {
  test("has its outputs apart, its input, its exit", async () => {
    const container = await sleeper();
    expect(await run(container, ["sh", "-c", "echo out; echo err >&2; exit 7"])).toMatchObject({
      exit: { code: 7, signal: null, cause: "exited" },
      out: "out\n",
      err: "err\n",
    });
    expect((await run(container, ["sh", "-c", "kill -9 $$"])).exit).toMatchObject({
      code: 137,
      signal: 9,
      cause: "signalled",
    });
    const cat = await executed(container, { command: ["sh", "-c", "cat; echo end"], stdin: "pipe" });
    let text = "";
    cat.stdout.on("data", (chunk: Buffer) => (text += chunk.toString()));
    cat.stdin.write("one\n");
    await eventually(() => text === "one\n");
    cat.stdin.end("two\n");
    expect(await cat.exited).toMatchObject({ code: 0 });
    await eventually(() => text === "one\ntwo\nend\n");
    expect((await run(container, ["cat"])).out).toBe("");
    await finish(container);
  });

  test("carries a lot both ways, byte for byte, to a reader that is slow", async () => {
    const container = await sleeper();
    const program = await executed(container, { command: ["cat"], stdin: "pipe" });
    const sent = Buffer.from(Array.from({ length: 5_000_000 }, (_, i) => (i * 7 + (i >> 8)) & 255));
    program.stdin.end(sent);
    await new Promise((resolve) => setTimeout(resolve, 200));
    const parts: Buffer[] = [];
    for await (const part of program.stdout) parts.push(part as Buffer);
    expect(Buffer.concat(parts).equals(sent)).toBe(true);
    expect(await program.exited).toMatchObject({ code: 0 });
    await finish(container);
  });

  test("gets the container's environment and directory, and what it is given instead", async () => {
    const container = await sleeper({ env: { A: "1", B: "2", PATH: "/bin" }, workdir: "/srv" });
    expect((await run(container, ["sh", "-c", "pwd; echo $A$B$C; umask"])).out).toBe("/srv\n12\n0022\n");
    const given = { env: { B: "x", C: "y" }, workdir: "/tmp/new" };
    expect((await run(container, ["sh", "-c", "pwd; echo $A$B$C"], given)).out).toBe("/tmp/new\n1xy\n");
    await finish(container);
  });

  test("is in every namespace and cgroup of its container, and as confined", async () => {
    const container = await sleeper();
    const program = await executed(container, { command: ["sleep", "1000"] });
    const [own, other] = [container.pid ?? 0, program.pid];
    for (const name of ["user", "pid", "mnt", "net", "uts", "ipc", "cgroup"])
      expect(readlinkSync(`/proc/${other}/ns/${name}`), name).toBe(readlinkSync(`/proc/${own}/ns/${name}`));
    const groups = (pid: number): string => readFileSync(`/proc/${pid}/cgroup`, "utf8");
    expect(groups(other)).toBe(groups(own));
    for (const field of [
      "CapInh",
      "CapPrm",
      "CapEff",
      "CapBnd",
      "CapAmb",
      "NoNewPrivs",
      "Seccomp",
      "Uid",
      "Gid",
      "Groups",
    ])
      expect(statusField(other, field), field).toBe(statusField(own, field));
    expect(statusField(other, "NoNewPrivs")).toBe("1");
    expect(statusField(other, "Seccomp")).toBe("2");
    expect(statusField(other, "SigBlk")).toBe("0000000000000000");
    expect(statusField(other, "SigIgn")).toBe(statusField(own, "SigIgn"));
    expect(readFileSync(`/proc/${other}/limits`, "utf8")).toBe(readFileSync(`/proc/${own}/limits`, "utf8"));
    expect(readFileSync(`/proc/${other}/oom_score_adj`, "utf8")).toBe(
      readFileSync(`/proc/${own}/oom_score_adj`, "utf8"),
    );
    expect(readdirSync(`/proc/${other}/fd`).sort()).toEqual(["0", "1", "2"]);
    expect(readlinkSync(`/proc/${other}/exe`)).toBe("/bin/busybox");
    program.close();
    await finish(container);
  });

  test("is who it is told to be, with no more than the container has", async () => {
    const container = await sleeper({ capabilities: { drop: ["net_bind_service"] } });
    const { out } = await run(container, ["sh", "-c", "id -u; id -g; ulimit -n; grep CapBnd /proc/self/status"], {
      user: "123:456",
      rlimits: { nofile: { soft: 77, hard: 99 } },
      capabilities: { add: ["net_raw"] },
    });
    const bounding = BigInt(`0x${statusField(container.pid ?? 0, "CapBnd")}`);
    const lines = out.trim().split("\n");
    expect(lines.slice(0, 3)).toEqual(["123", "456", "77"]);
    expect(BigInt(`0x${lines[3]?.split("\t")[1]}`) & ~bounding).toBe(0n);
    await finish(container);
  });

  test("with a profile of its own it may make fewer system calls, never more, and the container keeps its own", async () => {
    const rule = (name: string, action: SeccompAction): SeccompProfile => ({
      base: "default",
      defaultAction: "allow",
      rules: [{ names: [name], action }],
    });
    const filters = "grep -E '^Seccomp_filters' /proc/self/status | cut -f2";
    const script = `${filters}; mkdir /tmp/d$$ 2>&1; sync 2>&1; chroot / true 2>&1; uname -s`;
    const container = await sleeper({ seccomp: rule("sync", { errno: 1 }) });
    try {
      const plain = (await run(container, ["sh", "-c", script])).out.split("\n");
      const own = await run(container, ["sh", "-c", script], { seccomp: rule("mkdir", { errno: 28 }) });
      expect(plain.slice(1)).toEqual(["Linux", ""]);
      expect(own.out.split("\n").slice(1)).toEqual([expect.stringContaining("No space left"), "Linux", ""]);
      expect(Number(own.out.split("\n")[0])).toBe(Number(plain[0]) + 1);
      /* What the default one refuses stays refused. */
      const mount = "mount -t tmpfs none /mnt 2>/dev/null && echo mounted || echo refused";
      expect((await run(container, ["sh", "-c", mount], { seccomp: rule("mount", "allow") })).out).toBe("refused\n");
      const killed = await run(container, ["sh", "-c", "mkdir /tmp/k; echo on"], { seccomp: rule("mkdir", "kill") });
      expect(killed.exit).toMatchObject({ code: 0 });
      expect(killed.out).toBe("on\n");
      expect((await run(container, ["sh", "-c", "mkdir /tmp/after && echo made"])).out).toBe("made\n");
      for (const wrong of [{ base: "none", defaultAction: "allow", rules: [] }, "unconfined"])
        expect(await container.exec({ command: ["true"], seccomp: wrong as SeccompProfile })).toMatchObject({
          ok: false,
          error: { stage: "spec", detail: expect.stringMatching(/^seccomp/) },
        });
    } finally {
      await finish(container);
    }
  });

  test.each([
    [["no-such-program"], { code: 127, error: { stage: "exec", code: "ENOENT" } }],
    [["/etc"], { code: 126, error: { stage: "exec", code: "EACCES" } }],
  ])("that cannot be run says why: %j", async (command, expected) => {
    const container = await sleeper();
    const result = await container.exec({ command });
    expect(result.ok ? "executed" : result.exit).toMatchObject(expected);
    expect((await container.exec({ command: ["true"], user: "nobody-here" })).ok).toBe(false);
    expect((await container.exec({ command: [] })).ok).toBe(false);
    expect((await run(container, ["true"])).exit.code).toBe(0);
    await finish(container);
  });

  test("a failure after it was let go on is told as one, however late it comes", async () => {
    /* Long to search, so that whoever searches has been told to go on before it fails. */
    const layer = join(host.directory, "many-users");
    mkdirSync(join(layer, "etc"), { recursive: true });
    const users = Array.from({ length: 20_000 }, (_, at) => `user${at}:x:${1000 + at}:1000::/:/bin/sh\n`);
    writeFileSync(join(layer, "etc/passwd"), `root:x:0:0:root:/root:/bin/sh\n${users.join("")}`);
    const container = await sleeper({ layers: [layer, host.image] });
    for (let time = 0; time < 20; time += 1) {
      const result = await container.exec({ command: ["true"], user: "nobody-here" });
      expect(result).toMatchObject({ ok: false, error: { stage: "user" } });
    }
    await finish(container);
  });

  test("several at once, up to a bound; their places are free again afterwards", async () => {
    const container = await sleeper({
      limits: { cpuRequestMillis: 100, cpuLimitMillis: null, memoryBytes: 67_108_864, pids: 64 },
    });
    const programs = await Promise.all(
      Array.from({ length: 8 }, () => executed(container, { command: ["sleep", "1000"] })),
    );
    const refused = await container.exec({ command: ["true"] });
    expect(refused.ok ? "executed" : refused.error.code).toBe("EBUSY");
    for (const program of programs) await program.kill();
    for (const program of programs) expect(await program.exited).toMatchObject({ signal: 9 });
    for (let i = 0; i < 30; i += 1) expect((await run(container, ["sh", "-c", `exit ${i}`])).exit.code).toBe(i);
    const supervisor = supervisorOf(container.pid ?? 0);
    expect(readdirSync(`/proc/${supervisor}/fd`).length).toBeLessThan(24);
    expect(readFileSync(`/proc/${supervisor}/task/${supervisor}/children`, "utf8").trim().split(" ").length).toBe(1);
    await finish(container);
  });

  test("is signalled and killed with its group; closing the connection kills it, too", async () => {
    const container = await sleeper();
    const trap = await executed(container, {
      command: ["sh", "-c", "trap 'exit 44' USR1; echo up; while :; do sleep 0.05; done"],
    });
    await new Promise((resolve) => trap.stdout.once("data", resolve));
    await trap.signal(10);
    expect(await trap.exited).toMatchObject({ code: 44 });
    const group = await executed(container, { command: ["sh", "-c", "sleep 4711 & sleep 4711; true"] });
    await eventually(() => processesWith("4711").length >= 2);
    group.close();
    expect(await group.exited).toMatchObject({ signal: 9 });
    await eventually(() => processesWith("sleep\u00004711").filter(isAlive).length === 0);
    expect(processExists(container.pid ?? 0)).toBe(true);
    await finish(container);
  });

  test("ends with its container, and the connection is told", async () => {
    const container = await host.start(["sh", "-c", "sleep 0.5; exit 3"]);
    const program = await executed(container, { command: ["sh", "-c", "echo here; sleep 1000"] });
    let text = "";
    program.stdout.on("data", (chunk: Buffer) => (text += chunk.toString()));
    expect(await container.exited).toMatchObject({ code: 3 });
    expect(await program.exited).toMatchObject({ signal: 9, cause: "signalled" });
    await eventually(() => text === "here\n" && !isAlive(program.pid));
    expect((await container.exec({ command: ["true"] }).catch((cause: Error) => cause.message)) as unknown).toMatch(
      /./,
    );
    await container.remove();
    expect(host.cgroupsOf(container.id)).toEqual([]);
  });

  test("its memory and processes count against the container's limits", async () => {
    const container = await sleeper({
      limits: { cpuRequestMillis: 100, cpuLimitMillis: null, memoryBytes: 33_554_432, pids: 16 },
    });
    const { exit } = await run(container, ["sh", "-c", "head -c 200000000 /dev/zero | tail"]);
    expect(exit.code).not.toBe(0);
    const forks = await run(container, ["sh", "-c", "for i in $(seq 1 40); do sleep 5 & done"]);
    expect(forks.err).toMatch(/can't fork|Resource temporarily unavailable/);
    expect((await container.stats()).pids).toBeLessThanOrEqual(16);
    await finish(container);
  });

  test("says what it used", async () => {
    const container = await sleeper();
    const { exit } = await run(container, ["sh", "-c", "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done"]);
    expect(exit.cpuMicros).toBeGreaterThan(10_000);
    expect(exit.peakMemoryBytes).toBeGreaterThan(100_000);
    expect(exit.startedAtMs).toBeGreaterThanOrEqual(exit.createdAtMs ?? Infinity);
    expect(exit.finishedAtMs).toBeGreaterThanOrEqual(exit.startedAtMs ?? Infinity);
    const ended = await container.stop({ signal: 9, graceMs: 0 });
    expect(ended.cpuMicros).toBeGreaterThan(10_000);
    expect(ended.peakMemoryBytes).toBeGreaterThan(100_000);
    await container.remove();
  });

  test("with a terminal: of its own size, with job control, beside others", async () => {
    const container = await sleeper({ env: { PATH: "/bin", PS1: "$ " } });
    const program = await executed(container, { command: ["sh", "-i"], terminal: { rows: 17, columns: 71 } });
    let text = "";
    program.stdout.on("data", (chunk: Buffer) => (text += chunk.toString()));
    program.stdin.write("stty size; tty; echo $TERM; test -t 0 && test -t 1 && test -t 2 && echo all\n");
    await eventually(() => text.includes("17 71\r\n/dev/pts/0\r\nxterm\r\nall\r\n"));
    await program.resize({ rows: 30, columns: 90 });
    program.stdin.write("stty size; sleep 1000\n");
    await eventually(() => text.includes("30 90\r\n"));
    await eventually(() => processesWith("sleep\u00001000").length >= 2);
    program.stdin.write("\u0003");
    program.stdin.write("echo code $?; exit 5\n");
    expect(await program.exited).toMatchObject({ code: 5 });
    expect(text).toContain("code 130\r\n");
    await finish(container);
  });
});

describe("out of reach", () => {
  test("nothing that has been executed, and nothing on its way to be, can be looked into from inside", async () => {
    /* A root program of the container that pulls at every process it can see, as fast as it can. */
    const script = `while :; do for p in /proc/[0-9]*; do
      [ $p = /proc/$$ ] && continue
      e=$(readlink $p/exe 2>/dev/null); case "$e" in ''|/bin/busybox) ;; *) echo "exe $p $e";; esac
      for f in $p/fd/*; do l=$(readlink $f 2>/dev/null); case "$l" in *lock*|*control*|*berth*|*memfd*) echo "fd $f $l";; esac; done
      done; done`;
    const container = await host.start(["sh", "-c", script]);
    for (let i = 0; i < 40; i += 1) await run(container, ["true"]);
    await finishWith(container, (log) => expect(log).toBe(""));
  });
});

const finishWith = async (container: Container, check: (text: string) => void): Promise<void> => {
  const attachment = await container.attach({ scrollbackBytes: 1_000_000 });
  let text = "";
  attachment.stdout.on("data", (chunk: Buffer) => (text += chunk.toString()));
  attachment.stderr.resume();
  await container.stop({ signal: 9, graceMs: 0 });
  await attachment.closed;
  check(text);
  await container.remove();
};

test("the freezer, if there is one, holds an executed program as well", async () => {
  const freezer = layout.hierarchies.find((hierarchy) => hierarchy.controllers.includes("freezer"));
  const container = await sleeper();
  const program = await executed(container, { command: ["sleep", "1000"] });
  if (freezer !== undefined)
    expect(
      readFileSync(join(freezer.path, host.cgroupParent, container.id, "cgroup.procs"), "utf8").split("\n"),
    ).toContain(String(program.pid));
  expect(existsSync(`/proc/${program.pid}`)).toBe(true);
  await finish(container);
  await eventually(() => !isAlive(program.pid));
});
