/**
 * From a registry to blobs and layers of the store. Asks only for what is not here; a few layers at a time, each unpacked
 * as soon as it has come. Everything it brings stays pinned until its name is written.
 */
import { arch } from "node:os";
import type { ImageOnHost, ImageReference } from "@berth/schema";
import {
  architectureOf,
  checkConfig,
  chooseManifest,
  decodeConfig,
  decodeIndex,
  decodeManifest,
  isIndex,
  type Descriptor,
  type ImageManifest,
} from "../../core/images/manifest.ts";
import { Turns } from "../../core/turns.ts";
import type { ImageWork } from "../../ports/images.ts";
import { defaultsOf, valueOf, type Contents } from "./contents.ts";
import { removeArchive } from "./collect.ts";
import { pin, type Parts } from "./parts.ts";
import type { ImageRecord } from "./records.ts";
import { openRegistry, type Registry } from "./registry.ts";

const fetchBlob = (
  { blobs }: Parts,
  registry: Registry,
  reference: ImageReference,
  descriptor: Descriptor,
  { progress, signal }: ImageWork,
): Promise<void> =>
  blobs.fetch(
    descriptor,
    (from, aborted) => registry.blob(reference, descriptor, from, aborted),
    signal,
    (bytes) => progress.layer(descriptor.digest, "fetching", bytes, descriptor.size),
  );

const fetchManifest = async (
  parts: Parts,
  registry: Registry,
  reference: ImageReference,
  name: string,
  signal: AbortSignal,
): Promise<{ readonly manifest: ImageManifest; readonly digest: string; readonly unpin: () => void }> => {
  let document = await registry.document(reference, reference.target, signal);
  if (isIndex(document.mediaType, document.bytes)) {
    const index = valueOf(decodeIndex(document.bytes), name);
    const chosen = valueOf(chooseManifest(index, architectureOf(arch())), name);
    document = await registry.document(reference, chosen.digest, signal);
  }
  const manifest = valueOf(decodeManifest(document.bytes), name);
  const unpin = await pin(parts, [
    document.digest,
    manifest.config.digest,
    ...manifest.layers.map(({ digest }) => digest),
  ]);
  try {
    await parts.blobs.put(document.digest, document.bytes);
  } catch (error) {
    unpin();
    throw error;
  }
  return { manifest, digest: document.digest, unpin };
};

/** Runs work on each, a few at a time; the first failure stops the rest, which are waited for. */
export const eachAtOnce = async <T>(
  items: readonly T[],
  most: number,
  signal: AbortSignal,
  work: (item: T, signal: AbortSignal) => Promise<void>,
): Promise<void> => {
  const stop = new AbortController();
  const either = AbortSignal.any([signal, stop.signal]);
  const turns = new Turns(most);
  const all = items.map((item) => turns.run(either, () => work(item, either)));
  try {
    await Promise.all(all);
  } catch (error) {
    stop.abort();
    await Promise.allSettled(all);
    throw error;
  }
};

/**
 * Brings and unpacks layers and writes the name: from here on the image can be run. `fetch` gets the archive of a layer
 * that is neither unpacked nor among the blobs.
 */
export const settleImage = async (
  parts: Parts,
  image: {
    readonly name: string;
    readonly manifestDigest: string;
    readonly contents: Contents;
    readonly source: ImageOnHost["source"];
  },
  fetch: (descriptor: Descriptor, options: ImageWork) => Promise<void>,
  options: ImageWork,
): Promise<ImageRecord> => {
  const { blobs, layers, records } = parts;
  const { name, contents, source } = image;
  const { limits, keepArchives, parallelLayers } = await parts.settings();
  valueOf(checkConfig(contents.manifest, contents.config, architectureOf(arch())), name);
  const keep = source === "import" || keepArchives === "all";
  const unpin = await pin(parts, [image.manifestDigest, ...contents.layers.map(({ diffId }) => diffId)]);
  try {
    for (const { descriptor } of contents.layers)
      options.progress.layer(descriptor.digest, "waiting", 0, descriptor.size);
    const beganMs = performance.now();
    let broughtBytes = 0;
    await eachAtOnce(contents.layers, parallelLayers, options.signal, async ({ descriptor, diffId }, signal) => {
      const { digest, size } = descriptor;
      const own = { ...options, signal };
      const isHere = await layers.has(diffId);
      if (!isHere || (keep && !(await blobs.has(digest)))) await fetch(descriptor, own);
      if (!isHere) {
        options.progress.layer(digest, "unpacking", 0, size);
        await layers.unpack(diffId, blobs.path(digest), {
          limits,
          signal,
          progress: (bytes) => options.progress.layer(digest, "unpacking", bytes, size),
        });
        broughtBytes += size;
      }
      /* The tree has every byte of it; one copy is enough. */
      if (!keep) await removeArchive(parts, digest);
      options.progress.layer(digest, "done", size, size);
    });
    if (source !== "import") parts.rate.note(source, broughtBytes, performance.now() - beganMs);
    const record: ImageRecord = {
      version: 1,
      name,
      manifest: image.manifestDigest,
      diffIds: [...contents.config.rootfs.diff_ids],
      defaults: defaultsOf(contents.config, name),
      source,
      broughtAtMs: Date.now(),
    };
    await records.write(record);
    return record;
  } finally {
    unpin();
  }
};

export const pullImage = async (
  parts: Parts,
  reference: ImageReference,
  name: string,
  options: ImageWork,
): Promise<ImageRecord> => {
  const registry = openRegistry(parts.registries);
  let unpin: () => void = () => undefined;
  try {
    const found = await fetchManifest(parts, registry, reference, name, options.signal);
    ({ unpin } = found);
    const { manifest, digest } = found;
    await fetchBlob(parts, registry, reference, manifest.config, {
      ...options,
      progress: { layer: () => undefined, snapshot: () => [] },
    });
    const configBytes = await parts.blobs.read(manifest.config.digest);
    if (configBytes === undefined) throw new Error(`${manifest.config.digest} has vanished`);
    const config = valueOf(decodeConfig(configBytes), name);
    const layers = manifest.layers.map((descriptor, at) => ({ descriptor, diffId: config.rootfs.diff_ids[at] ?? "" }));
    return await settleImage(
      parts,
      {
        name,
        manifestDigest: digest,
        contents: { bytes: new Uint8Array(), manifest, config, layers },
        source: "registry",
      },
      (descriptor, own) => fetchBlob(parts, registry, reference, descriptor, own),
      options,
    );
  } finally {
    unpin();
    await registry.close();
  }
};

/** Archives of layers that are only here unpacked, from the registry that the image came from. To be pinned before. */
export const fetchArchives = async (
  parts: Parts,
  reference: ImageReference,
  descriptors: readonly Descriptor[],
  options: ImageWork,
): Promise<void> => {
  const registry = openRegistry(parts.registries);
  const { parallelLayers } = await parts.settings();
  try {
    await eachAtOnce(descriptors, parallelLayers, options.signal, (descriptor, signal) =>
      fetchBlob(parts, registry, reference, descriptor, { ...options, signal }),
    );
  } finally {
    await registry.close();
  }
};
