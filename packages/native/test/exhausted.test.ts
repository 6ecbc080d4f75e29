/**
 * Bad surroundings: whatever is missing or used up, the start is refused by a stage that names it, nothing crashes, and
 * nothing of the container is left. Limits of the machine itself are not touched: each test narrows its own.
 */
import { execFileSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { constants } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { addonPath } from "../lib/binding.ts";
import { openRuntime, readCgroupLayout, type ContainerSpec } from "../lib/index.ts";
import { agentScript } from "./built-agent.ts";
import { processesWith, slow, testHost } from "./host.ts";

const host = testHost();
const layout = readCgroupLayout();

/** What a failed start could leave. */
const traces = () => ({
  state: readdirSync(host.stateDir).filter((name) => !name.startsWith(".")),
  cgroups: [...layout.hierarchies, ...layout.onDemand].flatMap(({ path }) => {
    const parent = join(path, host.cgroupParent);
    return existsSync(parent)
      ? readdirSync(parent, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? [entry.name] : []))
      : [];
  }),
  mounts: readFileSync("/proc/self/mountinfo", "utf8"),
  /* Not by ps(1), which does not end under a preloaded sanitizer. */
  children: readdirSync("/proc/self/task")
    .flatMap((thread) => readFileSync(`/proc/self/task/${thread}/children`, "utf8").split(" "))
    .filter((pid) => pid !== "")
    .flatMap((pid) => {
      try {
        return [`${pid} ${readFileSync(`/proc/${pid}/comm`, "utf8").trim()}`];
      } catch {
        return [];
      }
    })
    .filter((line) => line.includes("berth-")),
});

const refused = async (spec: ContainerSpec, stage: RegExp, codes: readonly string[]) => {
  const before = traces();
  const result = await host.runtime.start(spec);
  expect(result.ok, JSON.stringify(result.ok ? {} : result.error)).toBe(false);
  if (result.ok) return;
  expect(result.error.stage).toMatch(stage);
  expect(codes).toContain(result.error.code);
  expect(result.error.detail).not.toBe("");
  expect(result.exit).toMatchObject({ cause: "start_failed", error: result.error });
  await expect.poll(traces, { timeout: 10_000 }).toEqual({ ...before, children: [] });
};

