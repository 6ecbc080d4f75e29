// The agent itself is killed while it pulls from a real registry and unpacks, at points all over the pull, and its disk is
// full at points all over it: what the next life finds is checked, nothing half is left, and the next pull is whole.
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { AgentProcess } from "./testing/agent-process.ts";
import { startCluster, type TestCluster } from "./testing/cluster.ts";
import { eventually } from "./testing/eventually.ts";
import { testSpec } from "./testing/fake-scheduler.ts";
import { imageOperations } from "./testing/image-operations.ts";
import { breakingDoor, pushImage, startRegistry, type TestRegistry } from "./testing/registry.ts";

const KILLS = 8;
const MIB = 2 ** 20;
const folder = mkdtempSync(join(tmpdir(), "berth-pulls-"));
let made: TestCluster;
let agent: AgentProcess;
let registry: TestRegistry;
let store: string;
const start = async (): Promise<void> => {
  agent = await made.welcomeAgent();
};

beforeAll(async () => {
  registry = await startRegistry(join(folder, "registry"));
  made = await startCluster();
  store = join(made.dataDir, "images/oci");
  await start();
  // Half of it packs well, so that unpacking takes a while as well as fetching.
  const layer = () => Buffer.concat([randomBytes(2 * MIB), Buffer.alloc(2 * MIB, randomBytes(4096))]);
  const files = () => Object.fromEntries(Array.from({ length: 4 }, (_, at) => [`data/${at}`, layer()] as const));
  const layers = [{ "bin/busybox": readFileSync("/bin/busybox") }, files(), files(), files()];
  pushImage(folder, `${registry.host}/app:1`, { layers });
});
afterAll(async () => {
  await made.close();
  await registry.close();
  rmSync(folder, { recursive: true, force: true });
});

const { begin, perform } = imageOperations(() => made.scheduler);
const check = async (): Promise<unknown> => (await perform({ kind: "check", repair: false })).result;
const halves = (): string[] => readdirSync(join(store, "layers/sha256")).filter((name) => name.startsWith("."));

test("killed at any point of a pull: nothing half, and the next pull is whole", { timeout: 240_000 }, async () => {
  // No faster than this, so that kills fall all over it, whatever the machine.
  const door = await breakingDoor(registry.host, 0, 0, 30_000);
  const image = `oci://${door.host}/app:1`;
  let begun = 0;
  try {
    for (let kill = 0; kill < KILLS; kill += 1) {
      await begin({ kind: "pull", image });
      await sleep(kill * 250);
      await agent.kill("SIGKILL");
      const { length: blobs } = readdirSync(join(store, "blobs"), { recursive: true });
      if (blobs > 1) begun += 1;
      await start();
      expect(await check(), `after kill ${kill}`).toMatchObject({ kind: "checked", faults: [] });
      expect(halves(), `after kill ${kill}`).toEqual([]);
    }
    expect(begun).toBeGreaterThan(2);
    expect(await perform({ kind: "pull", image })).toMatchObject({ state: "succeeded", error: null });
    expect(await check()).toMatchObject({ images: 1, layers: 4, faults: [] });
    const command = ["/bin/busybox", "sh", "-c", "test $(/bin/busybox ls /data | /bin/busybox wc -l) = 4"];
    const id = made.scheduler.place(testSpec(command, { image }));
    made.scheduler.publish();
    expect(await eventually("its end", () => made.scheduler.end(id))).toMatchObject({ exit: { code: 0 } });
  } finally {
    await door.close();
  }
});

test(
  "a disk that is full at any point of a pull: said, nothing half, and it works once there is room",
  { timeout: 240_000 },
  async () => {
    await agent.kill("SIGKILL");
    const place = join(made.dataDir, "images");
    rmSync(place, { recursive: true, force: true });
    mkdirSync(place);
    const image = `oci://${registry.host}/app:1`;
    const mebibytes = [6, 12, 20, 28, 36, 44, 52];
    let failed = 0;
    for (const size of mebibytes) {
      execFileSync("mount", ["-t", "tmpfs", "-o", `size=${size}m`, "berth-test", place]);
      await start();
      const { error, state } = await perform({ kind: "pull", image });
      if (state === "failed") {
        failed += 1;
        expect(error, `${size} MiB`).toContain("the disk of the image store is full");
        expect(await perform({ kind: "pull", image }), `${size} MiB, again`).toMatchObject({ state: "failed" });
      }
      expect(await check(), `${size} MiB`).toMatchObject({ faults: [] });
      expect(halves(), `${size} MiB`).toEqual([]);
      execFileSync("mount", ["-o", "remount,size=200m", place]);
      expect(await perform({ kind: "pull", image }), `${size} MiB, with room`).toMatchObject({ state: "succeeded" });
      expect(await check(), `${size} MiB, with room`).toMatchObject({ images: 1, layers: 4, faults: [] });
      await agent.kill("SIGKILL");
      execFileSync("umount", ["-l", place]);
    }
    expect(failed).toBeGreaterThan(4);
  },
);
