/**
 * From the name of an image to layers that are ready to be mounted. Asks the registry only for what is not here: a name
 * with a digest never twice, a tag other than `latest` only once, `latest` at every use (and what is here will do when
 * the registry does not answer). What was imported is never asked for.
 */
import { createHash } from "node:crypto";
import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import {
  BLOB_CHUNK_BYTES,
  err,
  formatImageReference,
  LOCAL_REGISTRY,
  parseDistroReference,
  parseImageReference,
  problem,
  type ImageDetail,
  type ImageOnHost,
  type ImageReference,
  type LayerProgress,
} from "@berth/schema";
import { FetchRate } from "../../core/images/fetch-rate.ts";
import { NO_DEFAULTS, type PreparedImage } from "../../core/images/prepared.ts";
import { Pace } from "../../core/pace.ts";
import { DEFAULT_ID_BASE } from "../../core/slots.ts";
import { Turns } from "../../core/turns.ts";
import type { ClusterImages, ImageVerbs, ImageWork, PrepareOptions, WrittenTree } from "../../ports/images.ts";
import { importArchive, SPOOL } from "./archive-in.ts";
import { exportArchive } from "./archive-out.ts";
import { openBlobs } from "./blobs.ts";
import { Bringer } from "./bring.ts";
import { buildRootfs, cannotBuild, hostMirrors } from "./build-distro.ts";
import { checkStore } from "./check.ts";
import { collect, excessOfStore, prune, removeImage, usesOf, type Removed } from "./collect.ts";
import { commitImage, packed } from "./commit.ts";
import { readContents, valueOf } from "./contents.ts";
import { explained } from "./full-disk.ts";
import { createHeldFacts, type HeldFacts } from "./held.ts";
import type { ReadImageSettings } from "./image-settings.ts";
import { openLayers } from "./layers.ts";
import { ArchivePins, inGate, Pins, type Parts } from "./parts.ts";
import { pushImage } from "./push.ts";
import { openRecords } from "./records.ts";
import { RegistryFailure } from "./registry-session.ts";
import type { RegistrySettings } from "./registry-settings.ts";
import { openShifted } from "./shifted.ts";
import { openUses } from "./uses.ts";
import { forgetOwnIds, withOwnIds } from "./own-ids.ts";

export interface OciStore extends ImageVerbs {
  /** `holder` keeps the layers from being collected until it is released. */
  readonly prepare: (image: string, holder: string, options: PrepareOptions) => Promise<PreparedImage>;
  /** The same of one that is no image of the store but this one directory. */
  readonly prepareTree: (
    image: string,
    directory: string,
    holder: string,
    options: PrepareOptions,
  ) => Promise<PreparedImage>;
  readonly unmount: (holder: string) => Promise<void>;
  readonly release: (holder: string) => Promise<void>;
  readonly holders: () => readonly string[];
  /** What `holder` has mounted, topmost first; undefined when it holds nothing. */
  readonly layersOf: (holder: string) => readonly string[] | undefined;
  readonly facts: HeldFacts;
  readonly bringing: (image: string) => LayerProgress[];
  /** Bytes that its marks ask to be freed of the disk, wherever on it. */
  readonly excess: () => Promise<number>;
  /** Keeps the store below its marks. */
  readonly collect: () => Promise<Removed>;
}

const BUILD = "build";
const LAYERS = "layers";
/** Of a host that has no others. */
const ALONE: ClusterImages = {
  find: () => Promise.resolve(undefined),
  read: (_image, digest) => Promise.resolve(err(problem("image.not_found", `there is no other host with ${digest}`))),
};

class Store implements OciStore {
  readonly facts: HeldFacts;
  readonly #parts: Parts;
  readonly #bringer: Bringer;
  /** A build has the processor and the one range of ids to itself. */
  readonly #buildTurns = new Turns(1);
  readonly #commitTurns = new Turns(1);
  readonly #buildIds: number;

