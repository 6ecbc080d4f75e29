/** What of the images here the scheduler has not been told yet. Pure: who asks sends it and says what came of it. */
import { MAX_HELD_IMAGES, MAX_HELD_TOLD, type HeldImage } from "@berth/schema";

/** Name → manifest of what was told. */
export type Told = ReadonlyMap<string, string>;

export interface HeldChange {
  readonly images: readonly HeldImage[];
  readonly gone: readonly string[];
  /** What is told once this has arrived. */
  readonly told: Told;
  /** Something is left that did not fit. */
  readonly more: boolean;
}

/** `held`: those used last first. Undefined when there is nothing to tell. */
export const heldChange = (told: Told, held: readonly HeldImage[]): HeldChange | undefined => {
  const now = held.slice(0, MAX_HELD_IMAGES);
  const names = new Set(now.map(({ name }) => name));
  const gone = [...told.keys()].filter((name) => !names.has(name));
  const changed = now.filter(({ manifest, name }) => told.get(name) !== manifest);
  const images = changed.slice(0, MAX_HELD_TOLD);
  if (images.length === 0 && gone.length === 0) return undefined;
  const after = new Map(told);
  for (const name of gone) after.delete(name);
  for (const { manifest, name } of images) after.set(name, manifest);
  return { images, gone, told: after, more: images.length < changed.length };
};
