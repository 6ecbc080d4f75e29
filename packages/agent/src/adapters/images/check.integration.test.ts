// Containers end while the store is checked, and their copies of layers go with them.
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createProgress } from "../../core/images/progress.ts";
import { openBlobs } from "./blobs.ts";
import { checkStore } from "./check.ts";
import { openLayers } from "./layers.ts";
import type { Parts } from "./parts.ts";
import { openRecords } from "./records.ts";
import { openShifted } from "./shifted.ts";

const ranges = [0x3000_0000, 0x3001_0000];
const diffId = `sha256:${"a".repeat(64)}`;
const { signal } = new AbortController();
let directory: string;
let parts: Pick<Parts, "blobs" | "layers" | "records" | "shifted">;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "berth-check-"));
  const from = join(directory, "from");
  mkdirSync(from);
  writeFileSync(join(from, "file"), "content");
  parts = {
    blobs: await openBlobs(join(directory, "blobs")),
    layers: await openLayers(join(directory, "layers")),
    records: await openRecords(join(directory, "records")),
    shifted: await openShifted(join(directory, "shifted"), new Set()),
  };
  for (const idBase of ranges) await parts.shifted.copy(idBase, { diffId, from }, signal);
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const placeOf = (idBase: number): string => join(directory, "shifted", String(idBase));
const check = (onLayer: () => void) => {
  const progress = { ...createProgress(), layer: onLayer };
  return checkStore(parts as Parts, { repair: false, progress, signal });
};

test("copies that go with their containers while they are checked are no fault, whenever they go", async () => {
  let seen = 0;
  const checked = await check(() => {
    seen += 1;
    if (seen === 1) for (const idBase of ranges) renameSync(placeOf(idBase), `${placeOf(idBase)}.gone`);
  });
  expect(checked.faults).toEqual([]);
  expect(seen).toBeGreaterThan(0);
});

test("one that is there and damaged is said", async () => {
  for (const idBase of ranges) writeFileSync(join(placeOf(idBase), "sha256", "a".repeat(64), "file"), "CONTENT");
  const checked = await check(() => undefined);
  expect(checked).toMatchObject({ layers: 2, faults: ranges.map(() => ({ what: "layer", name: diffId })) });
});
