/** How far an operation on an image is, layer by layer. Bounded: layers beyond the limit of an image are not followed. */
import type { LayerProgress } from "@berth/schema";

const MAX_LAYERS = 256;
type Phase = LayerProgress["phase"];

export interface Progress {
  /** Begins or goes on with a layer; `bytes` so far, `total` when it is known. */
  readonly layer: (digest: string, phase: Phase, bytes: number, total: number | null) => void;
  readonly snapshot: () => LayerProgress[];
}

/** `changed` is called at every change: whoever listens decides how often that matters. */
export const createProgress = (changed: () => void = () => undefined): Progress => {
  const layers = new Map<string, LayerProgress>();
  return {
    layer: (digest, phase, bytes, total) => {
      if (!layers.has(digest) && layers.size >= MAX_LAYERS) return;
      layers.set(digest, { digest, phase, doneBytes: bytes, totalBytes: total });
      changed();
    },
    snapshot: () => [...layers.values()],
  };
};

/** Nobody looks. */
export const NO_PROGRESS: Progress = { layer: () => undefined, snapshot: () => [] };

/** What is known of one, also in another. */
export const copyProgress = (from: Progress | undefined, to: Progress | undefined): void => {
  for (const { digest, phase, doneBytes, totalBytes } of from?.snapshot() ?? []) {
    to?.layer(digest, phase, doneBytes, totalBytes);
  }
};
