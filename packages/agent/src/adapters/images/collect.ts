/**
 * Removes what is not needed: blobs and layers that no name, no allocation and no running operation leads to; and above
 * the high mark also names, least recently used first, until the low mark is reached (core/images/marks.ts).
 */
import { statfs } from "node:fs/promises";
import type { ImageResult } from "@berth/schema";
import { decodeManifest } from "../../core/images/manifest.ts";
import { excessOf, removable, type Fill } from "../../core/images/marks.ts";
import { inGate, type Parts } from "./parts.ts";
import type { KnownImage } from "./records.ts";

export type Removed = Extract<ImageResult, { kind: "removed" }>;

const nothing = (): Removed => ({ kind: "removed", images: [], layers: 0, blobs: 0, freedBytes: 0 });
const sum = (one: Removed, two: Removed): Removed => ({
  kind: "removed",
  images: [...one.images, ...two.images],
  layers: one.layers + two.layers,
  blobs: one.blobs + two.blobs,
  freedBytes: one.freedBytes + two.freedBytes,
});

export const usesOf = ({ uses }: Parts, name: string): string[] =>
  [...uses.holders()].filter(([, use]) => use.image === name).map(([holder]) => holder);

/** Digests of blobs and layers that something leads to. With the gate held. */
const references = async (parts: Parts): Promise<ReadonlySet<string>> => {
  const needed = new Set(parts.pins.all());
  for (const use of parts.uses.holders().values()) for (const diffId of use.diffIds) needed.add(diffId);
  const { images } = await parts.records.list();
  const { keepArchives } = await parts.settings();
  for (const { record } of images) {
    for (const digest of [record.manifest, ...record.diffIds]) needed.add(digest);
    const bytes = await parts.blobs.read(record.manifest);
    const manifest = bytes === undefined ? undefined : decodeManifest(bytes);
    if (manifest?.ok !== true) continue;
    needed.add(manifest.value.config.digest);
    // Of what can come again the tree is the one copy.
    if (record.source !== "import" && keepArchives !== "all") continue;
    for (const { digest } of manifest.value.layers) needed.add(digest);
  }
  return needed;
};

/**
 * Removes an archive that can be had again: not when an image of this host leads to it that may be nowhere else, whoever
 * brought it. One that somebody needs now is removed when they are done.
 */
export const removeArchive = async (parts: Parts, digest: string): Promise<void> => {
  if (!(await parts.blobs.has(digest))) return;
  await inGate(parts, async () => {
    if (parts.archives.postpone(digest)) return;
    for (const { record } of (await parts.records.list()).images) {
      if (record.source !== "import") continue;
      const bytes = await parts.blobs.read(record.manifest);
      const manifest = bytes === undefined ? undefined : decodeManifest(bytes);
      if (manifest?.ok === true && manifest.value.layers.some((layer) => layer.digest === digest)) return;
    }
    await parts.blobs.remove(digest);
  });
};

/**
 * Pins archives that are needed as such, and `others`. What it returns lets go of all, and removes the archives that others
 * were done with meanwhile, unless an image that was imported leads to them by then. To be called with the gate held.
 */
export const heldArchives = (
  parts: Parts,
  archives: readonly string[],
  others: readonly string[] = [],
): (() => Promise<void>) => {
  const unpins = [parts.pins.add([...archives, ...others]), parts.archives.add(archives)];
  return async () => {
    for (const unpin of unpins) unpin();
    for (const digest of parts.archives.due(archives)) await removeArchive(parts, digest);
  };
};

export const holdArchives = (parts: Parts, digests: readonly string[]): Promise<() => Promise<void>> =>
  inGate(parts, () => Promise.resolve(heldArchives(parts, digests)));

/** With the gate held. What it returns deletes the trees, outside of the gate. */
const sweep = async (parts: Parts): Promise<{ readonly removed: Removed; readonly later: (() => Promise<void>)[] }> => {
  const needed = await references(parts);
  const later: (() => Promise<void>)[] = [];
  let removed = nothing();
  const { whole, parts: begun } = await parts.blobs.list();
  for (const digest of whole) {
    if (needed.has(digest)) continue;
    const freedBytes = await parts.blobs.remove(digest);
    removed = sum(removed, { ...nothing(), blobs: 1, freedBytes });
  }
  for (const digest of begun) {
    if (needed.has(digest)) continue;
    const freedBytes = await parts.blobs.removePart(digest);
    removed = sum(removed, { ...nothing(), blobs: 1, freedBytes });
  }
  for (const diffId of await parts.layers.list()) {
    if (needed.has(diffId)) continue;
    const freedBytes = (await parts.layers.seal(diffId))?.bytes ?? 0;
    later.push(await parts.layers.remove(diffId));
    removed = sum(removed, { ...nothing(), layers: 1, freedBytes });
  }
  return { removed, later };
};