describe("what a spec names and is not there", () => {
  test("a layer that vanished, that is a file, that became something else", async () => {
    const gone = join(host.directory, "gone");
    await refused(host.spec(["true"], { layers: [gone, host.image] }), /^rootfs.layer$/, ["ENOENT"]);
    writeFileSync(gone, "");
    await refused(host.spec(["true"], { layers: [gone] }), /^rootfs\./, ["ENOTDIR", "EINVAL"]);
    rmSync(gone);
  });
  test("a layer that comes and goes while containers are started from it", async () => {
    const [here, away] = [join(host.directory, "fleeting"), join(host.directory, "fleeting-away")];
    execFileSync("cp", ["-a", host.image, here]);
    let stop = false;
    const restless = (async () => {
      for (let at = 0; !stop; at += 1) {
        renameSync(...(at % 2 === 0 ? ([here, away] as const) : ([away, here] as const)));
        await new Promise((resolve) => setTimeout(resolve, Math.random() * 4));
        if (stop && at % 2 === 0) renameSync(away, here);
      }
    })();
    const before = traces();
    let refusals = 0;
    for (let turn = 0; turn < 30; turn += 1) {
      const result = await host.runtime.start(host.spec(["true"], { layers: [here] }));
      if (result.ok) {
        expect(await result.value.exited).toMatchObject({ code: 0 });
        await result.value.remove();
      } else {
        refusals += 1;
        expect(result.error).toMatchObject({ stage: "rootfs.layer", code: "ENOENT" });
        expect(result.error.detail).toContain(here);
      }
    }
    stop = true;
    await restless;
    expect(refusals).toBeGreaterThan(0);
    await expect.poll(traces, { timeout: 10_000 }).toEqual({ ...before, children: [] });
  });
  test("a root that is deleted below a running container: what it executes is not found, and it can be stopped", async () => {
    const root = join(host.directory, "doomed");
    execFileSync("cp", ["-a", host.image, root]);
    const before = traces();
    const container = await host.start(["sleep", "1000"], { layers: [root] });
    rmSync(root, { recursive: true });
    const result = await container.exec({ command: ["/bin/cksum"] });
    expect(result).toMatchObject({ ok: false, error: { stage: "exec", code: "ENOENT" }, exit: { code: 127 } });
    expect(await container.stop({ signal: 15, graceMs: 5000 })).toMatchObject({ code: 143, signal: 15 });
    await container.remove();
    await expect.poll(traces, { timeout: 10_000 }).toEqual({ ...before, children: [] });
  });
  test("an empty root has no program", async () => {
    const empty = join(host.directory, "empty");
    mkdirSync(empty, { recursive: true });
    await refused(host.spec(["true"], { layers: [empty] }), /^exec$/, ["ENOENT"]);
  });
  test("the source of a bind", async () => {
    const mounts = [{ source: join(host.directory, "nowhere"), target: "/x", readOnly: true }];
    await refused(host.spec(["true"], { mounts }), /^mount.bind$/, ["ENOENT"]);
  });
  test("a working directory that is a file", async () => {
    await refused(host.spec(["true"], { workdir: "/etc/passwd" }), /^workdir$/, ["ENOTDIR"]);
  });
  test("a mount target that is a file of the image, or below one", async () => {
    await refused(host.spec(["true"], { mounts: [{ kind: "tmpfs", target: "/etc/passwd" }] }), /^mount\.new$/, [
      "ENOTDIR",
      "EINVAL",
    ]);
    await refused(host.spec(["true"], { mounts: [{ kind: "tmpfs", target: "/etc/passwd/x" }] }), /^mount\.new$/, [
      "ENOTDIR",
    ]);
  });
});

