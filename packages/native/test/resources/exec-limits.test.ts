/** A program that is executed with limits of its own: the kernel holds it to them, and the container to its own. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openRuntime, type Container, type ExecLimits, type ExecProcess, type Runtime } from "../../lib/index.ts";
import type { Controller } from "../../lib/cgroup-layout.ts";
import { eventually, isAlive, layout, v1Layout } from "../host.ts";
import { basic, fieldOf, firstLine, MIB, resourceTest, updated } from "./host.ts";

const { host, layers } = resourceTest();
const kinds: readonly ("this host" | "v1 alone")[] = layout.kind === "v2" ? ["this host"] : ["this host", "v1 alone"];

/** On v2 a program keeps what it was given, and the kernel takes the smaller one of both. */
const quotaOf = (leaf: string): number => {
  const text = (name: string): string => readFileSync(join(leaf, name), "utf8");
  const [most = 0, period = 1] = existsSync(join(leaf, "cpu.max"))
    ? text("cpu.max").split(" ").map(Number)
    : [text("cpu.cfs_quota_us"), text("cpu.cfs_period_us")].map(Number);
  return Math.round((1000 * most) / period);
};

describe.each(kinds)("on %s", (kind) => {
  const cgroups = kind === "v1 alone" ? v1Layout : layout;
  let runtime: Runtime;
  let container: Container;
  let stateDir: string;
  beforeAll(async () => {
    stateDir = join(host.directory, kind === "v1 alone" ? "v1" : "own");
    runtime = await openRuntime({ stateDir, cgroupParent: host.cgroupParent, cgroupLayout: cgroups });
    const limits = { ...basic, cpuLimitMillis: 1000, memoryBytes: 128 * MIB, pids: 64 };
    const result = await runtime.start(host.spec(["sleep", "1000"], { layers: layers(), limits }));
    if (!result.ok) throw new Error(JSON.stringify(result.error));
    container = result.value;
  });
  afterAll(async () => {
    /* With all that was made below it, and one that still runs. */
    await executed(["sleep", "1000"], { pids: 8 });
    const exit = await container.stop({ signal: 15, graceMs: 5000 });
    expect(exit).toMatchObject({ code: 143, signal: 15, oom: false, cause: "signalled" });
    await container.remove();
    expect(host.cgroupsOf(container.id)).toEqual([]);
    await runtime.close();
  });

  const executed = async (command: readonly string[], limits?: ExecLimits): Promise<ExecProcess> => {
    const result = await container.exec({ command, ...(limits === undefined ? {} : { limits }) });
    if (!result.ok) throw new Error(JSON.stringify(result.error));
    result.value.stderr.resume();
    return result.value;
  };
  const placeOf = (controller: Controller): string => {
    const hierarchy = cgroups.hierarchies.find(({ controllers }) => controllers.includes(controller));
    return join(hierarchy?.path ?? "", host.cgroupParent, container.id);
  };
  const leafOf = (controller: Controller, { id }: ExecProcess): string => join(placeOf(controller), `berth-exec-${id}`);
  const leaves = (): string[] =>
    cgroups.hierarchies.flatMap(({ path }) =>
      readdirSync(join(path, host.cgroupParent, container.id)).filter((name) => name.startsWith("berth-exec-")),
    );
  /** Fails with how it ended when it says nothing. */
  const firstOf = async (program: ExecProcess): Promise<string> => {
    let text = "";
    let end: string | undefined;
    program.stdout.on("data", (chunk: Buffer) => (text += chunk.toString()));
    program.stderr.on("data", (chunk: Buffer) => (text += chunk.toString()));
    void program.exited.then((exit) => (end = `nothing: ${JSON.stringify(exit)}`));
    await eventually(() => text.includes("\n") || end !== undefined);
    return text.split("\n")[0] || (end ?? "");
  };

  test("a quota holds it back, and not what else runs there", async () => {
    const program = await executed(["probe", "spin"], { cpuLimitMillis: 100 });
    const stat = (): string => readFileSync(join(leafOf("cpu", program), "cpu.stat"), "utf8");
    const before = await container.stats();
    await eventually(() => fieldOf(stat(), "nr_throttled") > 20);
    const [periods, throttled] = ["nr_periods", "nr_throttled"].map((name) => fieldOf(stat(), name));
    await program.kill();
    const exit = await program.exited;
    /* 2 ms in each period of 20; a processor that is another machine's now and then takes longer to see that they are over. */
    expect((exit.cpuMicros ?? 0) / (periods ?? 0)).toBeLessThan(20_000 / 2);
    const after = await container.stats();
    const others = (after.cpuThrottledPeriods ?? 0) - (before.cpuThrottledPeriods ?? 0);
    expect(others).toBeLessThan((throttled ?? 0) / 2);
    await eventually(() => leaves().length === 0);
  });

  test("a share is what it gets of the container's", async () => {
    const program = await executed(["sleep", "1000"], { cpuRequestMillis: 250 });
    const file = [join(leafOf("cpu", program), "cpu.weight"), join(leafOf("cpu", program), "cpu.shares")];
    expect(readFileSync(file.find(existsSync) ?? "", "utf8").trim()).toMatch(/^(25|256)$/);
    program.close();
    await program.exited;
  });

  test("beyond its memory it is killed, with oom as the cause, and the container lives", async () => {
    const program = await executed(["probe", "hold", `${60 * MIB}`], { memoryBytes: 24 * MIB });
    expect(await program.exited).toMatchObject({ code: 137, signal: 9, oom: true, cause: "oom" });
    /* With none of its own, as with those that do not bite, the container's are what counts. */
    for (const limits of [undefined, { memoryBytes: 96 * MIB }, { memoryBytes: 512 * MIB }]) {
      const fits = await executed(["probe", "hold", `${60 * MIB}`], limits);
      expect(await firstOf(fits)).toBe("holding");
      await fits.kill();
      expect(await fits.exited).toMatchObject({ signal: 9, oom: false, cause: "signalled" });
    }
    expect(isAlive(container.pid ?? 0)).toBe(true);
  });

  test("what outlives it and is killed for its memory later is no kill of the container's either", async () => {
    const result = await runtime.start(host.spec(["sleep", "1000"], { layers: layers(), limits: basic }));
    if (!result.ok) throw new Error(JSON.stringify(result.error));
    const { value: other } = result;
    /* The program ends while the one in the background waits for its input to end. */
    const script = `mkfifo /go; setsid sh -c 'read x </go; exec probe hold ${60 * MIB}' & echo up`;
    const program = await other.exec({ command: ["sh", "-c", script], limits: { memoryBytes: 24 * MIB } });
    if (!program.ok) throw new Error(JSON.stringify(program.error));
    const memory = cgroups.hierarchies.find(({ controllers }) => controllers.includes("memory"));
    const leaf = join(memory?.path ?? "", host.cgroupParent, other.id, `berth-exec-${program.value.id}`);
    const counts = join(leaf, memory?.version === 1 ? "memory.oom_control" : "memory.events");
    program.value.stdout.resume();
    program.value.stderr.resume();
    expect(await program.value.exited).toMatchObject({ code: 0, oom: false });
    const go = await other.exec({ command: ["sh", "-c", "echo go >/go"] });
    expect(go.ok && (await go.value.exited).code).toBe(0);
    await eventually(() => fieldOf(readFileSync(counts, "utf8"), "oom_kill") === 1);
    expect(await other.stop({ signal: 9, graceMs: 5000 })).toMatchObject({
      ...{ code: 137, signal: 9, oom: false, cause: "signalled" },
    });
    await other.remove();
  });

  test("beyond its processes the kernel says EAGAIN", async () => {
    const program = await executed(["probe", "fork", "40"], { pids: 8 });
    expect(await firstOf(program)).toBe("7 Resource temporarily unavailable");
    program.close();
    await program.exited;
    const free = await executed(["probe", "fork", "20"]);
    expect(await firstOf(free)).toMatch(/^20 /);
    free.close();
    await free.exited;
  });

  test("all that it starts is held to them; what outlives it keeps them, and its cgroup goes with the next one", async () => {
    const script = "setsid sh -c 'echo up; exec sleep 1000' & wait";
    const program = await executed(["sh", "-c", script], { pids: 8, memoryBytes: 8 * MIB });
    expect(await firstOf(program)).toBe("up");
    const inside = (): number[] =>
      readFileSync(join(leafOf("pids", program), "cgroup.procs"), "utf8")
        .trim()
        .split("\n")
        .map(Number);
    expect(inside()).toHaveLength(2);
    program.close();
    await eventually(() => !isAlive(program.pid) && inside().length === 1);
    const [left = 0] = inside();
    process.kill(left, "SIGKILL");
    await eventually(() => !isAlive(left));
    const next = await executed(["true"], { pids: 8, memoryBytes: 8 * MIB });
    expect(await next.exited).toMatchObject({ code: 0 });
    await eventually(() => leaves().length === 0);
  });

  test("a process whose main thread has ended is no reason to refuse", async () => {
    const result = await runtime.start(host.spec(["probe", "headless"], { layers: layers(), limits: basic }));
    if (!result.ok) throw new Error(JSON.stringify(result.error));
    const { value: headless } = result;
    try {
      expect(await firstLine(headless)).toBe("headless");
      const program = await headless.exec({ command: ["true"], limits: { pids: 8, memoryBytes: 8 * MIB } });
      if (!program.ok) throw new Error(JSON.stringify(program.error));
      expect(await program.value.exited).toMatchObject({ code: 0 });
    } finally {
      await headless.stop({ signal: 9, graceMs: 0 });
      await headless.remove();
    }
  });

  test("the container's quota may be lowered below that of a program in it, which has its own again when there is room", async () => {
    const program = await executed(["probe", "spin"], { cpuLimitMillis: 800 });
    const leaf = leafOf("cpu", program);
    const quota = (): number => quotaOf(leaf);
    const whileLowered = (own: number): number => (existsSync(join(leaf, "cpu.max")) ? 800 : own);
    await updated(container, { cpuLimitMillis: 200, memoryBytes: 128 * MIB });
    const { cpuThrottledPeriods: before } = await container.stats();
    await eventually(async () => ((await container.stats()).cpuThrottledPeriods ?? 0) > (before ?? 0) + 3);
    expect(quota()).toBe(whileLowered(200));
    await updated(container, { cpuLimitMillis: 500, memoryBytes: 128 * MIB });
    expect(quota()).toBe(whileLowered(500));
    await updated(container, { cpuLimitMillis: 1000, memoryBytes: 128 * MIB });
    expect(quota()).toBe(800);

    const holder = await executed(["probe", "hold", `${60 * MIB}`]);
    expect(await firstOf(holder)).toBe("holding");
    const refused = await container.update({ ...basic, cpuLimitMillis: 200, memoryBytes: 16 * MIB, pids: 64 });
    expect(refused).toMatchObject({ ok: false, error: { stage: "cgroup.limit" } });
    expect(quota()).toBe(800);
    for (const one of [holder, program]) {
      one.close();
      await one.exited;
    }
    const beyond = await executed(["true"], { cpuLimitMillis: 1900 });
    expect(await beyond.exited).toMatchObject({ code: 0 });
  });

  test("what a program left behind has its own quota again under a later agent, when there is room", async () => {
    const program = await executed(["sh", "-c", "setsid sh -c 'echo up; exec sleep 1000' & wait"], {
      cpuLimitMillis: 800,
    });
    expect(await firstOf(program)).toBe("up");
    const leaf = leafOf("cpu", program);
    program.close();
    await program.exited;
    await updated(container, { cpuLimitMillis: 200, memoryBytes: 128 * MIB });
    expect(quotaOf(leaf)).toBe(existsSync(join(leaf, "cpu.max")) ? 800 : 200);
    await runtime.close();
    runtime = await openRuntime({ stateDir, cgroupParent: host.cgroupParent, cgroupLayout: cgroups });
    const [found] = await runtime.adopt();
    if (found?.kind !== "running") throw new Error(`found ${found?.kind}`);
    container = found.container;
    await updated(container, { cpuLimitMillis: 1000, memoryBytes: 128 * MIB });
    expect(quotaOf(leaf)).toBe(800);
    /* Killed by an agent that was in the middle of lowering it: noted, done below, and not yet above. */
    const noted = join(stateDir, container.id, "limits");
    const { resources } = JSON.parse(readFileSync(noted, "utf8")) as { resources: object };
    await updated(container, { cpuLimitMillis: 200, memoryBytes: 128 * MIB });
    const half = JSON.parse(readFileSync(noted, "utf8")) as { resources: object; lowered?: object[] };
    expect(half.lowered?.length ?? 0).toBe(existsSync(join(leaf, "cpu.max")) ? 0 : 1);
    await runtime.close();
    writeFileSync(noted, JSON.stringify({ ...half, resources, next: half.resources }));
    runtime = await openRuntime({ stateDir, cgroupParent: host.cgroupParent, cgroupLayout: cgroups });
    const [again] = await runtime.adopt();
    if (again?.kind !== "running") throw new Error(`found ${again?.kind}`);
    container = again.container;
    expect([container.limits?.cpuLimitMillis, quotaOf(leaf)]).toEqual([1000, 800]);
    expect(JSON.parse(readFileSync(noted, "utf8"))).not.toHaveProperty("lowered");
    for (const pid of readFileSync(join(leaf, "cgroup.procs"), "utf8").trim().split("\n"))
      process.kill(Number(pid), "SIGKILL");
  });

  test("an update that was interrupted and cannot be taken back is noted as it was, where a program has more than before", async () => {
    const own = join(host.directory, `${kind}-in-doubt`);
    const open = () => openRuntime({ stateDir: own, cgroupParent: host.cgroupParent, cgroupLayout: cgroups });
    let agent = await open();
    /* As if it had had little, was given more, used it, and the agent was killed before it could note that. */
    const next = { ...basic, cpuLimitMillis: 1000 };
    const resources = { ...next, cpuLimitMillis: 200, memoryBytes: 8 * MIB };
    const command = ["probe", "hold", `${40 * MIB}`];
    const result = await agent.start(host.spec(command, { layers: layers(), limits: next }));
    if (!result.ok) throw new Error(JSON.stringify(result.error));
    const { id } = result.value;
    expect(await firstLine(result.value)).toBe("holding");
    const program = await result.value.exec({ command: ["sleep", "1000"], limits: { cpuLimitMillis: 800 } });
    if (!program.ok) throw new Error(JSON.stringify(program.error));
    const cpu = cgroups.hierarchies.find(({ controllers }) => controllers.includes("cpu"))?.path ?? "";
    const leaf = join(cpu, host.cgroupParent, id, `berth-exec-${program.value.id}`);
    const noted = join(own, id, "limits");
    writeFileSync(noted, JSON.stringify({ version: 1, resources, next }));
    for (let life = 0; life < 2; life += 1) {
      await agent.close();
      agent = await open();
      const [found] = await agent.adopt();
      if (found?.kind !== "running") throw new Error(`found ${found?.kind}`);
      expect([found.container.limits, found.container.limitsInDoubt, quotaOf(leaf)]).toEqual([resources, true, 800]);
      expect(JSON.parse(readFileSync(noted, "utf8"))).toMatchObject({ resources, next });
      if (life === 0) continue;
      await found.container.stop({ signal: 9, graceMs: 0 });
      await found.container.remove();
    }
    await agent.close();
  });

  test("programs start and end while the container's quota is lowered and raised, and neither fails by the other", async () => {
    for (let round = 0; round < 20; round += 1) {
      const cpuLimitMillis = round % 2 === 0 ? 100 : 1000;
      const programs = Array.from({ length: 6 }, () => executed(["true"], { cpuLimitMillis: 800 }));
      await updated(container, { cpuLimitMillis, memoryBytes: 128 * MIB });
      for (const program of await Promise.all(programs)) expect(await program.exited).toMatchObject({ code: 0 });
    }
  });

  test("pauses and goes on with the container", async () => {
    const program = await executed(["probe", "spin"], { cpuLimitMillis: 500 });
    const used = (): string => readFileSync(`/proc/${program.pid}/schedstat`, "utf8").split(" ")[0] ?? "";
    await container.pause();
    const still = used();
    await new Promise((resolve) => setTimeout(resolve, 60));
    expect(used()).toBe(still);
    await container.resume();
    await eventually(() => used() !== still);
    program.close();
    await program.exited;
  });

  test.each([
    [{ pids: 0 }, /^pids: 0 is not in/],
    [{ memoryBytes: 1 }, /^memoryBytes: 1 is not in/],
    [{ cpuLimitMillis: null }, /^cpuLimitMillis: NaN is not in/],
    [{ cpuLimitMillis: "1" }, /^cpuLimitMillis: /],
    [{ cpuLimit: 5 }, /^limits: "cpuLimit" is not known/],
    ["100", /^limits: "100" is not an object/],
  ])("%j is refused by its name", async (limits, detail) => {
    const result = await container.exec({ command: ["true"], limits: limits as ExecLimits });
    expect(result).toMatchObject({ ok: false, error: { stage: "spec", detail: expect.stringMatching(detail) } });
  });
});
