/**
 * From the name of an image to layers that are ready to be mounted. Asks the registry only for what is not here: a name
 * with a digest never twice, a tag other than `latest` only once, `latest` at every use (and what is here will do when
 * the registry does not answer).
 */
import { createHash } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { arch } from "node:os";
import { join } from "node:path";
import Type, { type Static } from "typebox";
import {
  decoder,
  formatImageReference,
  parseImageReference,
  signalOf,
  type ImageReference,
  type Result,
} from "@berth/schema";
import {
  architectureOf,
  checkConfig,
  chooseManifest,
  decodeConfig,
  decodeIndex,
  decodeManifest,
  isIndex,
  type Descriptor,
  type ImageConfig,
  type ImageManifest,
} from "../../core/images/manifest.ts";
import { SharedWork } from "../../core/shared-work.ts";
import type { PreparedImage } from "../../core/images/prepared.ts";
import { readSealed, writeSealed } from "../files/atomic-file.ts";
import { openBlobs, type Blobs } from "./blobs.ts";
import { openLayers, type Layers } from "./layers.ts";
import { openRegistry, type Registry } from "./registry.ts";
import { RegistryFailure } from "./registry-session.ts";
import type { RegistrySettings } from "./registry-settings.ts";

const DOWNLOADS = 3;
const nothing = (): Record["defaults"] => ({ command: [], env: {}, workdir: "/", user: "", stopSignal: null });

const RecordSchema = Type.Object({
  version: Type.Literal(1),
  name: Type.String(),
  manifest: Type.String(),
  /** Bottom first, as in the image's configuration. */
  diffIds: Type.Array(Type.String()),
  defaults: Type.Object({
    command: Type.Array(Type.String()),
    env: Type.Record(Type.String(), Type.String()),
    workdir: Type.String(),
    user: Type.String(),
    stopSignal: Type.Union([Type.Integer(), Type.Null()]),
  }),
});
type Record = Static<typeof RecordSchema>;
const decodeRecord = decoder(RecordSchema);

export interface OciStore {
  readonly prepare: (image: string, signal: AbortSignal) => Promise<PreparedImage>;
}

const valueOf = <T>(result: Result<T, string>, about: string): T => {
  if (result.ok) return result.value;
  throw new RegistryFailure(`${about}: ${result.error}`, false);
};

/** `SIGQUIT`, `QUIT` or `3`; anything else is no signal, and the usual one is sent. */
export const signalNumber = (text: string): number | null => {
  const number = /^\d{1,2}$/.test(text) ? Number(text) : signalOf(text.toUpperCase());
  return number !== undefined && number >= 1 && number <= 64 ? number : null;
};

const defaultsOf = ({ config }: ImageConfig): Record["defaults"] => {
  if (config === undefined || config === null) return nothing();
  const env: { [name: string]: string } = {};
  for (const pair of config.Env ?? []) {
    const at = pair.indexOf("=");
    if (at > 0) env[pair.slice(0, at)] = pair.slice(at + 1);
  }
  return {
    command: [...(config.Entrypoint ?? []), ...(config.Cmd ?? [])],
    env,
    workdir: config.WorkingDir === undefined || config.WorkingDir === "" ? "/" : config.WorkingDir,
    user: config.User ?? "",
    stopSignal: signalNumber(config.StopSignal ?? ""),
  };
};

class Store implements OciStore {
  readonly #blobs: Blobs;
  readonly #layers: Layers;
  readonly #records: string;
  readonly #settings: RegistrySettings;
  readonly #running = new SharedWork<PreparedImage>();

  constructor(parts: { blobs: Blobs; layers: Layers; records: string; settings: RegistrySettings }) {
    this.#blobs = parts.blobs;
    this.#layers = parts.layers;
    this.#records = parts.records;
    this.#settings = parts.settings;
  }

  async prepare(image: string, signal: AbortSignal): Promise<PreparedImage> {
    const reference = valueOf(parseImageReference(image), image);
    const name = formatImageReference(reference);
    return this.#running.run(name, signal, (shared) => this.#prepare(reference, name, shared));
  }

  async #prepare(reference: ImageReference, name: string, signal: AbortSignal): Promise<PreparedImage> {
    const record = await this.#recordOf(name);
    if (record !== undefined && (reference.digest !== undefined || reference.tag !== "latest")) {
      return this.#prepared(record);
    }
    const registry = openRegistry(this.#settings);
    try {
      return this.#prepared(await this.#pull(registry, reference, name, signal));
    } catch (error) {
      if (record !== undefined && error instanceof RegistryFailure && error.retry) return this.#prepared(record);
      throw error;
    } finally {
      await registry.close();
    }
  }

