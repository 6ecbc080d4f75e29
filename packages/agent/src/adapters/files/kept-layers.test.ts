/** Layers of ended containers on a real disk, with trees in them that no path is long enough for. */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { removeTree } from "@berth/native";
import type { KeptLayer } from "../../ports/kept-layers.ts";
import { DEFAULT_LAYER_RETENTION } from "../../core/retention.ts";
import { quietLog } from "../../testing/fake-agent.ts";
import { allocationId } from "../../testing/fake-scheduler.ts";
import { openKeptLayers } from "./kept-layers.ts";

let folder: string;
let directory: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "berth-kept-layers-"));
  directory = join(folder, "layers");
});
afterEach(() => removeTree(folder));

const opened = (bootId: string, limits = DEFAULT_LAYER_RETENTION) =>
  openKeptLayers({ directory, bootId, limits: () => Promise.resolve(limits), log: quietLog() });
const layerOf = (): Omit<KeptLayer, "sizeBytes"> => ({
  allocation: allocationId(),
  project: "default",
  job: "job",
  index: 0,
  image: "busybox",
  command: [],
  workdir: "",
  user: "",
  idBase: 0,
  endedAtMs: 1,
});
/** 25 directories with names of 200 bytes each, one in the other. */
const deep = (): string => {
  const writable = join(folder, "upper");
  mkdirSync(writable);
  const script = 'i=0; while [ $i -lt 25 ]; do mkdir "$1"; cd -P "./$1"; i=$((i+1)); done; : > file';
  execFileSync("sh", ["-c", script, "sh", "a".repeat(200)], { cwd: writable });
  return writable;
};

test("a tree that no path is long enough for is dropped, and its room is free when that is told", async () => {
  const kept = await opened("boot", { ...DEFAULT_LAYER_RETENTION, ageMs: 10 });
  const layer = layerOf();
  expect(await kept.keep(layer, deep())).toBe(true);
  expect(await kept.drop(100, 0)).toEqual([layer.allocation]);
  expect(readdirSync(directory)).toEqual([]);
});

test("a start deletes such a tree of a former boot", async () => {
  await (await opened("boot")).keep(layerOf(), deep());
  const kept = await opened("another boot");
  expect([kept.list(), readdirSync(directory)]).toEqual([[], []]);
});

test("what is held before it is kept stays until it is let go", async () => {
  const kept = await opened("boot");
  const layer = layerOf();
  const upper = join(folder, "upper");
  mkdirSync(upper);
  writeFileSync(join(upper, "file"), "x");
  const letGo = kept.hold(layer.allocation);
  expect(await kept.keep(layer, upper)).toBe(true);
  expect([kept.isHeld(layer.allocation), await kept.remove(layer.allocation)]).toEqual([true, false]);
  letGo();
  expect([kept.isHeld(layer.allocation), await kept.remove(layer.allocation)]).toEqual([false, true]);
});

test("what is counted and flushed at the same time is both, also in the next boot", async () => {
  const kept = await opened("boot");
  const layers = Array.from({ length: 8 }, layerOf);
  for (const layer of layers) {
    const upper = join(folder, "upper");
    mkdirSync(upper);
    writeFileSync(join(upper, "file"), "x".repeat(5000));
    await kept.keep(layer, upper);
  }
  await Promise.all([kept.drop(2, 0), kept.flush()]);
  const next = await opened("another boot");
  for (const { allocation } of layers) expect(next.get(allocation)?.sizeBytes, allocation).toBeGreaterThan(0);
  // A flush waits for all that anybody has written to this disk.
}, 300_000);