describe("what is used up", () => {
  test("the disk of the state directory: refused, and everything works again when there is room", async () => {
    const disk = join(host.directory, "small-disk");
    mkdirSync(disk);
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=1m,nr_inodes=60", "small", disk]);
    try {
      const runtime = await openRuntime({ stateDir: join(disk, "state"), cgroupParent: host.cgroupParent });
      try {
        const fill = join(disk, "fill");
        mkdirSync(fill);
        let made = 0;
        for (; made < 1000; made += 1) {
          try {
            writeFileSync(join(fill, String(made)), "");
          } catch {
            break;
          }
        }
        expect(made).toBeLessThan(60);
        /* With each freed inode the start gets further. */
        for (let free = 0; free < 6; free += 1) {
          const result = await runtime.start(host.spec(["sh", "-c", "echo hi"]));
          if (result.ok) {
            await result.value.exited;
            await result.value.remove();
          } else {
            expect(result.error.code).toBe("ENOSPC");
            expect(result.error.stage).toMatch(
              /^(state\.create|state\.lock|record|control|rootfs\.overlay|log|output.*|.+)$/,
            );
          }
          rmSync(join(fill, String(made - 1 - free)), { force: true });
        }
        rmSync(fill, { recursive: true });
        const after = await runtime.start(host.spec(["true"]));
        if (!after.ok) throw new Error(JSON.stringify(after.error));
        expect(await after.value.exited).toMatchObject({ code: 0 });
        await after.value.remove();
        expect(readdirSync(join(disk, "state")).filter((name) => !name.startsWith("."))).toEqual([]);
      } finally {
        await runtime.close();
      }
    } finally {
      execFileSync("umount", ["-l", disk]);
    }
  });

  test("the disk of the state directory while a container runs: nothing of what it may is changed, and its end is kept", async () => {
    const disk = join(host.directory, "filling-disk");
    mkdirSync(disk);
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=1m", "filling", disk]);
    const open = () => openRuntime({ stateDir: join(disk, "state"), cgroupParent: host.cgroupParent });
    let runtime = await open();
    try {
      const script = "trap 'head -c 262144 /dev/zero; exit 9' TERM; while :; do sleep 0.02; done";
      const { id, limits } = host.spec(["sh"]);
      const result = await runtime.start({ ...host.spec(["sh", "-c", script]), id });
      if (!result.ok) throw new Error(JSON.stringify(result.error));
      const container = result.value;
      expect(() => writeFileSync(join(disk, "fill"), Buffer.alloc(1 << 20))).toThrow(/ENOSPC/);
      const update = await container.update({ ...limits, pids: 100 });
      expect(update).toMatchObject({ ok: false, error: { stage: "cgroup.limit", code: "ENOSPC" } });
      expect(container.limits).toEqual(limits);
      const pids = layout.hierarchies.find(({ controllers }) => controllers.includes("pids"));
      const file = join(pids?.path ?? "", host.cgroupParent, id, "pids.max");
      expect(readFileSync(file, "utf8").trim()).toBe(`${limits.pids}`);
      const executed = await container.exec({ command: ["true"] });
      expect(executed.ok && (await executed.value.exited).code).toBe(0);
      await runtime.close();
      process.kill(container.pid ?? 0, "SIGTERM");
      await expect.poll(() => existsSync(join(disk, "state", id, "exit")), { timeout: 10_000 }).toBe(true);
      runtime = await open();
      const [found] = await runtime.adopt();
      if (found?.kind !== "ended") throw new Error(`it is ${found?.kind}`);
      expect(found.exit).toMatchObject({ code: 9, cause: "exited" });
      expect(found.exit.droppedBytes).toBeGreaterThan(0);
      await found.container.remove();
      expect(readdirSync(join(disk, "state")).filter((name) => !name.startsWith("."))).toEqual([]);
    } finally {
      await runtime.close();
      execFileSync("umount", ["-l", disk]);
    }
  });

  test("descriptors of a supervisor: refused with EMFILE by a stage of its own, or started; nothing is left", async () => {
    /* On standby it is there before the start: its own limit can be lowered, and nobody else's. */
    const stateDir = join(host.directory, "few-of-its-own");
    const runtime = await openRuntime({ stateDir, cgroupParent: host.cgroupParent, standby: 1 });
    const waits = (pid: number): boolean => {
      try {
        return readlinkSync(`/proc/${pid}/fd/4`).startsWith(join(stateDir, ".standby-"));
      } catch {
        return false;
      }
    };
    const waiting = (): number | undefined => processesWith("--standby").find(waits);
    const heldBy = (pid: number): string => readdirSync(`/proc/${pid}/fd`).join(" ");
    /** The limit below which so many numbers are free. */
    const limitFor = (pid: number, free: number): number => {
      const held = new Set(heldBy(pid).split(" ").map(Number));
      let limit = 0;
      for (let left = free; left > 0; limit += 1) if (!held.has(limit)) left -= 1;
      return limit;
    };
    /** It opens what it makes, and then nothing more. */
    const isReady = async (pid: number): Promise<boolean> => {
      const before = heldBy(pid);
      await sleep(slow ? 1000 : 100);
      return waits(pid) && heldBy(pid) === before;
    };
    try {
      await runtime.adopt();
      const seen: string[] = [];
      /* The first is for the spec. */
      for (let free = 1; free <= 29;) {
        await expect.poll(waiting, { timeout: 20_000 }).not.toBe(undefined);
        const pid = waiting();
        if (pid === undefined || !(await isReady(pid).catch(() => false))) continue;
        execFileSync("prlimit", ["--pid", `${pid}`, `--nofile=${limitFor(pid, free)}:`]);
        const result = await runtime.start(host.spec(["true"]));
        /* Found before the pool knew of it: then another one did this, and it waits still. */
        if (!waits(pid)) {
          seen.push(result.ok ? "ok" : `${result.error.stage} ${result.error.code}`);
          free += 4;
        }
        if (!result.ok) continue;
        expect(await result.value.exited).toMatchObject({ code: 0 });
        await result.value.remove();
      }
      expect(seen[0]).toMatch(/^[a-z.]+ EMFILE$/);
      for (const one of seen) expect(one).toMatch(/^(ok|[a-z.]+ EMFILE)$/);
      expect(seen.at(-1)).toBe("ok");
      expect(readdirSync(stateDir).filter((name) => !name.startsWith("."))).toEqual([]);
      expect(traces().cgroups.filter((name) => !name.startsWith("."))).toEqual([]);
    } finally {
      await runtime.close();
    }
    expect(traces().cgroups).toEqual([]);
  });

  test("descriptors of the agent: refused with EMFILE or EAGAIN at every count, then as before", () => {
    /* In a process of its own, whose limit can be lowered. */
    const script = `
      import { closeSync, openSync, readdirSync } from "node:fs";
      import { openRuntime } from ${JSON.stringify(new URL("../lib/index.ts", import.meta.url).href)};
      const runtime = await openRuntime({ stateDir: process.argv[1], cgroupParent: process.argv[2] });
      const spec = (id) => ({ id, layers: [process.argv[3]], command: ["true"], env: {}, workdir: "/", hostname: "h", mounts: [], idBase: 800_000_000,
        limits: { cpuRequestMillis: 100, cpuLimitMillis: null, memoryBytes: 64e6, pids: 64 } });
      const taken = [];
      try { for (;;) taken.push(openSync("/dev/null")); } catch {}
      const seen = [];
      for (let free = 0; free < 14; free += 1) {
        const result = await runtime.start(spec("fd" + free)).catch((error) => ({ ok: false, error: { code: String(error) } }));
        seen.push(result.ok ? "ok" : result.error.code);
        if (result.ok) { await result.value.exited; await result.value.remove().catch(() => undefined); }
        closeSync(taken.pop());
      }
      for (const fd of taken) closeSync(fd);
      const last = await runtime.start(spec("last"));
      if (!last.ok) throw new Error(JSON.stringify(last.error));
      await last.value.exited;
      await last.value.remove();
      for (const found of await runtime.adopt()) if (found.kind === "ended") await found.container.remove(); else if (found.kind === "never_started") seen.push("left " + found.id);
      console.log(JSON.stringify(seen));
      await runtime.close();
    `;
    const output = execFileSync(
      "prlimit",
      [
        "--nofile=200:200",
        process.execPath,
        "--import",
        "tsx",
        "--input-type=module",
        "-e",
        script,
        join(host.directory, "few-fds"),
        host.cgroupParent,
        host.image,
      ],
      { encoding: "utf8", cwd: new URL("../../..", import.meta.url).pathname },
    );
    const seen = JSON.parse(output) as string[];
    expect(seen).toHaveLength(14);
    for (const one of seen) expect(["ok", "EMFILE"]).toContain(one);
    expect(seen[0]).toBe("EMFILE");
    expect(seen.at(-1)).toBe("ok");
  });

  test("namespaces: refused by the kernel's own limits, here those of a namespace around the agent", () => {
    const script = `
      import { writeFileSync } from "node:fs";
      import { openRuntime } from ${JSON.stringify(new URL("../lib/index.ts", import.meta.url).href)};
      const runtime = await openRuntime({ stateDir: process.argv[1], cgroupParent: process.argv[2] });
      const said = [];
      for (const kind of ["user", "pid", "mnt"]) {
        writeFileSync("/proc/sys/user/max_" + kind + "_namespaces", "0");
        const result = await runtime.start({ id: "none", layers: [process.argv[3]], command: ["true"], env: {}, workdir: "/", hostname: "h", mounts: [], idBase: 800_000_000,
          limits: { cpuRequestMillis: 100, cpuLimitMillis: null, memoryBytes: 64e6, pids: 64 } });
        said.push([kind, result.error, await runtime.adopt()]);
        writeFileSync("/proc/sys/user/max_" + kind + "_namespaces", "1000");
      }
      console.log(JSON.stringify(said));
      await runtime.close();
    `;
    /* All ids are mapped to themselves, by somebody outside, so that nothing but the limit is different. */
    const outside = `
      unshare --user sh -c 'until [ -e "$0" ]; do sleep 0.02; done; exec "$@"' "$0" "$@" &
      until [ "$(readlink /proc/$!/ns/user)" != "$(readlink /proc/self/ns/user)" ]; do sleep 0.02; done
      echo 0 0 4294967295 > /proc/$!/uid_map && echo 0 0 4294967295 > /proc/$!/gid_map && touch "$0"
      wait $!`;
    const go = join(host.directory, "mapped");
    const node = [process.execPath, "--import", "tsx", "--input-type=module", "-e", script];
    const output = execFileSync(
      "sh",
      ["-c", outside, go, ...node, join(host.directory, "no-userns"), host.cgroupParent, host.image],
      { encoding: "utf8", cwd: new URL("../../..", import.meta.url).pathname },
    );
    const refusedWith = { stage: "namespaces", code: "ENOSPC" };
    expect(JSON.parse(output)).toMatchObject(["user", "pid", "mnt"].map((kind) => [kind, refusedWith, []]));
  });

  test("processes of the agent: refused with EAGAIN at every count, then as before", () => {
    const pids = layout.hierarchies.find(({ controllers }) => controllers.includes("pids"));
    const cgroup = join(pids?.path ?? "", `${host.cgroupParent}-agent`);
    mkdirSync(cgroup);
    try {
      const job = {
        stateDir: join(host.directory, "few-processes"),
        cgroupParent: host.cgroupParent,
        spec: host.spec(["true"]),
        limit: join(cgroup, "pids.max"),
        upTo: 6,
      };
      const script = `echo $$ > ${join(cgroup, "cgroup.procs")} && exec "$@"`;
      agentScript();
      const oneStart = fileURLToPath(new URL("./one-start.mjs", import.meta.url));
      const output = execFileSync("sh", ["-c", script, "sh", process.execPath, oneStart, JSON.stringify(job)], {
        encoding: "utf8",
      });
      const said = JSON.parse(output) as readonly { readonly error?: { readonly code: string }; readonly left: [] }[];
      expect(said).toHaveLength(7);
      expect(said[0]).toMatchObject({ error: { stage: "supervisor.start", code: "EAGAIN" } });
      for (const { error, left } of said) {
        if (error !== undefined) expect(error.code, JSON.stringify(error)).toBe("EAGAIN");
        expect(left).toEqual([]);
      }
      expect(said.at(-1)).toMatchObject({ exit: { code: 0 } });
    } finally {
      rmdirSync(cgroup);
    }
  });

  test("threads of the agent: a look into another network namespace is refused, and the agent lives", () => {
    const pids = layout.hierarchies.find(({ controllers }) => controllers.includes("pids"));
    const cgroup = join(pids?.path ?? "", `${host.cgroupParent}-threads`);
    mkdirSync(cgroup);
    try {
      const agent = `
        const { openSync, writeFileSync } = require("node:fs");
        const { netlink } = require(process.argv[1]);
        const netns = openSync("/proc/self/ns/net");
        /* A list of all links. */
        const request = Buffer.alloc(32);
        [32, 0x0301_0000 | 18].forEach((word, at) => request.writeUInt32LE(word, at * 4));
        const look = async () => {
          const answer = await netlink(netns, request);
          return Buffer.isBuffer(answer) ? "links" : answer.errno;
        };
        void (async () => {
          const said = [await look()];
          writeFileSync(process.argv[2], "1");
          said.push(await look());
          writeFileSync(process.argv[2], "max");
          said.push(await look());
          console.log(JSON.stringify(said));
        })();`;
      const script = `echo $$ > ${join(cgroup, "cgroup.procs")} && exec "$@"`;
      const words = [process.execPath, "-e", agent, addonPath, join(cgroup, "pids.max")];
      const output = execFileSync("sh", ["-c", script, "sh", ...words], { encoding: "utf8" });
      expect(JSON.parse(output)).toEqual(["links", constants.errno.EAGAIN, "links"]);
    } finally {
      rmdirSync(cgroup);
    }
  });

  const unified = layout.hierarchies.find(({ version }) => version === 2);
  test.skipIf(unified === undefined)(
    "cgroups: refused by the limit of the parent, and what was made before is gone",
    async () => {
      const file = join(unified?.path ?? "", host.cgroupParent, "cgroup.max.descendants");
      writeFileSync(file, "0");
      try {
        await refused(host.spec(["true"]), /^cgroup\.create$/, ["EAGAIN"]);
      } finally {
        writeFileSync(file, "max");
      }
    },
  );

  test("processes: too few for the program are the container's own fault", async () => {
    const limits = { cpuRequestMillis: 100, cpuLimitMillis: null, memoryBytes: 64 * 1024 * 1024, pids: 1 };
    const { stdout, exit } = await host.sh("(true) && echo forked", { limits });
    expect(stdout).toBe("");
    expect(exit.code).not.toBe(0);
  });

  test("memory that is too little for anything", async () => {
    const limits = { cpuRequestMillis: 100, cpuLimitMillis: null, memoryBytes: 65_536, pids: 10 };
    const before = traces();
    const result = await host.runtime.start(host.spec(["true"], { limits }));
    if (result.ok) await result.value.exited.then(() => result.value.remove());
    else expect(["ENOMEM", "EBUSY", ""]).toContain(result.error.code);
    await expect.poll(traces, { timeout: 10_000 }).toEqual({ ...before, children: [] });
  });
});