  /** What a record says, if all of it is still here. */
  async #recordOf(name: string): Promise<Record | undefined> {
    const sealed = await readSealed(this.#recordPath(name));
    const decoded = sealed.kind === "value" ? decodeRecord(sealed.value) : undefined;
    if (decoded === undefined || !decoded.ok || decoded.value.name !== name) return undefined;
    const here = await Promise.all(decoded.value.diffIds.map((diffId) => this.#layers.has(diffId)));
    return here.every(Boolean) ? decoded.value : undefined;
  }

  #recordPath(name: string): string {
    return join(this.#records, `${createHash("sha256").update(name).digest("hex")}.json`);
  }

  #prepared({ diffIds, defaults }: Record): PreparedImage {
    /* Overlayfs wants the topmost first; a layer that appears twice is mounted once, as the upper of the two. */
    const topFirst = [...new Set(diffIds.toReversed())];
    return { layers: topFirst.map((diffId) => this.#layers.path(diffId)), defaults };
  }

  async #pull(registry: Registry, reference: ImageReference, name: string, signal: AbortSignal): Promise<Record> {
    const architecture = architectureOf(arch());
    const { manifest, digest } = await this.#manifest(registry, reference, architecture, name, signal);
    await this.#fetch(registry, reference, manifest.config, signal);
    const configBytes = await this.#blobs.read(manifest.config.digest);
    if (configBytes === undefined) throw new Error(`${manifest.config.digest} has vanished`);
    const config = valueOf(checkConfig(manifest, valueOf(decodeConfig(configBytes), name), architecture), name);
    await this.#bring(registry, reference, manifest, config, signal);
    const record: Record = {
      version: 1,
      name,
      manifest: digest,
      diffIds: [...config.rootfs.diff_ids],
      defaults: defaultsOf(config),
    };
    await writeSealed(this.#recordPath(name), record, { durable: true });
    return record;
  }

  async #manifest(
    registry: Registry,
    reference: ImageReference,
    architecture: string,
    name: string,
    signal: AbortSignal,
  ): Promise<{ readonly manifest: ImageManifest; readonly digest: string }> {
    let document = await registry.document(reference, reference.target, signal);
    if (isIndex(document.mediaType, document.bytes)) {
      const index = valueOf(decodeIndex(document.bytes), name);
      const chosen = valueOf(chooseManifest(index, architecture), name);
      document = await registry.document(reference, chosen.digest, signal);
    }
    const manifest = valueOf(decodeManifest(document.bytes), name);
    await this.#blobs.put(document.digest, document.bytes);
    return { manifest, digest: document.digest };
  }

  #fetch(registry: Registry, reference: ImageReference, descriptor: Descriptor, signal: AbortSignal): Promise<void> {
    return this.#blobs.fetch(
      descriptor,
      (from, aborted) => registry.blob(reference, descriptor, from, aborted),
      signal,
      () => undefined,
    );
  }

  /** A few layers at a time, each unpacked as soon as it is here. */
  async #bring(
    registry: Registry,
    reference: ImageReference,
    manifest: ImageManifest,
    config: ImageConfig,
    signal: AbortSignal,
  ): Promise<void> {
    const stop = new AbortController();
    const either = AbortSignal.any([signal, stop.signal]);
    const work = manifest.layers
      .map((descriptor, index) => ({ descriptor, diffId: config.rootfs.diff_ids[index] ?? "" }))
      .values();
    const worker = async (): Promise<void> => {
      for (const { descriptor, diffId } of work) {
        if (await this.#layers.has(diffId)) continue;
        await this.#fetch(registry, reference, descriptor, either);
        await this.#layers.unpack(diffId, this.#blobs.path(descriptor.digest), either);
        /* The tree has every byte of it; one copy is enough. */
        await this.#blobs.remove(descriptor.digest);
      }
    };
    const workers = Array.from({ length: DOWNLOADS }, worker);
    try {
      await Promise.all(workers);
    } catch (error) {
      stop.abort();
      await Promise.allSettled(workers);
      throw error;
    }
  }
}

export const openOciStore = async (directory: string, settings: RegistrySettings): Promise<OciStore> => {
  const records = join(directory, "records");
  await mkdir(records, { recursive: true, mode: 0o700 });
  return new Store({
    blobs: await openBlobs(join(directory, "blobs")),
    layers: await openLayers(join(directory, "layers")),
    records,
    settings,
  });
};
