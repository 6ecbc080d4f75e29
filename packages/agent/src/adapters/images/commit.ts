/**
 * An image of what a container wrote: the layers of its image, and that as one more. The lower ones are shared with the
 * image, unpacked and as archives; the new one is packed once, streamed into the store, and unpacked by the same jailed
 * program as any other, so that what may come from elsewhere and what is made here is the same.
 */
import { open, type FileHandle } from "node:fs/promises";
import { arch } from "node:os";
import { packTree, type PackOptions } from "@berth/native";
import { parseImageReference } from "@berth/schema";
import { MACHINE_LABEL } from "../../core/images/machine.ts";
import {
  architectureOf,
  decodeConfig,
  MAX_LAYERS,
  type Descriptor,
  type ImageConfig,
} from "../../core/images/manifest.ts";
import type { ImageWork, WrittenTree } from "../../ports/images.ts";
import { isMissing } from "../files/atomic-file.ts";
import { holdArchives, withinMarks } from "./collect.ts";
import { wholeImage, type Whole } from "./archive-out.ts";
import { defaultsOf, readContents, valueOf } from "./contents.ts";
import { PLAIN_LAYER, putDocuments } from "./documents.ts";
import { pin, type LetGo, type Parts } from "./parts.ts";
import { roomFor } from "./project-room.ts";
import type { ImageRecord } from "./records.ts";

interface Layer {
  readonly descriptor: Descriptor;
  readonly diffId: string;
}

interface Base {
  readonly layers: readonly Layer[];
  /** As its registry has it, with whatever else it says. */
  readonly config: ImageConfig;
  /** Undefined when no image of this host has these layers. */
  readonly record: ImageRecord | undefined;
  /** Its archives as well, unless they cannot be had now. */
  readonly whole: Whole | undefined;
}

type Still = Pick<WrittenTree, "directory" | "still">;

/** It was moved between the question where it is and its opening. */
const openTree = async (directory: string): Promise<FileHandle> => {
  try {
    return await open(directory, "r");
  } catch (error) {
    if (!isMissing(error)) throw error;
    throw new Error("the container has just ended: try again for what is kept of it", { cause: error });
  }
};

/** The archive of a directory on this host. What writes there stands still until the last piece was taken. */
export async function* packed(
  { directory, still, ...options }: Omit<PackOptions, "tree" | "signal"> & Still,
  { signal }: ImageWork,
): AsyncGenerator<Uint8Array> {
  const goOn = await still();
  let tree: FileHandle | undefined;
  try {
    tree = await openTree(directory());
    const { kind, idBase, layers = [], mostBytes } = options;
    yield* packTree({ kind, idBase, mostBytes, ...(kind === "root" ? { layers } : {}), tree: tree.fd, signal });
  } finally {
    await tree?.close();
    await goOn();
  }
}

/** Packs a directory as a layer of the store, archive and tree. The caller unpins both. */
const addLayer = async (
  parts: Parts,
  tree: Still & { readonly idBase: number; readonly mostBytes?: number },
  label: string,
  pins: LetGo[],
  work: ImageWork,
): Promise<Layer> => {
  const { limits } = await parts.settings();
  const most = Math.min(limits.bytes, tree.mostBytes ?? limits.bytes);
  const pieces = withinMarks(parts, packed({ ...tree, kind: "layer", mostBytes: most }, work));
  const taken = await parts.blobs.take(pieces, { most }, (bytes) =>
    work.progress.layer(label, "fetching", bytes, null),
  );
  const { digest, size } = taken;
  pins.push(await holdArchives(parts, [digest]));
  await parts.layers.unpack(digest, parts.blobs.path(digest), {
    limits,
    signal: work.signal,
    progress: (bytes) => work.progress.layer(label, "unpacking", bytes, size),
  });
  work.progress.layer(label, "done", size, size);
  return { descriptor: { mediaType: PLAIN_LAYER, digest, size }, diffId: digest };
};

/** A layer of the store, which nobody writes to. */
const asItIs = (directory: string): Still => ({
  directory: () => directory,
  still: () => Promise.resolve(() => Promise.resolve()),
});

const sameLayers = (one: readonly string[], two: readonly string[]): boolean =>
  one.length === two.length && one.every((diffId, at) => diffId === two[at]);

/** The image that the container was started from, as long as a name leads to it. */
const recordOf = async (parts: Parts, { allocation, image }: WrittenTree): Promise<ImageRecord | undefined> => {
  const diffIds = parts.uses.holders().get(allocation)?.diffIds;
  if (diffIds === undefined) return undefined;
  const fitting = (await parts.records.list()).images
    .map(({ record }) => record)
    .filter((record) => sameLayers(record.diffIds, diffIds));
  return fitting.find(({ name }) => name === image) ?? fitting[0];
};

