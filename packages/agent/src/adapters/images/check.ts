/**
 * Reads the whole store and says what is not as it should be: blobs against their digests, trees against their seals,
 * names against what they lead to. With repair, damaged parts are removed: what is kept as an archive is unpacked anew,
 * what a registry has is forgotten and comes again at its next use.
 */
import type { ImageFault, ImageResult } from "@berth/schema";
import type { Progress } from "../../core/images/progress.ts";
import { isMissing } from "../files/atomic-file.ts";
import { readContents } from "./contents.ts";
import type { Layers, LayerSeal } from "./layers.ts";
import { inGate, type Parts } from "./parts.ts";

type Checked = Extract<ImageResult, { kind: "checked" }>;
const MAX_FAULTS = 1000;

export interface CheckOptions {
  readonly repair: boolean;
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

const checkBlobs = async ({ blobs }: Parts, { progress, signal }: CheckOptions, faults: ImageFault[]) => {
  const { whole } = await blobs.list();
  const damaged: string[] = [];
  for (const digest of whole) {
    signal.throwIfAborted();
    const size = (await blobs.size(digest)) ?? 0;
    progress.layer(digest, "checking", 0, size);
    const reason = await blobs.verify(digest, signal);
    progress.layer(digest, "done", size, size);
    if (reason === undefined) continue;
    faults.push({ what: "blob", name: digest, reason });
    damaged.push(digest);
  }
  return { count: whole.length, damaged };
};

/** Undefined also for one that was removed meanwhile, as a copy is when its container ends. */
const faultOf = async (
  layers: Layers,
  diffId: string,
  seal: LayerSeal,
  signal: AbortSignal,
): Promise<string | undefined> => {
  try {
    const reason = await layers.verify(diffId, seal, signal);
    return reason !== undefined && (await layers.has(diffId)) ? reason : undefined;
  } catch (error) {
    if (!isMissing(error) || (await layers.has(diffId))) throw error;
    return undefined;
  }
};

const checkLayers = async (layers: Layers, { progress, signal }: CheckOptions, faults: ImageFault[]) => {
  const all = await layers.list();
  const damaged: string[] = [];
  let unsealed = 0;
  for (const diffId of all) {
    signal.throwIfAborted();
    const seal = await layers.seal(diffId);
    if (seal === undefined) {
      unsealed += 1;
      continue;
    }
    progress.layer(diffId, "checking", 0, seal.bytes);
    const reason = await faultOf(layers, diffId, seal, signal);
    progress.layer(diffId, "done", seal.bytes, seal.bytes);
    if (reason === undefined) continue;
    faults.push({ what: "layer", name: diffId, reason });
    damaged.push(diffId);
  }
  return { count: all.length, unsealed, damaged };
};

/** Names that lead to something that is not here. */
const checkNames = async (parts: Parts, faults: ImageFault[]) => {
  const { images, damaged } = await parts.records.list();
  for (const file of damaged) {
    faults.push({ what: "image", name: file, reason: "its record cannot be read" });
  }
  const broken: string[] = [];
  for (const { record } of images) {
    const missing: string[] = [];
    for (const diffId of record.diffIds) if (!(await parts.layers.has(diffId))) missing.push(`layer ${diffId}`);
    try {
      await readContents(parts, record.manifest, record.name);
    } catch (error) {
      missing.push(error instanceof Error ? error.message : String(error));
    }
    if (missing.length === 0) continue;
    faults.push({ what: "image", name: record.name, reason: `not here: ${missing.join(", ")}` });
    broken.push(record.name);
  }
  return { count: images.length, broken, damaged };
};

/** Layers that no container uses are removed at once, and unpacked again where their archive is here. */
const repairLayers = async (parts: Parts, damaged: readonly string[], options: CheckOptions): Promise<void> => {
  const { images } = await parts.records.list();
  const { limits } = await parts.settings();
  for (const diffId of damaged) {
    const later = await inGate(parts, async () => {
      const used = [...parts.uses.holders().values()].some((use) => use.diffIds.includes(diffId));
      return used || parts.pins.has(diffId) ? undefined : parts.layers.remove(diffId);
    });
    if (later === undefined) continue;
    await later();
    for (const { record } of images.filter((one) => one.record.diffIds.includes(diffId))) {
      const contents = await readContents(parts, record.manifest, record.name).catch(() => undefined);
      const layer = contents?.layers.find((one) => one.diffId === diffId);
      if (layer === undefined || !(await parts.blobs.has(layer.descriptor.digest))) continue;
      await parts.layers
        .unpack(diffId, parts.blobs.path(layer.descriptor.digest), { limits, signal: options.signal })
        .catch(() => undefined);
    }
  }
};

const repairNames = async (parts: Parts): Promise<void> => {
  const { broken, damaged } = await checkNames(parts, []);
  for (const file of damaged) await parts.records.removeFile(file);
  for (const name of broken) await inGate(parts, () => parts.records.remove(name));
};

export const checkStore = async (parts: Parts, options: CheckOptions): Promise<Checked> => {
  const faults: ImageFault[] = [];
  const blobs = await checkBlobs(parts, options, faults);
  const layers = await checkLayers(parts.layers, options, faults);
  // Mounted, all of them: they go with their containers.
  const copies = [];
  for (const one of await parts.shifted.all()) copies.push(await checkLayers(one, options, faults));
  const names = await checkNames(parts, faults);
  if (options.repair) {
    for (const digest of blobs.damaged) if (!parts.pins.has(digest)) await parts.blobs.remove(digest);
    await repairLayers(parts, layers.damaged, options);
    await repairNames(parts);
  }
  return {
    kind: "checked",
    images: names.count,
    layers: copies.reduce((sum, { count }) => sum + count, layers.count),
    blobs: blobs.count,
    unsealed: layers.unsealed,
    faults: faults.slice(0, MAX_FAULTS),
  };
};
