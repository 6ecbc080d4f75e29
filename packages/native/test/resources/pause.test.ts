/** Paused means that nothing runs; and whatever it is doing, a container can be stopped. */
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openRuntime, type Container, type Runtime } from "../../lib/index.ts";
import { eventually, isAlive, layout, outputOf, processesWith, testHost, v1Layout, compileC } from "../host.ts";

const host = testHost();
const kinds: readonly ("this host" | "v1 alone")[] = layout.kind === "v2" ? ["this host"] : ["this host", "v1 alone"];
const tools = join(host.directory, "tools");

beforeAll(() => {
  mkdirSync(join(tools, "bin"), { recursive: true });
  /* Every process forks for ever; those that were refused try again. All ignore whatever can be ignored. */
  compileC(
    `#include <signal.h>
     #include <unistd.h>
     int main(void) { for (int i = 1; i < 32; i++) signal(i, SIG_IGN); for (;;) fork(); }`,
    join(tools, "bin/bomb"),
  );
  /* Children that end at once and are never waited for, below a parent that ignores SIGTERM. */
  compileC(
    `#include <signal.h>
     #include <unistd.h>
     int main(void) { signal(SIGTERM, SIG_IGN); for (int i = 0; i < 40; i++) if (!fork()) _exit(0); write(1, "x\\n", 2); for (;;) pause(); }`,
    join(tools, "bin/zombies"),
  );
  compileC(
    `#include <stdio.h>
     #include <unistd.h>
     int main(void) { for (long n = 0;; n++) { usleep(1000); if (n % 10 == 0) { printf("%ld\\n", n); fflush(stdout); } } }`,
    join(tools, "bin/tick"),
  );
});

describe.each(kinds)("on %s", (kind) => {
  let runtime: Runtime;
  const stateDir = join(host.directory, kind === "v1 alone" ? "v1" : "own");
  const open = () =>
    openRuntime({
      stateDir,
      cgroupParent: host.cgroupParent,
      ...(kind === "v1 alone" ? { cgroupLayout: v1Layout } : {}),
    });
  beforeAll(async () => {
    runtime = await open();
  });
  afterAll(async () => {
    await runtime.close();
  });
  const start = async (command: readonly string[], pids = 64): Promise<Container> => {
    /* A quota only for the sake of whoever shares this machine. */
    const limits = { cpuRequestMillis: 100, cpuLimitMillis: 1000, memoryBytes: 96 * 2 ** 20, pids };
    const result = await runtime.start(host.spec(command, { layers: [tools, host.image], limits }));
    if (!result.ok) throw new Error(JSON.stringify(result.error));
    return result.value;
  };
  const gone = async (container: Container, marker: string) => {
    await container.remove();
    expect(processesWith(marker)).toEqual([]);
    expect(host.cgroupsOf(container.id)).toEqual([]);
  };
  const switches = (pid: number) =>
    /^voluntary_ctxt_switches:.*$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[0];

  test("a paused container does nothing until it is resumed", async () => {
    const container = await start(["tick"]);
    await eventually(async () => (await outputOf(container)) !== "");
    expect([await container.isPaused(), (await container.stats()).paused]).toEqual([false, false]);
    await container.pause();
    expect([await container.isPaused(), (await container.stats()).paused]).toEqual([true, true]);
    const before = switches(container.pid ?? 0);
    await new Promise((resolve) => setTimeout(resolve, 150));
    expect(switches(container.pid ?? 0)).toBe(before);
    await container.pause();
    await container.resume();
    expect([await container.isPaused(), (await container.stats()).paused]).toEqual([false, false]);
    await eventually(() => switches(container.pid ?? 0) !== before);
    await container.resume();
    await container.stop({ signal: 9, graceMs: 0 });
    await expect(container.pause()).rejects.toMatchObject({ error: { stage: "cgroup.freeze", code: "ESRCH" } });
    expect(await container.isPaused()).toBe(false);
    await gone(container, "tick");
  });

  test("it stays paused while no agent is there, and the next one sees it", async () => {
    const { id } = await start(["tick"]).then(async (container) => {
      await container.pause();
      return container;
    });
    await runtime.close();
    runtime = await open();
    const found = (await runtime.adopt()).find((candidate) => candidate.id === id);
    if (found?.kind !== "running") throw new Error("it is gone");
    expect(await found.container.isPaused()).toBe(true);
    await found.container.resume();
    expect(await found.container.isPaused()).toBe(false);
    await found.container.stop({ signal: 9, graceMs: 0 });
    await gone(found.container, "tick");
  });

  test("a paused container that is stopped gets its signal and its grace", async () => {
    const container = await start(["sh", "-c", "trap 'exit 7' TERM; echo ready; while :; do sleep 0.02; done"]);
    await eventually(async () => (await outputOf(container)) === "ready\n");
    await container.pause();
    expect(await container.stop({ signal: 15, graceMs: 30_000 })).toMatchObject({ code: 7, signal: null });
    await gone(container, "echo ready");
  });

  test("a paused container without grace is killed, and runs no further instruction", async () => {
    const container = await start(["tick"]);
    await eventually(async () => (await outputOf(container)) !== "");
    await container.pause();
    const before = await outputOf(container);
    expect(await container.stop({ signal: 15, graceMs: 0 })).toMatchObject({ code: 137, signal: 9 });
    expect(await outputOf(container)).toBe(before);
    await gone(container, "tick");
  });

  test.each([
    ["running", 100],
    ["paused", 100],
  ] as const)("a fork bomb at its limit of processes, %s, is gone when stop returns", async (state, pids) => {
    const marker = `bomb-${kind.replace(" ", "")}-${state}`;
    const container = await start(["bomb", marker], pids);
    await eventually(async () => (await container.stats()).pids >= pids);
    if (state === "paused") await container.pause();
    const exit = await container.stop({ signal: 15, graceMs: state === "paused" ? 0 : 50 });
    expect(exit).toMatchObject({ code: 137, signal: 9 });
    expect(processesWith(marker).filter(isAlive)).toEqual([]);
    await gone(container, marker);
  });

  test("zombies and parents that ignore SIGTERM, below each other, are gone when stop returns", async () => {
    const marker = `deep-${kind.replace(" ", "")}`;
    const nested = `trap '' TERM; zombies ${marker} & sh -c "trap '' TERM; setsid zombies ${marker} & setsid zombies ${marker} & wait" & wait`;
    const container = await start(["sh", "-c", nested], 300);
    await eventually(async () => (await outputOf(container)) === "x\nx\nx\n");
    expect((await container.stats()).pids).toBeGreaterThan(3);
    expect(await container.stop({ signal: 15, graceMs: 50 })).toMatchObject({ code: 137, signal: 9 });
    await gone(container, marker);
  });
});