describe("nonsense", () => {
  const spec = (): Record<string, unknown> => ({ ...host.spec(["true"]) });
  const KEYS = [
    "id",
    "layers",
    "command",
    "env",
    "workdir",
    "hostname",
    "domainname",
    "mounts",
    "devices",
    "idBase",
    "limits",
    "strictLimits",
    "log",
    "stdin",
    "terminal",
    "user",
    "groups",
    "umask",
    "rlimits",
    "oomScoreAdj",
    "capabilities",
    "stopSignal",
    "init",
    "readOnlyRoot",
    "namespaces",
    "network",
    "seccomp",
    "sysctls",
    "maskedPaths",
    "readOnlyPaths",
    "hooks",
  ];
  const value = fc.oneof(
    fc.anything(),
    fc.string(),
    fc.double(),
    fc.array(fc.anything(), { maxLength: 4 }),
    fc.constantFrom(null, -1, 1e300, [], {}, "", "\0", "/..", [null], { kind: null }),
  );

  test("of any kind in any field: an answer with a stage, or a container; never an exception", async () => {
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...KEYS), value, async (key, wrong) => {
        const result = await host.runtime.start({ ...spec(), [key]: wrong } as unknown as ContainerSpec);
        if (result.ok) {
          await result.value.stop({ signal: 9, graceMs: 0 });
          await result.value.remove();
        } else expect(result.error.stage).toMatch(/^[a-z]+(\.[a-z]+)*$/);
      }),
      { numRuns: 500 },
    );
    expect(traces().state).toEqual([]);
    expect(traces().cgroups).toEqual([]);
  });

  test("instead of a spec", async () => {
    for (const wrong of [undefined, null, 1, "x", [], {}, () => 1])
      expect(await host.runtime.start(wrong as unknown as ContainerSpec)).toMatchObject({
        ok: false,
        error: { stage: "spec" },
      });
  });
});
