/**
 * What the store of images consists of, and the two things that keep its parts together. Pins: what an operation brings
 * or needs is not collected meanwhile. The gate: whoever removes holds it from the decision to the removal, and so does
 * whoever pins or begins to use, so that nothing is taken from under a foot that was just set down.
 */
import type { FetchRate } from "../../core/images/fetch-rate.ts";
import type { Pace } from "../../core/pace.ts";
import { NEVER, type Turns } from "../../core/turns.ts";
import type { ClusterImages } from "../../ports/images.ts";
import type { Blobs } from "./blobs.ts";
import type { ReadImageSettings } from "./image-settings.ts";
import type { Layers } from "./layers.ts";
import type { Records } from "./records.ts";
import type { Shifted } from "./shifted.ts";
import type { RegistrySettings } from "./registry-settings.ts";
import type { Uses } from "./uses.ts";

export interface Parts {
  readonly directory: string;
  readonly blobs: Blobs;
  readonly layers: Layers;
  /** Of layers, for containers whose mounts cannot map ids. */
  readonly shifted: Shifted;
  readonly records: Records;
  readonly uses: Uses;
  readonly pins: Pins;
  /** Of blobs that are archives of layers, while somebody needs them as such: a tree is no substitute for them. */
  readonly archives: ArchivePins;
  readonly gate: Turns;
  readonly settings: ReadImageSettings;
  readonly registries: RegistrySettings;
  readonly cluster: ClusterImages;
  /** Of all that comes from other hosts. */
  readonly pace: Pace;
  /** How fast that and what registries give became layers. */
  readonly rate: FetchRate;
}

/** How often each digest is pinned. Bounded by the operations that run. */
export class Pins {
  readonly #counts = new Map<string, number>();

  has(digest: string): boolean {
    return this.#counts.has(digest);
  }

  all(): ReadonlySet<string> {
    return new Set(this.#counts.keys());
  }

  /** To be called with the gate held; what it returns lets go, once. */
  add(digests: readonly string[]): () => void {
    for (const digest of digests) this.#counts.set(digest, (this.#counts.get(digest) ?? 0) + 1);
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      for (const digest of digests) {
        const left = (this.#counts.get(digest) ?? 1) - 1;
        if (left === 0) this.#counts.delete(digest);
        else this.#counts.set(digest, left);
      }
    };
  }
}

/** Whoever needs an archive longer than who brought it removes it for them. */
export class ArchivePins extends Pins {
  readonly #unwanted = new Set<string>();

  /** To be called with the gate held: it is removed when nobody needs it any more. False when nobody does now. */
  postpone(digest: string): boolean {
    if (!this.has(digest)) return false;
    this.#unwanted.add(digest);
    return true;
  }

  /** Those of these that nobody needs any more and that were to be removed. Asked once for each. */
  due(digests: readonly string[]): string[] {
    return digests.filter((digest) => !this.has(digest) && this.#unwanted.delete(digest));
  }
}

/** Runs `work` with the gate held: short, and nothing in it waits for a network. */
export const inGate = <T>({ gate }: Parts, work: () => Promise<T>): Promise<T> => gate.run(NEVER, work);

/** Ends a hold on something; may remove what nobody needs then. */
export type LetGo = () => unknown;

export const pin = (parts: Parts, digests: readonly string[]): Promise<() => void> =>
  inGate(parts, () => Promise.resolve(parts.pins.add(digests)));
