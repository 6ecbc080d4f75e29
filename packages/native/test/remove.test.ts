/** Removal where the supervisor does not do its part: it stands still, or met a cgroup that was not its own. */
import { execFileSync, spawn } from "node:child_process";
import { existsSync, linkSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { openRuntime, removeTree, type Container, type Runtime } from "../lib/index.ts";
import { eventually, layout, processExists, supervisorOf, testHost } from "./host.ts";
import { basic } from "./resources/host.ts";

const host = testHost();
const stopped: number[] = [];
const runtimes: Runtime[] = [];

afterEach(async () => {
  for (const pid of stopped.splice(0)) if (processExists(pid)) process.kill(pid, "SIGCONT");
  for (const runtime of runtimes.splice(0)) await runtime.close();
});

const standStill = (pid: number): void => {
  process.kill(pid, "SIGSTOP");
  stopped.push(pid);
};

/** Its supervisor has told the end, and goes no further. */
const endedButStanding = async (before?: (container: Container) => Promise<unknown>): Promise<Container> => {
  const container = await host.start(["sleep", "1000"]);
  await before?.(container);
  const supervisor = supervisorOf(container.pid ?? 0);
  void container.signal(9);
  await container.exited;
  /* It waits a moment for this agent to close. */
  standStill(supervisor);
  return container;
};

test("supervisors that stand still at their end do not keep this process from its files", async () => {
  /* As many as libuv has threads. */
  const containers = await Promise.all(Array.from({ length: 4 }, () => endedButStanding()));
  const supervisors = stopped.slice();
  let settled = 0;
  const removals = containers.map((container) => container.remove().finally(() => (settled += 1)));
  for (let i = 0; i < 20; i += 1) await readFile("/proc/self/stat");
  expect(settled).toBe(0);
  for (const pid of supervisors) process.kill(pid, "SIGCONT");
  await Promise.all(removals);
  for (const { id } of containers) {
    expect(existsSync(join(host.stateDir, id))).toBe(false);
    expect(host.cgroupsOf(id)).toEqual([]);
  }
  for (const pid of supervisors) expect(processExists(pid)).toBe(false);
});

test("nor do directories with very many files, though all of them go", async () => {
  const trees = [1, 2, 3, 4].map((n) => join(host.directory, `tree-${n}`));
  for (const tree of trees) {
    mkdirSync(join(tree, "deep/er"), { recursive: true });
    writeFileSync(join(tree, "deep/er/file"), "");
    for (let i = 0; i < 20_000; i += 1) linkSync(join(tree, "deep/er/file"), join(tree, `link-${i}`));
  }
  let settled = 0;
  const removals = trees.map((tree) => removeTree(tree).finally(() => (settled += 1)));
  for (let i = 0; i < 3; i += 1) await stat(host.directory);
  expect(settled).toBe(0);
  await Promise.all(removals);
  for (const tree of trees) expect(existsSync(tree)).toBe(false);
});

test("nor does it matter what names whoever made a directory has given: also those that deep ones get on their way up", async () => {
  const trees = Array.from({ length: 20 }, (_, n) => join(host.directory, `named-${n}`));
  for (const [n, tree] of trees.entries()) {
    /* Which of them is met first is for the file system to say. */
    mkdirSync(join(tree, `deep-${n}`, ...Array.from({ length: 12 }, (_name, depth) => `${depth}`)), {
      recursive: true,
    });
    for (let i = 0; i < 10; i += 1) writeFileSync(join(tree, `~${i}`), "");
    for (let i = 10; i < 20; i += 1) symlinkSync(".", join(tree, `~${i}`));
    for (let i = 20; i < 30; i += 1) mkdirSync(join(tree, `~${i}`, "in it"), { recursive: true });
  }
  await Promise.all(trees.map((tree) => removeTree(tree)));
  expect(trees.filter((tree) => existsSync(tree))).toEqual([]);
});

test("a start that met a cgroup in use leaves none: the next one succeeds", async () => {
  const spec = host.spec(["true"]);
  const taken = join(layout.hierarchies[0]?.path ?? "", host.cgroupParent, spec.id);
  mkdirSync(taken);
  const squatter = spawn("sleep", ["1000"], { stdio: "ignore" });
  const gone = new Promise((resolve) => squatter.once("exit", resolve));
  writeFileSync(join(taken, "cgroup.procs"), String(squatter.pid));
  expect(await host.runtime.start(spec)).toMatchObject({ ok: false, error: { stage: "cgroup.create", code: "EBUSY" } });
  await gone;
  expect(host.cgroupsOf(spec.id)).toEqual([]);
  const second = await host.runtime.start(spec);
  if (!second.ok) throw new Error(JSON.stringify(second.error));
  expect(await second.value.exited).toMatchObject({ code: 0 });
  await second.value.remove();
});

test("a supervisor that does not answer is asked again through one descriptor, not through more and more", async () => {
  const stateDir = join(host.directory, "silent");
  const open = async () => {
    const runtime = await openRuntime({ stateDir, cgroupParent: host.cgroupParent });
    runtimes.push(runtime);
    return runtime;
  };
  const first = await open();
  const started = await first.start(host.spec(["sleep", "1000"]));
  if (!started.ok) throw new Error(JSON.stringify(started.error));
  const supervisor = supervisorOf(started.value.pid ?? 0);
  await first.close();
  standStill(supervisor);
  const second = await open();
  const descriptors = (): number => readdirSync("/proc/self/fd").length;
  const before = descriptors();
  /* It gives up on an answer twice meanwhile. */
  const [found] = await second.adopt();
  expect(found).toMatchObject({ kind: "running" });
  if (found?.kind !== "running") return;
  expect(descriptors()).toBeLessThanOrEqual(before + 1);
  process.kill(supervisor, "SIGCONT");
  await found.container.stop({ signal: 9, graceMs: 1000 });
  await found.container.remove();
});

describe("once a container is removed", () => {
  const trash = (stateDir: string): string[] => readdirSync(stateDir).filter((name) => name.startsWith(".trash-"));
  const ended = async (runtime: Runtime, script: string): Promise<Container> => {
    const result = await runtime.start(host.spec(["sh", "-c", script]));
    if (!result.ok) throw new Error(JSON.stringify(result.error));
    await result.value.exited;
    return result.value;
  };
  const end = async (runtime: Runtime, script: string): Promise<void> => {
    await (await ended(runtime, script)).remove();
  };

  test.each(["echo said", "echo written > /file", "mkdir /directory"])(
    "nothing is left of one that did: %s",
    async (script) => {
      const stateDir = join(host.directory, "filled");
      const runtime = await openRuntime({ stateDir, cgroupParent: host.cgroupParent });
      runtimes.push(runtime);
      await end(runtime, script);
      expect(trash(stateDir)).toEqual([]);
    },
  );

  test("empty directories of many are deleted in a moment, and none is left when the runtime closes", async () => {
    const stateDir = join(host.directory, "empty");
    const runtime = await openRuntime({ stateDir, cgroupParent: host.cgroupParent });
    runtimes.push(runtime);
    await end(runtime, "true");
    await eventually(() => trash(stateDir).length === 0);
    /* More than may wait at a time. */
    for (let i = 0; i < 10; i += 1) {
      await Promise.all(Array.from({ length: 8 }, () => end(runtime, "true")));
      expect(trash(stateDir).length).toBeLessThanOrEqual(72);
    }
    await runtime.close();
    expect(readdirSync(stateDir)).toEqual([".runtime"]);
  });

  test("one that cannot be deleted is tried again", async () => {
    const stateDir = join(host.directory, "in-the-way");
    const runtime = await openRuntime({ stateDir, cgroupParent: host.cgroupParent });
    runtimes.push(runtime);
    const container = await ended(runtime, "true");
    execFileSync("mount", ["-t", "tmpfs", "in-the-way", join(stateDir, container.id, "work")]);
    try {
      await container.remove();
      const [name = ""] = trash(stateDir);
      expect(name).toContain(container.id);
      /* Whose turn is not before it. */
      await end(runtime, "true");
      await eventually(() => trash(stateDir).length === 1);
      expect(trash(stateDir)).toEqual([name]);
    } finally {
      for (const name of [container.id, ...trash(stateDir)])
        if (existsSync(join(stateDir, name, "work"))) execFileSync("umount", [join(stateDir, name, "work")]);
    }
    await eventually(() => trash(stateDir).length === 0);
  });

  test("a runtime that closes waits for the removals under way, and refuses later ones", async () => {
    const stateDir = join(host.directory, "closing");
    const runtime = await openRuntime({ stateDir, cgroupParent: host.cgroupParent });
    runtimes.push(runtime);
    const containers = await Promise.all(Array.from({ length: 9 }, () => ended(runtime, "true")));
    const [late, ...others] = containers;
    const removals = Promise.allSettled(others.map((container) => container.remove()));
    await runtime.close();
    expect(trash(stateDir)).toEqual([]);
    for (const [i, settled] of (await removals).entries()) {
      const isGone = settled.status === "fulfilled";
      /* A supervisor that takes long to end is not waited for when the runtime closes: all stays as it is. */
      if (!isGone) expect(settled.reason).toMatchObject({ error: { stage: "state.lock", code: "EAGAIN" } });
      expect(existsSync(join(stateDir, others[i]?.id ?? ""))).toBe(!isGone);
    }
    await expect(late?.remove()).rejects.toMatchObject({ error: { stage: "state.remove", code: "ECANCELED" } });
  });
});

const removedByAll = async (container: Container): Promise<void> => {
  const settled = await Promise.allSettled([container.remove(), container.remove(), container.remove()]);
  expect(settled).toEqual(settled.map(() => ({ status: "fulfilled", value: undefined })));
  await container.remove();
  expect(existsSync(join(host.stateDir, container.id))).toBe(false);
  expect(host.cgroupsOf(container.id)).toEqual([]);
};

test("several who remove the same container at a time all succeed, and so does whoever comes later", async () => {
  for (let round = 0; round < 5; round += 1) {
    const container = await host.start(["true"]);
    await container.exited;
    await removedByAll(container);
  }
});

test("so they do where the supervisor has left its cgroup to them", async () => {
  /* After an update its word that nothing is left does not count. */
  const container = await endedButStanding((one) => one.update(basic));
  process.kill(stopped.pop() as number, "SIGKILL");
  /* It may have got as far as removing it. */
  const left = join(layout.hierarchies[0]?.path ?? "", host.cgroupParent, container.id);
  mkdirSync(left, { recursive: true });
  const squatter = spawn("sleep", ["1000"], { stdio: "ignore" });
  const gone = new Promise((resolve) => squatter.once("exit", resolve));
  writeFileSync(join(left, "cgroup.procs"), String(squatter.pid));
  await removedByAll(container);
  await gone;
});
