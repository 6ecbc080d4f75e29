/** The store's writes wait for the disk where the file system can, and whoever starts it is told where it cannot. */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { afterTests, tempDir } from "../../testing/temp.ts";
import { prepareStore } from "./store.ts";

const mounted = (type: "ext4" | "tmpfs"): string => {
  const directory = join(tempDir(), "disk");
  mkdirSync(directory);
  if (type === "tmpfs") execFileSync("mount", ["-t", "tmpfs", "-o", "size=4m", "berth-test", directory]);
  else {
    const image = join(tempDir(), "disk.img");
    writeFileSync(image, "");
    truncateSync(image, 16 * 2 ** 20);
    execFileSync("mkfs.ext4", ["-q", "-F", image]);
    execFileSync("mount", ["-o", "loop", image, directory]);
  }
  afterTests(() => void execFileSync("umount", ["-l", directory]));
  return directory;
};

const isSynchronous = (path: string): boolean =>
  (execFileSync("lsattr", ["-d", path], { encoding: "utf8" }).split(" ")[0] ?? "").includes("S");

test.skipIf(spawnSync("losetup", ["--find"]).status !== 0)(
  "on ext4 everything in it is synchronous, also what a copy of the directory brought and what is made later",
  async () => {
    const store = join(mounted("ext4"), "store");
    mkdirSync(join(store, "stream"), { recursive: true });
    writeFileSync(join(store, "stream/1.blk"), "a");
    expect(await prepareStore(store, false)).toBeUndefined();
    writeFileSync(join(store, "stream/2.blk"), "b");
    for (const path of ["", "stream", "stream/1.blk", "stream/2.blk"])
      expect([path, isSynchronous(join(store, path))]).toEqual([path, true]);
    expect(statSync(store).mode & 0o777).toBe(0o700);
    // Again at the next start.
    expect(await prepareStore(store, false)).toBeUndefined();
  },
);

test("elsewhere it says what a power cut may take; a server that syncs by itself needs none of it", async () => {
  const disk = mounted("tmpfs");
  expect(await prepareStore(join(disk, "old"), false)).toMatch(/not on ext4.*two minutes of acknowledged/);
  expect(await prepareStore(join(disk, "new"), true)).toBeUndefined();
});