const finish = async (later: readonly (() => Promise<void>)[]): Promise<void> => {
  for (const work of later) await work();
};

/** Removes these names, if nobody uses them by now, and all that nothing leads to any more. */
const removeNames = async (parts: Parts, names: readonly string[]): Promise<Removed> => {
  const { removed, later } = await inGate(parts, async () => {
    const gone: string[] = [];
    for (const name of names) {
      if (usesOf(parts, name).length > 0) continue;
      await parts.records.remove(name);
      gone.push(name);
    }
    const swept = await sweep(parts);
    return { removed: sum({ ...nothing(), images: gone }, swept.removed), later: swept.later };
  });
  await finish(later);
  return removed;
};

/** Rejects with a sentence when there is none of this name, or somebody uses it. */
export const removeImage = async (parts: Parts, name: string): Promise<Removed> => {
  const record = await parts.records.read(name);
  if (record === undefined) throw new Error(`there is no image ${name} on this host`);
  const users = usesOf(parts, name);
  if (users.length > 0) {
    const more = users.length > 1 ? ` and ${users.length - 1} more` : "";
    throw new Error(
      `${name} is used by ${users[0] ?? ""}${more}: stop them first, or remove what is kept of those that ended (berth layer rm)`,
    );
  }
  return removeNames(parts, [name]);
};

const candidatesOf = (parts: Parts, images: readonly KnownImage[]) =>
  removable(
    images.map(({ record, usedAtMs }) => ({
      name: record.name,
      source: record.source ?? ("registry" as const),
      uses: usesOf(parts, record.name).length,
      usedAtMs,
    })),
  );

/** What nothing leads to; with `all` also every image that a registry has and nobody uses. */
export const prune = async (parts: Parts, all: boolean): Promise<Removed> => {
  const names = all ? candidatesOf(parts, (await parts.records.list()).images).map(({ name }) => name) : [];
  return removeNames(parts, names);
};

export const storeBytes = async ({ blobs, layers, shifted }: Parts): Promise<number> => {
  let total = 0;
  for (const one of [layers, ...(await shifted.all())]) {
    for (const diffId of await one.list()) total += (await one.seal(diffId))?.bytes ?? 0;
  }
  for (const digest of (await blobs.list()).whole) total += (await blobs.size(digest)) ?? 0;
  return total;
};

const fillOf = async (parts: Parts): Promise<Fill> => {
  const { bsize, blocks, bavail, bfree } = await statfs(parts.directory);
  /* As df(1) counts: what only root may use is not free. */
  const usedBytes = (blocks - bfree) * bsize;
  const { marks } = await parts.settings();
  return {
    usedBytes,
    totalBytes: usedBytes + bavail * bsize,
    storeBytes: marks.unit === "bytes" ? await storeBytes(parts) : 0,
  };
};

/** Bytes that the marks ask to be freed, if a layer comes of which the archive, of `more` bytes, is on the disk and in no store yet. */
export const excessOfStore = async (parts: Parts, more = 0): Promise<number> => {
  const { marks } = await parts.settings();
  const { storeBytes, totalBytes, usedBytes } = await fillOf(parts);
  return excessOf(marks, { totalBytes, usedBytes: usedBytes + more, storeBytes: storeBytes + 2 * more });
};

/** Does what the marks ask for. `excess`: at least so many bytes, whatever the marks say. */
export const collect = async (parts: Parts, excess = 0): Promise<Removed> => {
  const wanted = Math.max(excess, await excessOfStore(parts));
  if (wanted === 0) return nothing();
  let removed = await removeNames(parts, []);
  for (const { name } of candidatesOf(parts, (await parts.records.list()).images)) {
    if (removed.freedBytes >= wanted) break;
    removed = sum(removed, await removeNames(parts, [name]));
  }
  return removed;
};

const LOOK_EVERY_BYTES = 64 * 2 ** 20;

/**
 * Passes on what becomes a layer, for as long as archive and tree of it leave the disk below its high mark: whoever may
 * have one made need not be who looks after the disk, and nothing removes it again.
 */
export async function* withinMarks(parts: Parts, pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const look = async (more: number): Promise<void> => {
    if ((await excessOfStore(parts, more)) === 0) return;
    await collect(parts);
    if ((await excessOfStore(parts, more)) === 0) return;
    throw new Error("the disk of the image store is full to its high mark: remove images, or set highWater higher");
  };
  let passed = 0;
  let looked = 0;
  await look(0);
  for await (const piece of pieces) {
    passed += piece.length;
    if (passed - looked >= LOOK_EVERY_BYTES) {
      looked = passed;
      await look(passed);
    }
    yield piece;
  }
  await look(passed);
}