  constructor(parts: Parts, parallelPulls: number, buildIds: number) {
    this.#parts = parts;
    this.facts = createHeldFacts(parts);
    this.#bringer = new Bringer(parts, parallelPulls);
    this.#buildIds = buildIds;
  }

  async prepare(image: string, holder: string, options: PrepareOptions): Promise<PreparedImage> {
    const prepared = await this.#held(image, holder, options);
    const { directory, uses } = this.#parts;
    const use = uses.holders().get(holder);
    if (use === undefined) return prepared;
    const trees = use.diffIds.map((diffId) => ({ diffId, from: this.#parts.layers.path(diffId) }));
    return await withOwnIds(this.#parts, { holder, use, prepared, trees, about: join(directory, LAYERS) }, options);
  }

  prepareTree(image: string, directory: string, holder: string, options: PrepareOptions): Promise<PreparedImage> {
    const prepared = { layers: [directory], defaults: NO_DEFAULTS };
    const trees = [{ diffId: `sha256:${createHash("sha256").update(image).digest("hex")}`, from: directory }];
    const use = { image, diffIds: [] };
    return withOwnIds(this.#parts, { holder, use, prepared, trees, about: directory }, options);
  }

  async unmount(holder: string): Promise<void> {
    await forgetOwnIds(this.#parts, holder);
  }

  async release(holder: string): Promise<void> {
    await forgetOwnIds(this.#parts, holder);
    await this.#parts.uses.remove(holder);
  }

  async #held(image: string, holder: string, { manifest, signal }: PrepareOptions): Promise<PreparedImage> {
    const reference = valueOf(parseImageReference(image), image);
    const name = formatImageReference(reference);
    if (manifest !== undefined) return await this.#heldExactly(reference, manifest, holder, signal);
    const known = await this.#parts.records.read(name);
    const isFixed = reference.digest !== undefined || reference.tag !== "latest";
    const isOurs = known?.source === "import" || (known === undefined && reference.registry === LOCAL_REGISTRY);
    const isBorrowed = known?.source === "cluster";
    /* What was imported elsewhere may have been imported again since; what is here will do when nobody answers. */
    const elsewhere = isBorrowed ? await this.#parts.cluster.find(name) : undefined;
    const isSame = elsewhere === undefined || elsewhere.manifest === known?.manifest;
    if ((isFixed || isOurs || isBorrowed) && isSame) {
      const here = await this.#hold(name, holder);
      if (here !== undefined) return here;
    }
    if (known?.source === "import" && (await this.#parts.cluster.find(name))?.imported !== true) {
      throw new Error(`${name} was imported, and parts of it are not here any more: import it again`);
    }
    try {
      await this.#bringer.bring(reference, name, signal);
    } catch (error) {
      const mayDo = !signal.aborted && error instanceof RegistryFailure && error.retry;
      const here = mayDo ? await this.#hold(name, holder) : undefined;
      if (here !== undefined) return here;
      throw error;
    }
    const brought = await this.#hold(name, holder);
    if (brought === undefined) throw new Error(`${name} was removed while it was brought`);
    return brought;
  }

  holders(): readonly string[] {
    return [...this.#parts.uses.holders().keys()];
  }

  layersOf(holder: string): readonly string[] | undefined {
    const use = this.#parts.uses.holders().get(holder);
    return use === undefined ? undefined : this.#mounted(use.diffIds);
  }

  async pull(image: string, { progress, signal }: ImageWork): Promise<string> {
    const reference = valueOf(parseImageReference(image), image);
    const name = formatImageReference(reference);
    await this.#bringer.bring(reference, name, signal, progress);
    return name;
  }

  push(image: string, to: string | null, options: ImageWork) {
    return pushImage(this.#parts, this.#named(image), to, options);
  }

  cannotBuild(): string | undefined {
    return cannotBuild();
  }

  async build(image: string, mirror: string | null, options: ImageWork): Promise<string[]> {
    const reference = valueOf(parseDistroReference(image), image);
    const { distros } = await this.#parts.settings();
    const apt = hostMirrors();
    const from = mirror ?? distros.mirror ?? apt?.mirror;
    if (from === undefined) {
      throw new Error(
        "this host's apt has no mirror of Debian: name one with --mirror, or as distros.mirror in its images.json",
      );
    }
    /* Who names a mirror of their own may be where no other can be reached. */
    const securityMirror = distros.securityMirror ?? (mirror === null ? apt?.securityMirror : undefined);
    return await this.#buildTurns.run(options.signal, () => {
      const rootfs = buildRootfs({
        ...options,
        reference,
        from: { mirror: from, securityMirror, keyring: distros.keyring },
        directory: join(this.#parts.directory, BUILD),
        idBase: this.#buildIds,
        mostBytes: distros.bytes,
      });
      return this.take(rootfs, { ...options, name: image });
    });
  }

  async take(
    archive: AsyncIterable<Uint8Array>,
    options: ImageWork & { readonly name: string | null },
  ): Promise<string[]> {
    return await this.#wholeOrNothing(() => importArchive(this.#parts, archive, options));
  }

  give(image: string, format: "oci" | "docker", options: ImageWork): AsyncIterable<Uint8Array> {
    return exportArchive(this.#parts, this.#named(image), format, options);
  }

  async list(): Promise<ImageOnHost[]> {
    const { images } = await this.#parts.records.list();
    return Promise.all(
      images.map(async ({ record, usedAtMs }) => ({
        name: record.name,
        source: record.source ?? "registry",
        manifest: record.manifest,
        sizeBytes: (await Promise.all(record.diffIds.map((id) => this.#sizeOf(id)))).reduce((sum, one) => sum + one, 0),
        layers: record.diffIds.length,
        uses: usesOf(this.#parts, record.name).length,
        broughtAtMs: record.broughtAtMs ?? usedAtMs,
        usedAtMs,
      })),
    );
  }

  async inspect(image: string): Promise<ImageDetail | undefined> {
    const name = this.#named(image);
    const record = await this.#parts.records.read(name);
    if (record === undefined) return undefined;
    const { manifest, config, layers } = await readContents(this.#parts, record.manifest, name);
    const known = (await this.#parts.records.list()).images.find((one) => one.record.name === name);
    return {
      name,
      source: record.source ?? "registry",
      manifest: record.manifest,
      config: manifest.config.digest,
      architecture: config.architecture,
      ...record.defaults,
      layers: await Promise.all(
        layers.map(async ({ descriptor, diffId }) => ({
          digest: descriptor.digest,
          diffId,
          archiveBytes: descriptor.size,
          sizeBytes: await this.#sizeOf(diffId),
          archiveHere: await this.#parts.blobs.has(descriptor.digest),
        })),
      ),
      usedBy: usesOf(this.#parts, name).slice(0, 1000),
      broughtAtMs: record.broughtAtMs ?? 0,
      usedAtMs: known?.usedAtMs ?? 0,
    };
  }

  bringing(image: string): LayerProgress[] {
    return this.#bringer.bringing(this.#named(image));
  }

  remove(image: string): Promise<Removed> {
    return removeImage(this.#parts, this.#named(image));
  }

  blob(digest: string, offset: number) {
    return this.#parts.blobs.piece(digest, offset, BLOB_CHUNK_BYTES);
  }

  prune(all: boolean): Promise<Removed> {
    return prune(this.#parts, all);
  }

  check(repair: boolean, options: ImageWork) {
    return checkStore(this.#parts, { ...options, repair });
  }

  commit(written: WrittenTree, image: string, options: ImageWork & { readonly isNew: boolean }): Promise<string> {
    const what = { name: this.#named(image), isNew: options.isNew };
    const make = () => this.#wholeOrNothing(() => commitImage(this.#parts, written, what, options));
    return this.#commitTurns.run(options.signal, make);
  }

  giveRoot(written: WrittenTree, options: ImageWork): AsyncIterable<Uint8Array> {
    return packed({ ...written, kind: "root", mostBytes: Number.MAX_SAFE_INTEGER }, options);
  }

  async excess(): Promise<number> {
    // Marks of the store alone say nothing of the disk.
    const { marks } = await this.#parts.settings();
    return marks.unit === "bytes" ? 0 : await excessOfStore(this.#parts);
  }

  collect(): Promise<Removed> {
    return collect(this.#parts);
  }

  async #wholeOrNothing<T>(make: () => Promise<T>): Promise<T> {
    try {
      return await make();
    } catch (error) {
      /* What came of it has no name, and nobody will ask for it. */
      await prune(this.#parts, false).catch(() => undefined);
      throw explained(error);
    }
  }

  /** What the cluster says that the name stands for, and nothing else, whatever is here under it. */
  async #heldExactly(
    reference: ImageReference,
    manifest: string,
    holder: string,
    signal: AbortSignal,
  ): Promise<PreparedImage> {
    const name = formatImageReference(reference);
    /* What was imported here under this name, and is another image now, stays what it is. */
    const apart = formatImageReference({ ...reference, digest: manifest });
    const { records } = this.#parts;
    const hold = async (): Promise<PreparedImage | undefined> =>
      (await this.#hold(name, holder, manifest)) ?? (await this.#hold(apart, holder, manifest));
    const here = await hold();
    if (here !== undefined) return here;
    const known = await records.read(name);
    const as = known?.source === "import" && known.manifest !== manifest ? apart : name;
    await this.#bringer.bringExactly(reference, { manifest, as }, signal);
    const brought = await hold();
    if (brought === undefined) throw new Error(`${name} was removed while it was brought`);
    return brought;
  }

  #named(image: string): string {
    return formatImageReference(valueOf(parseImageReference(image), image));
  }

  async #sizeOf(diffId: string): Promise<number> {
    return (await this.#parts.layers.seal(diffId))?.bytes ?? 0;
  }

  /** The image as it is here, held from now on; undefined when something of it is missing, or it is not the one wanted. */
  #hold(name: string, holder: string, manifest?: string): Promise<PreparedImage | undefined> {
    const { layers, records, uses } = this.#parts;
    return inGate(this.#parts, async () => {
      const record = await records.read(name);
      if (record === undefined || record.manifest !== (manifest ?? record.manifest)) return undefined;
      const here = await Promise.all(record.diffIds.map((diffId) => layers.has(diffId)));
      if (!here.every(Boolean)) return undefined;
      await uses.add(holder, { image: name, diffIds: record.diffIds });
      void records.touch(name);
      return { layers: this.#mounted(record.diffIds), defaults: record.defaults };
    });
  }

  /** Overlayfs wants the topmost first; a layer that appears twice is mounted once, as the upper of the two. */
  #mounted(diffIds: readonly string[]): readonly string[] {
    return [...new Set(diffIds.toReversed())].map((diffId) => this.#parts.layers.path(diffId));
  }
}

export const openOciStore = async (
  directory: string,
  registries: RegistrySettings,
  settings: ReadImageSettings,
  cluster: ClusterImages = ALONE,
  buildIds: number = DEFAULT_ID_BASE,
): Promise<OciStore> => {
  await mkdir(directory, { recursive: true, mode: 0o711 });
  /* Of builds and imports that were killed with their agent. */
  for (const name of await readdir(directory)) {
    if (name === BUILD || name.startsWith(SPOOL)) await rm(join(directory, name), { recursive: true, force: true });
  }
  const uses = await openUses(join(directory, "uses"));
  const live = new Set([...uses.holders().values()].flatMap(({ idBase }) => idBase ?? []));
  const parts: Parts = {
    directory,
    blobs: await openBlobs(join(directory, "blobs")),
    layers: await openLayers(join(directory, LAYERS)),
    shifted: await openShifted(join(directory, "shifted"), live),
    records: await openRecords(join(directory, "records")),
    uses,
    pins: new Pins(),
    archives: new ArchivePins(),
    gate: new Turns(1),
    settings,
    registries,
    cluster,
    pace: new Pace(),
    rate: new FetchRate(),
  };
  const { parallelPulls } = await settings();
  return new Store(parts, parallelPulls, buildIds);
};
