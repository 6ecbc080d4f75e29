/**
 * Supervisors on standby: a start takes one, whatever happens to it falls back to an ordinary start, and nothing of them
 * outlives the agent.
 */
import { execFileSync, spawn } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, onTestFinished, test } from "vitest";
import { openRuntime, type Runtime, type RuntimeOptions } from "../lib/index.ts";
import { killIf } from "../lib/kill.ts";
import { hold, holding } from "./holding.ts";
import { eventually, isAlive, layout, outputOf, supervisorOf, testHost } from "./host.ts";
import { programs } from "./security/tools.ts";
import { childrenOf, isSetUp, mountsOf, parentOf, ready, stemOf, waiting } from "./standby.ts";

const host = testHost();
const tools = programs(host, { holding });
const SIZE = 3;
/** Overlayfs makes it below a container's directory. */
const DIRTY = "work/work/incompat/volatile/dirty";
const NAMESPACES = ["user", "mnt", "net", "uts"];
let serial = 0;

const slots = (stateDir: string): string[] => readdirSync(stateDir).filter((name) => name.startsWith(".standby-"));
const namespacesOf = (pid: number, kinds: readonly string[]): string[] =>
  kinds.map((kind) => readlinkSync(`/proc/${pid}/ns/${kind}`));
const withPool = async (
  work: (runtime: Runtime, stateDir: string) => Promise<void>,
  more: Partial<RuntimeOptions> = {},
): Promise<void> => {
  const { stateDir = join(host.directory, `pool-${(serial += 1)}`) } = more;
  const runtime = await openRuntime({ ...more, stateDir, cgroupParent: host.cgroupParent, standby: SIZE });
  try {
    expect(await runtime.adopt()).toEqual([]);
    await eventually(() => ready(stateDir).length === SIZE);
    /* The last of them may be there before the pool has heard of it: who kills it then leaves a dead one in the pool. */
    await sleep(200);
    await work(runtime, stateDir);
  } finally {
    await runtime.close();
  }
  expect(slots(stateDir)).toEqual([]);
  await eventually(() => waiting(stateDir).length === 0);
  expect(cgroupsAhead()).toEqual([]);
};

const V1 = layout.hierarchies.filter(({ version }) => version === 1).map(({ path }) => join(path, host.cgroupParent));
/** Those that are no container's yet. */
const cgroupsAhead = (): string[] =>
  V1.filter((parent) => existsSync(parent)).flatMap((parent) =>
    readdirSync(parent).flatMap((name) => (name.startsWith(".standby-") ? [join(parent, name)] : [])),
  );

/** Those that wait, whose namespaces stand still, so that a start gets to their birth and no further. */
const stopStems = (stateDir: string): ReadonlyMap<number, number> => {
  const stems = new Map(waiting(stateDir).map((pid) => [pid, stemOf(pid)]));
  for (const stem of stems.values()) process.kill(stem, "SIGSTOP");
  onTestFinished(() => {
    for (const [supervisor, stem] of stems) killIf(stem, () => parentOf(stem) === supervisor);
  });
  return stems;
};
const stateOf = (pid: number): string => readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.[0] ?? "";
/** The one of these that was given this directory, once it has made what `made` looks for and waits for that birth. */
const atBirth = async (pids: readonly number[], directory: string, made: () => boolean): Promise<number> => {
  let found: number | undefined;
  await eventually(() => {
    found = pids.find((pid) => readlinkSync(`/proc/${pid}/fd/4`) === directory);
    return found !== undefined && made() && stateOf(found) === "S";
  });
  if (found === undefined) throw new Error(`nobody was given ${directory}`);
  return found;
};

const runTrue = async (runtime: Runtime): Promise<void> => {
  const result = await runtime.start(host.spec(["true"]));
  if (!result.ok) throw new Error(JSON.stringify(result.error));
  expect(await result.value.exited).toMatchObject({ code: 0, cause: "exited" });
  await result.value.remove();
};

