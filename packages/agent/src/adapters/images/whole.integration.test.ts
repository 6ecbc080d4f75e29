/**
 * The store is whole at any moment: killed at random points of an import, or with a disk that is full at any point, what
 * a next life finds is checked. Collection takes what nothing needs, and nothing else.
 */
import { execFileSync, spawn } from "node:child_process";
import { createReadStream, mkdirSync, mkdtempSync, readdirSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { randomBytes } from "node:crypto";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { NO_PROGRESS } from "../../core/images/progress.ts";
import { openImageSettings } from "./image-settings.ts";
import { openRegistrySettings } from "./registry-settings.ts";
import { openOciStore } from "./store.ts";

const KILLS = 6;
const work = { progress: NO_PROGRESS, signal: new AbortController().signal };
let directory: string;
let archive: string;

const open = (store: string) =>
  openOciStore(
    store,
    openRegistrySettings(join(directory, "registries.json")),
    openImageSettings(join(directory, "images.json")),
  );
const take = async (store: string, name: string) =>
  (await open(store)).take(createReadStream(archive), { ...work, name });
const faults = async (store: string) => (await (await open(store)).check(false, work)).faults;

/** An image of three layers as `docker save` writes it, made by umoci and skopeo. */
const makeArchive = (into: string, tag: string, layers: readonly Buffer[]): string => {
  const layout = join(into, `layout-${tag}`);
  const run = (program: string, ...args: string[]) => execFileSync(program, args, { cwd: into, stdio: "pipe" });
  run("umoci", "init", "--layout", layout);
  run("umoci", "new", "--image", `${layout}:made`);
  for (const [at, bytes] of layers.entries()) {
    const tree = join(into, `tree-${tag}-${at}`);
    mkdirSync(join(tree, "data"), { recursive: true });
    writeFileSync(join(tree, "data", `file-${at}`), bytes);
    run("tar", "-C", tree, "-cf", join(into, "layer.tar"), ".");
    run("umoci", "raw", "add-layer", "--image", `${layout}:made`, join(into, "layer.tar"));
  }
  const file = join(into, `${tag}.tar`);
  run("skopeo", "--insecure-policy", "copy", "-q", `oci:${layout}:made`, `docker-archive:${file}:app:${tag}`);
  return file;
};

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "berth-whole-"));
  archive = makeArchive(directory, "1", [randomBytes(1_500_000), randomBytes(700_000), randomBytes(300_000)]);
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

test(
  "killed at any point, the next life finds no half image, and a further import works",
  { timeout: 300_000 },
  async () => {
    const store = join(directory, "killed");
    const program = fileURLToPath(new URL("../../testing/import-forever.ts", import.meta.url));
    const child = () =>
      spawn(process.execPath, ["--conditions=source", "--import", "tsx", program, store, archive, directory], {
        stdio: ["ignore", "pipe", "inherit"],
      });
    for (let kill = 0; kill < KILLS; kill += 1) {
      const running = child();
      const ended = new Promise((resolve) => running.once("exit", resolve));
      await new Promise((resolve) => running.stdout.once("data", resolve));
      await sleep(kill * 60);
      running.kill("SIGKILL");
      await ended;
      // The unpacking program dies with its parent, a moment later.
      await sleep(20);
      expect(await faults(store), `after kill ${kill}`).toEqual([]);
    }
    expect(await take(store, "oci://local/after:1")).toEqual(["oci://local/after:1"]);
    expect(await faults(store)).toEqual([]);
    expect(readdirSync(join(store, "layers/sha256")).filter((name) => name.startsWith("."))).toEqual([]);
  },
);

test(
  "a disk that is full at any point: a sentence, nothing half, and it works once there is room",
  { timeout: 120_000 },
  async () => {
    const mount = join(directory, "tiny");
    mkdirSync(mount);
    const sizes = [64, 256, 512, 1024, 1536, 2048, 2560, 3072, 4096, 4608];
    let failed = 0;
    for (const kib of sizes) {
      execFileSync("mount", ["-t", "tmpfs", "-o", `size=${kib}k`, "berth-test", mount]);
      try {
        const store = join(mount, "oci");
        const outcome = await take(store, "oci://local/full:1").then(
          () => "brought",
          (error: unknown) => String(error),
        );
        if (outcome !== "brought") {
          failed += 1;
          expect(outcome, `${kib} KiB`).toMatch(/the disk of the image store is full|ENOSPC/);
        }
        execFileSync("mount", ["-o", "remount,size=32m", mount]);
        expect(await faults(store), `${kib} KiB`).toEqual([]);
        expect(await take(store, "oci://local/full:1")).toHaveLength(1);
        expect(await faults(store), `${kib} KiB, with room`).toEqual([]);
      } finally {
        execFileSync("umount", [mount]);
      }
    }
    expect(failed).toBeGreaterThan(5);
  },
);

describe("what is damaged", () => {
  test("a file of a layer, a blob, a missing layer: found and named; repaired from the archive", async () => {
    const store = join(directory, "damaged");
    await take(store, "oci://local/damaged:1");
    const root = join(store, "layers/sha256");
    const [layer = ""] = readdirSync(root).filter((name) => /^[0-9a-f]{64}$/.test(name));
    const [file = ""] = readdirSync(join(root, layer, "data"));
    writeFileSync(join(root, layer, "data", file), "changed");
    const found = await faults(store);
    expect(found).toEqual([{ what: "layer", name: `sha256:${layer}`, reason: "its files are not what was unpacked" }]);
    await (await open(store)).check(true, work);
    expect(await faults(store)).toEqual([]);
    const blobs = join(store, "blobs/sha256");
    const [blob = ""] = readdirSync(blobs);
    writeFileSync(join(blobs, blob), "changed");
    expect((await faults(store)).map(({ what, name }) => `${what} ${name}`)).toContain(`blob sha256:${blob}`);
  });
});

describe("collection", () => {
  test("takes what nothing leads to; never what is held", async () => {
    const store = await open(join(directory, "collected"));
    await store.take(createReadStream(archive), { ...work, name: "oci://local/held:1" });
    const prepared = await store.prepare("oci://local/held:1", "holder", { signal: work.signal });
    await expect(store.remove("oci://local/held:1")).rejects.toThrow(/is used by holder: stop them first/);
    // Another life: what is held is known all the same.
    const later = await open(join(directory, "collected"));
    await expect(later.remove("oci://local/held:1")).rejects.toThrow(/is used by holder/);
    expect((await later.prune(true)).freedBytes).toBe(0);
    await later.release("holder");
    const removed = await later.remove("oci://local/held:1");
    expect(removed).toMatchObject({ images: ["oci://local/held:1"], layers: 3 });
    expect(removed.freedBytes).toBeGreaterThan(4_000_000);
    for (const layer of prepared.layers) expect(() => statfsSync(layer)).toThrow(/ENOENT/);
    expect(readdirSync(join(directory, "collected/blobs/sha256"))).toEqual([]);
  });
});
