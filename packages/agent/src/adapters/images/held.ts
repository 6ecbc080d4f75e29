/** What of the store the scheduler is told: images that could start here at once, and how fast others came. */
import { MAX_HELD_IMAGES, type HeldImage } from "@berth/schema";
import type { Images } from "../../ports/images.ts";
import { readContents } from "./contents.ts";
import type { Parts } from "./parts.ts";
import type { ImageRecord } from "./records.ts";

export type HeldFacts = Pick<Images, "held" | "heldChanges" | "fetchRates">;

/** Undefined for one whose documents are damaged, which nobody can start. */
const layersOf = async (parts: Parts, { manifest, name }: ImageRecord): Promise<HeldImage["layers"] | undefined> => {
  try {
    const { layers } = await readContents(parts, manifest, name);
    return layers.map(({ descriptor, diffId }) => ({ diffId, bytes: descriptor.size }));
  } catch {
    return undefined;
  }
};

export const createHeldFacts = (parts: Parts): HeldFacts => {
  /** By manifest, of those that were told last. */
  let known = new Map<string, HeldImage["layers"]>();
  return {
    held: async () => {
      const { images } = await parts.records.list();
      const newest = images.toSorted((a, b) => b.usedAtMs - a.usedAtMs).slice(0, MAX_HELD_IMAGES);
      const now = new Map<string, HeldImage["layers"]>();
      const held: HeldImage[] = [];
      for (const { record } of newest) {
        const { manifest, name, source = "registry" } = record;
        const layers = known.get(manifest) ?? (await layersOf(parts, record));
        if (layers === undefined) continue;
        now.set(manifest, layers);
        held.push({ name, manifest, source, layers });
      }
      known = now;
      return held;
    },
    heldChanges: parts.records.changes,
    fetchRates: () => parts.rate.now,
  };
};