describe("a pool", () => {
  test("gives a start its supervisor, shows the container's name, and fills up again", async () => {
    await withPool(async (runtime, stateDir) => {
      const before = waiting(stateDir);
      const spec = host.spec(["sleep", "1000"]);
      const result = await runtime.start(spec);
      if (!result.ok) throw new Error(JSON.stringify(result.error));
      const supervisor = supervisorOf(result.value.pid ?? 0);
      expect(before).toContain(supervisor);
      const words = readFileSync(`/proc/${supervisor}/cmdline`, "utf8").split("\0");
      expect(words.slice(0, 2)).toEqual(["berth-supervisor", spec.id]);
      await eventually(() => ready(stateDir).length === SIZE);
      expect(slots(stateDir)).toHaveLength(SIZE);
      await result.value.stop({ signal: 9, graceMs: 10_000 });
      await result.value.remove();
      expect(existsSync(join(stateDir, spec.id))).toBe(false);
    });
  });

  test("gives each start namespaces that no program was ever in, with the ids of its own container", async () => {
    await withPool(async (runtime, stateDir) => {
      const stems = waiting(stateDir).map((pid) => stemOf(pid));
      const prepared = stems.map((pid) => namespacesOf(pid, NAMESPACES));
      expect(new Set([...prepared.flat(), ...namespacesOf(process.pid, NAMESPACES)]).size).toBe(
        (SIZE + 1) * NAMESPACES.length,
      );
      for (const pid of stems) {
        expect(readFileSync(`/proc/${pid}/uid_map`, "utf8")).toBe("");
        /* Of the host only its procfs, which the kernel wants to see before it gives a new one. */
        const points = mountsOf(pid).map((line) => line.split(" ")[4] ?? "");
        expect(points).toEqual(expect.arrayContaining(["/", "/dev", "/dev/mqueue", "/proc", "/sys"]));
        expect(points.filter((point) => !/^\/(?:$|dev$|dev\/mqueue$|proc|sys)/.test(point))).toEqual([]);
      }
      const used: string[] = [];
      /* Of the second the former root is left at once. */
      for (const spec of [host.spec(["sleep", "1000"]), host.spec(["sleep", "1000"], { init: false })]) {
        const result = await runtime.start(spec);
        if (!result.ok) throw new Error(JSON.stringify(result.error));
        const pid = result.value.pid ?? 0;
        const own = namespacesOf(pid, NAMESPACES);
        expect(prepared).toContainEqual(own);
        used.push(...own);
        const ids = readFileSync(`/proc/${pid}/uid_map`, "utf8").trim().split(/ +/);
        expect(ids).toEqual(["0", `${spec.idBase}`, "65536"]);
        expect(readFileSync(`/proc/${pid}/net/dev`, "utf8")).toMatch(/^ *lo:/m);
        for (const path of ["dev/null", "dev/shm"])
          expect(statSync(`/proc/${pid}/root/${path}`).uid, path).toBe(spec.idBase);
        /* The process that stood in for it is gone. Its supervisor keeps the one descriptor that makes its end quick. */
        const supervisor = spec.init === false ? parentOf(pid) : supervisorOf(pid);
        expect(stems.filter((stem) => isAlive(stem) && parentOf(stem) === supervisor)).toEqual([]);
        const held = readdirSync(`/proc/${supervisor}/fd`).map((fd) => readlinkSync(`/proc/${supervisor}/fd/${fd}`));
        expect(held.filter((name) => /^\w+:\[\d+\]$/.test(name) && !/^(?:pipe|socket)/.test(name))).toEqual([
          readlinkSync(`/proc/${pid}/ns/mnt`),
        ]);
        expect(held.filter((name) => name.includes("eventfd") || name === "/" || name === "/proc")).toEqual([]);
        await result.value.stop({ signal: 9, graceMs: 10_000 });
        await result.value.remove();
      }
      expect(new Set(used).size).toBe(2 * NAMESPACES.length);
    });
  });

  test("has v1 cgroups that get the container's name and its limits, or makes them when they were lost", async (context) => {
    context.skip(V1.length === 0, "this host has no v1 hierarchy, and a v2 cgroup keeps its name");
    const inodeOf = (path: string): number => statSync(path).ino;
    await withPool(async (runtime, stateDir) => {
      for (const found of ["there", "left over", "lost"] as const) {
        await eventually(() => ready(stateDir).length === SIZE && cgroupsAhead().length === SIZE * V1.length);
        const ahead = cgroupsAhead().map(inodeOf);
        const spec = host.spec(["sleep", "1000"]);
        if (found === "lost") for (const path of cgroupsAhead()) rmdirSync(path);
        /* As an interrupted start leaves them. */
        if (found === "left over") for (const parent of V1) mkdirSync(join(parent, spec.id));
        const result = await runtime.start({ ...spec, limits: { ...spec.limits, pids: 17 } });
        if (!result.ok) throw new Error(JSON.stringify(result.error));
        for (const parent of V1) {
          const own = join(parent, spec.id);
          expect(ahead.includes(inodeOf(own)), own).toBe(found !== "lost");
          expect(readFileSync(join(own, "cgroup.procs"), "utf8").split("\n")).toContain(`${result.value.pid}`);
        }
        const counted = V1.find((parent) => existsSync(join(parent, spec.id, "pids.max")));
        if (counted !== undefined) expect(readFileSync(join(counted, spec.id, "pids.max"), "utf8")).toBe("17\n");
        await result.value.stop({ signal: 9, graceMs: 10_000 });
        await result.value.remove();
        expect(host.cgroupsOf(spec.id)).toEqual([]);
      }
    });
  });

  test("that finds its name in use among v1 cgroups says so, and nothing of it stays", async (context) => {
    const [parent] = V1;
    if (parent === undefined) return context.skip("this host has no v1 hierarchy");
    await withPool(async (runtime, stateDir) => {
      const spec = host.spec(["true"]);
      const used = join(parent, spec.id, "used");
      mkdirSync(used, { recursive: true });
      try {
        const result = await runtime.start(spec);
        expect(result).toMatchObject({ ok: false, error: { stage: "cgroup.create" } });
        expect(result.ok ? "" : result.error.detail).toContain(spec.id);
      } finally {
        for (const path of [used, join(parent, spec.id)]) if (existsSync(path)) rmdirSync(path);
      }
      await eventually(() => ready(stateDir).length === SIZE && cgroupsAhead().length === SIZE * V1.length);
      expect(host.cgroupsOf(spec.id)).toEqual([]);
    });
  });

  test("makes the same container as a start without it, mounts and masks and sysctls included", async () => {
    const script =
      "awk '{ print $4, $5, $6 }' /proc/self/mountinfo | sort; ls -ln /dev; ls -ldn /dev/shm /dev/mqueue /proc/kcore /proc/keys /proc/acpi; " +
      "grep -E 'Cap|Seccomp|NoNew|SigBlk|SigIgn' /proc/self/status; cat /proc/sys/kernel/shmmax /proc/sys/net/ipv4/ping_group_range; " +
      "ls /proc/self/fd; head -c 1 /proc/keys; echo 1 > /proc/sys/kernel/shmmax; mount -t tmpfs none /proc; id; hostname; ip addr";
    await withPool(async (runtime, stateDir) => {
      const outputs: string[] = [];
      const queues = { kind: "mqueue" as const, target: "/dev/mqueue", readOnly: true };
      for (const own of [[], [queues]])
        for (const sized of [host.runtime, runtime]) {
          const spec = {
            ...host.spec(["sh", "-c", `exec 2>&1; ${script}`]),
            sysctls: { "kernel.shmmax": "12345678" },
            mounts: [{ kind: "proc" as const, target: "/other" }, ...own],
          };
          const result = await sized.start(spec);
          if (!result.ok) throw new Error(JSON.stringify(result.error));
          await result.value.exited;
          outputs.push((await outputOf(result.value)).replace(/ [A-Z][a-z]{2} +\d+ \d\d:\d\d /g, " "));
          await result.value.remove();
        }
      expect(outputs[0]).toContain("12345678");
      expect(outputs[0]).toMatch(/^drwxrwxrwt +2 0 +0 .*\/dev\/mqueue$/m);
      expect(outputs[1]).toBe(outputs[0]);
      expect(outputs[2]).toMatch(/^\/ \/dev\/mqueue ro/m);
      expect(outputs[3]).toBe(outputs[2]);
      await eventually(() => ready(stateDir).length === SIZE);
    });
  });

  test("whose prepared namespaces were lost starts containers all the same", async () => {
    await withPool(async (runtime, stateDir) => {
      for (const pid of waiting(stateDir)) process.kill(stemOf(pid), "SIGKILL");
      for (let i = 0; i <= SIZE; i += 1) await runTrue(runtime);
      await eventually(() => ready(stateDir).length === SIZE);
    });
  });

  /* Standing still it was told to give birth already, and the root file system was made meanwhile. */
  test("whose prepared namespaces are lost in the middle of a start starts that container all the same", async () => {
    await withPool(async (runtime, stateDir) => {
      const stems = stopStems(stateDir);
      const spec = host.spec(["sh", "-c", "echo x > /written; cat /written; ls -ln /dev/null /dev/shm"]);
      const start = runtime.start(spec);
      const directory = join(stateDir, spec.id);
      const supervisor = await atBirth([...stems.keys()], directory, () => existsSync(join(directory, DIRTY)));
      for (const [pid, stem] of stems) process.kill(stem, pid === supervisor ? "SIGKILL" : "SIGCONT");
      const result = await start;
      if (!result.ok) throw new Error(JSON.stringify(result.error));
      expect(await result.value.exited).toMatchObject({ code: 0, cause: "exited" });
      expect(await outputOf(result.value)).toMatch(/^x\n/);
      await result.value.remove();
      await eventually(() => ready(stateDir).length === SIZE);
    });
  });

  test("whose prepared namespaces were lost does not do without a limit that is refused", async (context) => {
    const cpu = layout.hierarchies.find(({ version, controllers }) => version === 1 && controllers.includes("cpu"));
    if (cpu === undefined) return context.skip("this host has no v1 hierarchy of processors");
    const parent = join(cpu.path, host.cgroupParent);
    const spec = host.spec(["true"]);
    await withPool(async (runtime, stateDir) => {
      const stems = stopStems(stateDir);
      /* Less than what the container asks for. */
      writeFileSync(join(parent, "cpu.cfs_quota_us"), "10000");
      try {
        const start = runtime.start({ ...spec, limits: { ...spec.limits, cpuLimitMillis: 1000 } });
        const directory = join(stateDir, spec.id);
        const supervisor = await atBirth([...stems.keys()], directory, () => existsSync(join(directory, DIRTY)));
        for (const [pid, stem] of stems) process.kill(stem, pid === supervisor ? "SIGKILL" : "SIGCONT");
        expect(await start).toMatchObject({ ok: false, error: { stage: "cgroup.limit", code: "EINVAL" } });
      } finally {
        writeFileSync(join(parent, "cpu.cfs_quota_us"), "-1");
      }
      expect(existsSync(join(stateDir, spec.id))).toBe(false);
      expect(host.cgroupsOf(spec.id)).toEqual([]);
    });
  });

  test("says what it could not make, also to an init that is born after that", async () => {
    await withPool(async (runtime, stateDir) => {
      const stems = stopStems(stateDir);
      const mounts = [{ source: join(host.directory, "nowhere"), target: "/x", readOnly: true }];
      const spec = host.spec(["true"], { mounts });
      const start = runtime.start(spec);
      const directory = join(stateDir, spec.id);
      const supervisor = await atBirth([...stems.keys()], directory, () => existsSync(join(directory, DIRTY)));
      /* It learns of the birth when init has gone as far as it gets. */
      process.kill(supervisor, "SIGSTOP");
      for (const stem of stems.values()) process.kill(stem, "SIGCONT");
      await eventually(() => {
        const init = childrenOf(supervisor).find((pid) => pid !== stems.get(supervisor));
        return init !== undefined && /^[SZ]$/.test(stateOf(init));
      });
      process.kill(supervisor, "SIGCONT");
      expect(await start).toMatchObject({ ok: false, error: { stage: "mount.bind", code: "ENOENT" } });
    });
  });

  /* It shares the descriptors of its supervisor, and knows some of them by number. */
  test("whose stem is late, as on a busy host, leaves alone what its supervisor has opened meanwhile", async () => {
    await withPool(async (runtime, stateDir) => {
      const supervisors = await hold(tools, waiting(stateDir), "fsopen");
      const stems = await hold(tools, waiting(stateDir).map(stemOf), "write");
      const spec = host.spec(["true"]);
      const starting = runtime.start(spec);
      const said: string[] = [];
      const clients: Socket[] = [];
      try {
        const [supervisor, stem] = await Promise.all([supervisors.held, stems.held]);
        const init = childrenOf(supervisor).find((pid) => pid !== stem) ?? 0;
        process.kill(init, "SIGSTOP");
        await supervisors.release();
        const sockets = (): number =>
          readdirSync(`/proc/${supervisor}/fd`).filter((fd) => {
            return readlinkSync(`/proc/${supervisor}/fd/${fd}`).startsWith("socket:");
          }).length;
        const path = join(stateDir, spec.id, "control.sock");
        const before = sockets();
        for (let i = 0; i < 12; i += 1) {
          const client = connect(path);
          client.on("data", (bytes) => said.push(bytes.toString("hex")));
          clients.push(client);
        }
        await eventually(() => sockets() > before + clients.length / 2);
        await stems.release();
        await eventually(() => !isAlive(stem));
        await sleep(100);
        process.kill(init, "SIGCONT");
      } finally {
        await Promise.all([supervisors.release(), stems.release()]);
        for (const client of clients) client.destroy();
      }
      const result = await starting;
      if (!result.ok) throw new Error(JSON.stringify(result.error));
      expect(await result.value.exited).toMatchObject({ code: 0 });
      expect(said).toEqual([]);
      await result.value.remove();
    });
  });

  test("says of a memory limit that init has used up before it is set what it says of one that kills", async (context) => {
    const memory = layout.hierarchies.find(({ controllers }) => controllers.includes("memory"));
    context.skip(memory?.version !== 1, "this host has its memory limit before anybody is born");
    context.skip(process.arch !== "x64", "elsewhere other things are renamed by the same call");
    await withPool(async (runtime, stateDir) => {
      const supervisors = await hold(tools, waiting(stateDir), "rename");
      const spec = host.spec(["true"]);
      const starting = runtime.start({ ...spec, limits: { ...spec.limits, memoryBytes: 65_536 } });
      try {
        const supervisor = await supervisors.held;
        await eventually(() => isSetUp(childrenOf(supervisor).at(-1) ?? 0));
      } finally {
        await supervisors.release();
      }
      const detail = "the memory limit is too small to start anything";
      expect(await starting).toMatchObject({ ok: false, error: { stage: "init", code: "ENOMEM", detail } });
      expect(host.cgroupsOf(spec.id)).toEqual([]);
    });
  });

  /* It has told by then that it entered its root, and its supervisor has not heard of that. */
  test.each([
    ["that has ended", { stage: "init", detail: "killed during the start" }],
    ["whose network cannot be made", { stage: "net.plug", code: "ENOSYS" }],
  ])("says of an init %s just that, whatever it has told before", async (what, error) => {
    await withPool(async (runtime, stateDir) => {
      const supervisors = await hold(tools, waiting(stateDir), "sendto");
      const spec = host.spec(["true"], { network: { kind: "routed", address: `10.253.${process.pid % 250}.2` } });
      const starting = runtime.start(spec);
      try {
        const supervisor = await supervisors.held;
        const init = childrenOf(supervisor).at(-1)!;
        await eventually(() => existsSync(`/proc/${init}/root/bin`) && stateOf(init) === "S");
        if (what === "that has ended") {
          process.kill(init, "SIGKILL");
          await eventually(() => stateOf(init) === "Z");
        } else {
          supervisors.fail();
          await eventually(() => !existsSync(`/proc/${init}`));
        }
      } finally {
        await supervisors.release();
      }
      expect(await starting).toMatchObject({ ok: false, error });
      expect(host.cgroupsOf(spec.id)).toEqual([]);
    });
  });

  test("leaves nobody in the namespaces of a start that failed when the last hooks run", async () => {
    const hook = join(host.directory, "hook");
    writeFileSync(hook, '#!/bin/sh\nread children < /proc/$PPID/task/$PPID/children; echo "$$: $children" > "$1"\n');
    chmodSync(hook, 0o755);
    await withPool(
      async (runtime) => {
        const told = join(host.directory, "children");
        const mounts = [{ source: join(host.directory, "nowhere"), target: "/x", readOnly: true }];
        const hooks = { stopped: [{ command: [hook, told] }] };
        const result = await runtime.start(host.spec(["true"], { mounts, hooks }));
        expect(result).toMatchObject({ ok: false, error: { stage: "mount.bind", code: "ENOENT" } });
        const [own, children] = readFileSync(told, "utf8").trim().split(": ");
        expect(children).toBe(own);
      },
      { allow: { hooks: [hook] } },
    );
  });

  test("makes no cpusets, which take nobody before they have processors", async (context) => {
    const cpuset = layout.onDemand.find(({ version, controllers }) => version === 1 && controllers.includes("cpuset"));
    if (cpuset === undefined) return context.skip("this host has no v1 hierarchy of cpusets");
    /* As where it is mounted together with what every container needs. */
    const onDemand = layout.onDemand.filter((other) => other !== cpuset);
    const cgroupLayout = { ...layout, hierarchies: [...layout.hierarchies, cpuset], onDemand };
    await withPool(
      async (runtime) => {
        const here = readdirSync(join(cpuset.path, host.cgroupParent));
        expect(here.filter((name) => name.startsWith(".standby-"))).toEqual([]);
        for (let i = 0; i < 2 * SIZE; i += 1) await runTrue(runtime);
      },
      { cgroupLayout },
    );
  });

  test("on a full disk leaves nothing of a start, and starts again when there is room", async () => {
    const disk = join(host.directory, "full-disk");
    mkdirSync(disk);
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=1m", "full", disk]);
    try {
      await withPool(
        async (runtime, stateDir) => {
          const names = (): string[] => readdirSync(stateDir).filter((name) => !name.startsWith("."));
          expect(() => writeFileSync(join(disk, "fill"), Buffer.alloc(1 << 21))).toThrow(/ENOSPC/);
          expect(await runtime.start(host.spec(["true"]))).toMatchObject({ ok: false, error: { code: "ENOSPC" } });
          expect(names()).toEqual([]);
          rmSync(join(disk, "fill"));
          await runTrue(runtime);
        },
        { stateDir: join(disk, "state") },
      );
    } finally {
      execFileSync("umount", ["-l", disk]);
    }
  });

  test("that is empty costs a start nothing: a burst is served all the same, and no descriptor is lost", async () => {
    await withPool(async (runtime, stateDir) => {
      const open = (): number => readdirSync("/proc/self/fd").length;
      await Promise.all(Array.from({ length: 12 }, () => runTrue(runtime)));
      await eventually(() => ready(stateDir).length === SIZE);
      const before = open();
      for (let i = 0; i < 3; i += 1) await Promise.all(Array.from({ length: 12 }, () => runTrue(runtime)));
      await eventually(() => waiting(stateDir).length === SIZE && open() <= before);
    });
  });

  /* Standing still they take the claim, and are killed before they have seen it. */
  test("whose supervisors are killed right after their claim starts those containers all the same, and once", async () => {
    await withPool(async (runtime, stateDir) => {
      const supervisors = waiting(stateDir);
      for (const pid of supervisors) process.kill(pid, "SIGSTOP");
      /* What both a first and a second life would leave. */
      const witness = mkdtempSync(join(host.directory, "witness-"));
      chmodSync(witness, 0o777);
      const mounts = [{ source: witness, target: "/witness", readOnly: false }];
      const specs = supervisors.map(() => host.spec(["sh", "-c", "mktemp /witness/XXXXXX; echo once"], { mounts }));
      const starts = specs.map((spec) => runtime.start(spec));
      await eventually(() => specs.every(({ id }) => existsSync(join(stateDir, id))));
      for (const pid of supervisors) process.kill(pid, "SIGKILL");
      for (const result of await Promise.all(starts)) {
        if (!result.ok) throw new Error(JSON.stringify(result.error));
        expect(await result.value.exited).toMatchObject({ code: 0, cause: "exited" });
        expect(await outputOf(result.value)).toMatch(/^\/witness\/\w+\nonce\n$/);
        await result.value.remove();
      }
      expect(readdirSync(witness)).toHaveLength(specs.length);
      await eventually(() => ready(stateDir).length === SIZE);
    });
  });

  test("whose supervisor is killed in the middle of a start leaves no cgroup without a name", async () => {
    await withPool(async (runtime, stateDir) => {
      const supervisors = await hold(tools, waiting(stateDir), "fsopen");
      const starting = runtime.start(host.spec(["sleep", "1000"]));
      const killed = await supervisors.held;
      process.kill(killed, "SIGKILL");
      await supervisors.release();
      const result = await starting;
      if (!result.ok) throw new Error(JSON.stringify(result.error));
      expect(await result.value.exited).toMatchObject({ cause: "supervisor_lost" });
      await result.value.remove();
      expect(cgroupsAhead().filter((path) => path.endsWith(`-${killed}`))).toEqual([]);
    });
  });

  test("never lets an id start twice, and lets go of the supervisor that had read its spec", async () => {
    await withPool(async (runtime, stateDir) => {
      const spec = host.spec(["true"]);
      const first = await runtime.start(spec);
      if (!first.ok) throw new Error(JSON.stringify(first.error));
      await first.value.exited;
      const second = await runtime.start(spec);
      expect(second.ok ? "started twice" : second.error.code).toMatch(/^(EEXIST|EBUSY)$/);
      await eventually(() => ready(stateDir).length === SIZE);
      expect(slots(stateDir)).toHaveLength(SIZE);
      await first.value.remove();
    });
  });

  test("whose supervisors were killed starts containers as before", async () => {
    await withPool(async (runtime, stateDir) => {
      const supervisors = waiting(stateDir);
      const all = [...supervisors, ...supervisors.map((pid) => stemOf(pid))];
      for (const pid of supervisors) process.kill(pid, "SIGKILL");
      await eventually(() => !all.some((pid) => isAlive(pid)));
      for (let i = 0; i <= SIZE; i += 1) await runTrue(runtime);
      await eventually(() => ready(stateDir).length === SIZE);
    });
  });
});