const BARE: ImageConfig = { architecture: "", os: "linux", config: {}, rootfs: { type: "layers", diff_ids: [] } };

const baseOf = async (parts: Parts, written: WrittenTree, pins: LetGo[], work: ImageWork): Promise<Base> => {
  const record = await recordOf(parts, written);
  if (record !== undefined) {
    const { config, layers } = await readContents(parts, record.manifest, record.name);
    pins.push(
      await pin(
        parts,
        layers.flatMap(({ descriptor, diffId }) => [descriptor.digest, diffId]),
      ),
    );
    /* Without its archives the new image runs here and nowhere else, until somebody exports it with the registry there. */
    const whole = await wholeImage(parts, record.name, work).catch((error: unknown) => {
      work.signal.throwIfAborted();
      void error;
    });
    return { layers, config, record, whole: whole ?? undefined };
  }
  const layers: Layer[] = [];
  for (const directory of written.layers.toReversed()) {
    layers.push(await addLayer(parts, { ...asItIs(directory), idBase: 0 }, `layer ${layers.length + 1}`, pins, work));
  }
  const config = { ...BARE, architecture: architectureOf(arch()) };
  return { layers, config, record: undefined, whole: undefined };
};

/** What the image says, with what the job said about running it instead; never its environment, which may hold secrets. */
const configOf = (base: Base, added: Layer, written: WrittenTree, nowMs: number): Uint8Array => {
  const { command, user, workdir } = written;
  const created = new Date(nowMs).toISOString();
  const before = base.config as ImageConfig & { readonly history?: unknown };
  const { [MACHINE_LABEL]: machine, ...labels } = before.config?.Labels ?? {};
  const isMachine = base.record?.defaults.machine === true;
  return Buffer.from(
    JSON.stringify({
      ...before,
      created,
      config: {
        ...before.config,
        ...(command.length === 0 ? {} : { Cmd: command, Entrypoint: null }),
        ...(workdir === "" ? {} : { WorkingDir: workdir }),
        ...(user === "" ? {} : { User: user }),
        Labels: isMachine && machine !== undefined ? { ...labels, [MACHINE_LABEL]: machine } : labels,
      },
      rootfs: { type: "layers", diff_ids: [...base.layers, added].map(({ diffId }) => diffId) },
      ...(Array.isArray(before.history)
        ? { history: [...(before.history as unknown[]), { created, created_by: `berth commit ${written.allocation}` }] }
        : {}),
    }),
  );
};

/** Resolves to `name` when it can be run. `isNew`: only if no image is called so. One at a time: each counts the others. */
export const commitImage = async (
  parts: Parts,
  written: WrittenTree,
  { isNew, name }: { readonly name: string; readonly isNew: boolean },
  work: ImageWork,
): Promise<string> => {
  const reference = valueOf(parseImageReference(name), name);
  if (reference.digest !== undefined) throw new Error(`${name}: name it by a tag, its digest is made now`);
  if (isNew && (await parts.records.read(name)) !== undefined) throw new Error(`there is an image ${name} already`);
  await roomFor(parts, name, []);
  const pins: LetGo[] = [];
  let whole: Whole | undefined;
  try {
    const base = await baseOf(parts, written, pins, work);
    ({ whole } = base);
    if (base.layers.length >= MAX_LAYERS)
      throw new Error(`${written.image} has ${MAX_LAYERS} layers already: no image may have more`);
    const mostBytes = await roomFor(
      parts,
      name,
      base.layers.map(({ diffId }) => diffId),
    );
    const added = await addLayer(parts, { ...written, mostBytes }, "what was written", pins, work);
    written.checkStood?.();
    const configBytes = configOf(base, added, written, Date.now());
    const config = valueOf(decodeConfig(configBytes), name);
    const layers = [...base.layers, added].map(({ descriptor }) => descriptor);
    const manifestDigest = await putDocuments(parts, configBytes, layers, pins);
    await parts.records.write({
      version: 1,
      name,
      manifest: manifestDigest,
      diffIds: [...config.rootfs.diff_ids],
      defaults: defaultsOf(config, name),
      source: "import",
      ...(base.record === undefined ? {} : { base: base.record.base ?? base.record.name }),
      broughtAtMs: Date.now(),
    });
    return name;
  } finally {
    for (const letGo of pins) await letGo();
    await whole?.release();
  }
};
