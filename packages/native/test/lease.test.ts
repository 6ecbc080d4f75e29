/** Leases: a container that nobody renews is stopped by its supervisor, whatever has become of whoever started it. */
import { uptime } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { eventually, outputOf, processExists, testHost } from "./host.ts";

const host = testHost();
const other = testHost();
const inMs = (ms: number): number => Math.round(uptime() * 1000) + ms;
const lease = (ms: number, graceMs: number) => ({ lease: { untilMs: inMs(ms), graceMs } });
const trap = ["sh", "-c", "trap 'echo told; exit 0' TERM; while :; do sleep 0.02; done"];
const deaf = ["sh", "-c", "trap '' TERM; while :; do sleep 0.02; done"];

describe("a container with a lease", () => {
  test("is stopped when it ends, and may use its grace", async () => {
    const container = await host.start(trap, lease(500, 60_000));
    expect(await container.exited).toMatchObject({ code: 0, cause: "lease_ended" });
    expect(await outputOf(container)).toBe("told\n");
    await container.remove();
  });

  test("is killed when the grace has passed, also while it is paused", async () => {
    const [killed, paused] = await Promise.all([host.start(deaf, lease(300, 300)), host.start(deaf, lease(300, 300))]);
    await paused.pause();
    for (const container of [killed, paused]) {
      expect(await container.exited).toMatchObject({ code: 137, signal: 9, cause: "lease_ended" });
      await container.remove();
    }
  });

  test("goes on while it is renewed, and not for longer", async () => {
    const container = await host.start(trap, lease(500, 5_000));
    for (let round = 0; round < 5; round += 1) {
      await container.renew(inMs(500));
      await sleep(200);
    }
    // An earlier time than the one it has changes nothing.
    await container.renew(inMs(1));
    expect(processExists(container.pid ?? 0)).toBe(true);
    expect(await container.exited).toMatchObject({ cause: "lease_ended" });
    await container.remove();
  });

  test("is not brought back by a renewal that comes too late", async () => {
    const container = await host.start(deaf, lease(200, 5_000));
    await sleep(400);
    await expect(container.renew(inMs(10_000))).rejects.toMatchObject({ error: { code: "ESTALE" } });
    await container.stop({ graceMs: 0 });
    await container.remove();
  });

  test("needs no agent for its end", async () => {
    const container = await other.start(deaf, lease(600, 200));
    const pid = container.pid ?? 0;
    await other.runtime.close();
    expect(processExists(pid)).toBe(true);
    await eventually(() => !processExists(pid));
  });
});

test("without a lease there is nothing to renew", async () => {
  const container = await host.start(["sleep", "1000"]);
  await expect(container.renew(inMs(1000))).rejects.toMatchObject({ error: { code: "ENOENT" } });
  await container.stop({ graceMs: 0 });
  await container.remove();
});