test.each([0, SIZE])(
  "closed while containers start: each is begun or refused, and its start says so, with %i on standby",
  async (standby) => {
    const stateDir = join(host.directory, `closing-${standby}`);
    const open = (): Promise<Runtime> => openRuntime({ stateDir, cgroupParent: host.cgroupParent, standby });
    const runtime = await open();
    await runtime.adopt();
    await eventually(() => ready(stateDir).length === standby);
    const specs = Array.from({ length: 24 }, () => host.spec(["sleep", "1000"]));
    const refused = new Set<string>();
    const errors: unknown[] = [];
    const starting = specs.map(async (spec) => {
      const result = await runtime.start(spec);
      if (result.ok) return;
      refused.add(spec.id);
      errors.push(result.error);
    });
    const starts = Promise.allSettled(starting);
    await eventually(() => readdirSync(stateDir).some((name) => !name.startsWith(".")));
    await runtime.close();
    const cutOff = (await starts).filter((start) => start.status === "rejected");
    expect(cutOff.length).toBeGreaterThan(0);
    for (const { reason } of cutOff)
      expect(reason).toMatchObject({
        error: { code: "ECANCELED", detail: expect.stringContaining("the next one finds it") },
      });

    const next = await open();
    try {
      const found = await next.adopt();
      expect(errors).toEqual(errors.map(() => expect.objectContaining({ code: "ECANCELED" })));
      expect(found.map(({ id }) => id)).toEqual(specs.flatMap(({ id }) => (refused.has(id) ? [] : [id])).sort());
      for (const one of found) {
        if (one.kind !== "running") continue;
        await one.container.stop({ signal: 9, graceMs: 10_000 });
        await one.container.remove();
      }
    } finally {
      await next.close();
    }
  },
);

