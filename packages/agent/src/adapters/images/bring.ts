/**
 * Brings images that are not here: once however many ask, a few at a time, from their registry or from other hosts, and
 * once more when the disk was full and something could be removed.
 */
import { distroOf, LOCAL_REGISTRY, type ImageReference, type LayerProgress } from "@berth/schema";
import { copyProgress, createProgress, type Progress } from "../../core/images/progress.ts";
import { SharedWork } from "../../core/shared-work.ts";
import { Turns } from "../../core/turns.ts";
import type { ImageWork } from "../../ports/images.ts";
import { bringFromCluster, elsewhereToo } from "./cluster.ts";
import { collect } from "./collect.ts";
import { explained, isFull } from "./full-disk.ts";
import type { Parts } from "./parts.ts";
import { pullImage } from "./pull.ts";
import type { ImageRecord } from "./records.ts";
import { RegistryFailure } from "./registry-session.ts";

export class Bringer {
  readonly #parts: Parts;
  readonly #running = new SharedWork<ImageRecord>();
  readonly #pulling = new Map<string, Progress>();
  readonly #turns: Turns;

  constructor(parts: Parts, parallelPulls: number) {
    this.#parts = parts;
    this.#turns = new Turns(parallelPulls);
  }

  /** How far the image of this name is; empty when it is not being brought. */
  bringing(name: string): LayerProgress[] {
    return this.#pulling.get(name)?.snapshot() ?? [];
  }

  /** Pulls it, once however many ask. Whoever asks with a progress sees that of the one that works. */
  bring(reference: ImageReference, name: string, signal: AbortSignal, follow?: Progress): Promise<void> {
    return this.#bring(name, name, (options) => this.#pullFromAny(reference, name, options), signal, follow);
  }

  /** From other hosts, what the name stands for in the cluster, to be called `as` here. */
  bringExactly(
    reference: ImageReference,
    { as, manifest }: { readonly as: string; readonly manifest: string },
    signal: AbortSignal,
  ): Promise<void> {
    return this.#bring(
      as,
      `${as} ${manifest}`,
      (options) => bringFromCluster(this.#parts, reference, { as, manifest }, options),
      signal,
    );
  }

  /** `what` it is that who comes later shares. */
  async #bring(
    name: string,
    what: string,
    pull: (options: ImageWork) => Promise<ImageRecord>,
    signal: AbortSignal,
    follow?: Progress,
  ): Promise<void> {
    const timer =
      follow === undefined
        ? undefined
        : setInterval(() => {
            copyProgress(this.#pulling.get(name), follow);
          }, 200);
    try {
      await this.#running.run(what, signal, async (shared) => {
        const progress = createProgress();
        this.#pulling.set(name, progress);
        try {
          return await this.#turns.run(shared, () => this.#pullWithRoom(pull, { progress, signal: shared }));
        } finally {
          copyProgress(progress, follow);
          this.#pulling.delete(name);
        }
      });
    } finally {
      clearInterval(timer);
    }
    await collect(this.#parts).catch(() => undefined);
  }

  /** A full disk is cleaned once, whatever the marks say, and then the pull goes on where it ended. */
  async #pullWithRoom(pull: (options: ImageWork) => Promise<ImageRecord>, options: ImageWork): Promise<ImageRecord> {
    try {
      return await pull(options);
    } catch (error) {
      if (options.signal.aborted || !isFull(error)) throw error;
      const { freedBytes } = await collect(this.#parts, Number.MAX_SAFE_INTEGER);
      if (freedBytes === 0) throw explained(error);
      return await pull(options).catch((again: unknown) => {
        throw explained(again);
      });
    }
  }

  /**
   * A name of the cluster's own comes from whoever imported it. Any other is its registry's to say, and no host's; other
   * hosts give what a registry does not while it cannot be reached.
   */
  async #pullFromAny(reference: ImageReference, name: string, options: ImageWork): Promise<ImageRecord> {
    const parts = this.#parts;
    const found = await parts.cluster.find(name);
    const bring = (manifest: string) => bringFromCluster(parts, reference, { manifest, as: name }, options);
    if (reference.registry === LOCAL_REGISTRY) {
      if (found?.imported === true) return bring(found.manifest);
      const distro = distroOf(reference.repository, reference.tag);
      const how = distro === undefined ? "import it (berth image import)" : `build it (berth image build ${distro})`;
      throw new Error(`no other host that answers has ${name}, as the cluster knows it: ${how}`);
    }
    try {
      return await pullImage(parts, reference, name, options);
    } catch (error) {
      // A digest that is of an index of several platforms is proven by its registry alone.
      const isProven = reference.digest === undefined || reference.digest === found?.manifest;
      const mayDo =
        found !== undefined && isProven && !options.signal.aborted && error instanceof RegistryFailure && error.retry;
      if (!mayDo) throw found === undefined ? error : elsewhereToo(error, name);
      return bring(found.manifest);
    }
  }
}