test("killed with its agent nothing stays: the processes end by themselves, the next agent removes the directories", async () => {
  const stateDir = join(host.directory, "pool-killed");
  const script = `import { openRuntime } from ${JSON.stringify(new URL("../lib/index.ts", import.meta.url).pathname)};
    const runtime = await openRuntime(${JSON.stringify({ stateDir, cgroupParent: host.cgroupParent, standby: SIZE })});
    await runtime.adopt();
    setInterval(() => undefined, 1000);`;
  const agent = spawn(process.execPath, ["--import", "tsx", "--input-type=module", "-e", script], { stdio: "inherit" });
  try {
    await eventually(() => existsSync(stateDir) && waiting(stateDir).length === SIZE);
  } finally {
    agent.kill("SIGKILL");
  }
  await eventually(() => !isAlive(agent.pid ?? 0) && waiting(stateDir).length === 0);
  expect(slots(stateDir).length).toBeGreaterThanOrEqual(SIZE);
  const runtime = await openRuntime({ stateDir, cgroupParent: host.cgroupParent });
  for (const parent of V1) mkdirSync(join(parent, ".standby-1"));
  expect(await runtime.adopt()).toEqual([]);
  expect(slots(stateDir)).toEqual([]);
  expect(cgroupsAhead()).toEqual([]);
  await runtime.close();
});

test("a size that cannot be is refused", async () => {
  const open = openRuntime({ stateDir: "/tmp/never", cgroupParent: host.cgroupParent, standby: 65 });
  await expect(open).rejects.toThrow(/standby must be a whole number in 0..64, not 65/);
});
