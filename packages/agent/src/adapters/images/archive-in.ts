/**
 * Imports an archive as it comes: what `docker save`, `podman save`, `skopeo copy … oci-archive:` and `umoci` (a tar of
 * its layout) write; the root file system of a distribution becomes a machine (rootfs-in.ts). Every file goes straight
 * to its place among the blobs, verified by its digest or called by it; nothing is written anywhere else, and no name of
 * the archive becomes a path. What was taken stays pinned until its image has a name; the archive of an image that fails
 * is collected again.
 */
import { join, posix } from "node:path";
import { arch } from "node:os";
import {
  decodeLayoutIndex,
  decodeSaved,
  layerMediaType,
  namesOf,
  referenceOf,
  type LayoutIndex,
  type Saved,
} from "../../core/images/archive.ts";
import {
  architectureOf,
  chooseManifest,
  decodeIndex,
  isIndex,
  MAX_DOCUMENT_BYTES,
  MEDIA_TYPES,
} from "../../core/images/manifest.ts";
import { isMachineImage, isRootfs, lxcKind } from "../../core/images/machine.ts";
import { plainPath } from "../../core/images/tar.ts";
import type { Progress } from "../../core/images/progress.ts";
import { holdArchives } from "./collect.ts";
import { readContents, valueOf } from "./contents.ts";
import { pin, type LetGo, type Parts } from "./parts.ts";
import { settleImage } from "./pull.ts";
import { digestOf } from "./registry.ts";
import { importRootfs, importUnified } from "./rootfs-in.ts";
import { firstEntries, plainArchive, tarEntries, type TarEntry } from "./tar-entries.ts";

export interface ImportOptions {
  /** What the only image of the archive is called; null when the archive says it. */
  readonly name: string | null;
  readonly progress: Progress;
  readonly signal: AbortSignal;
  readonly note?: (text: string) => void;
}

interface Taken {
  readonly digest: string;
  readonly size: number;
  readonly start: Uint8Array;
}
interface Found {
  /** By path in the archive. */
  readonly files: Map<string, Taken>;
  readonly links: Map<string, string>;
  index: LayoutIndex | undefined;
  saved: Saved | undefined;
}
interface Image {
  readonly name: string;
  readonly manifest: string;
}

/** Files of this name are of an import that goes on, or that was killed. */
export const SPOOL = ".spool-";
let spools = 0;
const MAX_FILES = 10_000;
const isBlob = /^blobs\/sha256\/([0-9a-f]{64})$/;

const small = async (entry: TarEntry): Promise<Uint8Array> => {
  if (entry.size > MAX_DOCUMENT_BYTES)
    throw new Error(`${entry.path} has ${entry.size} bytes, which is too much for it`);
  const parts: Uint8Array[] = [];
  for await (const part of entry.body) parts.push(part);
  return Buffer.concat(parts);
};

/** Through links of the archive, which some tools make between layers; a circle leads nowhere. */
const fileAt = ({ files, links }: Found, path: string): Taken | undefined => {
  let at: string | undefined = plainPath(path);
  for (let step = 0; at !== undefined && step < 16; step += 1) {
    const file = files.get(at);
    if (file !== undefined) return file;
    at = links.get(at);
  }
  return undefined;
};

const takeEntry = async (parts: Parts, found: Found, entry: TarEntry, most: number, options: ImportOptions) => {
  const { path } = entry;
  if (entry.type === "symlink" || entry.type === "hardlink") {
    const target = plainPath(entry.type === "hardlink" ? entry.link : posix.join(posix.dirname(path), entry.link));
    if (target !== undefined && found.links.size < MAX_FILES) found.links.set(path, target);
    return;
  }
  if (entry.type !== "file") return;
  if (path === "index.json") found.index = valueOf(decodeLayoutIndex(await small(entry)), "the archive");
  else if (path === "manifest.json") found.saved = valueOf(decodeSaved(await small(entry)), "the archive");
  else {
    const hex = isBlob.exec(path)?.[1];
    if (hex === undefined && !/\.(tar|json|tar\.gz)$/.test(path)) return;
    if (found.files.size >= MAX_FILES) throw new Error(`the archive has more than ${MAX_FILES} files`);
    const label = hex === undefined ? path.slice(-128) : `sha256:${hex}`;
    const taken = await parts.blobs
      .take(
        entry.body,
        { size: entry.size, most, ...(hex === undefined ? {} : { digest: `sha256:${hex}` }) },
        (bytes) => {
          options.signal.throwIfAborted();
          options.progress.layer(label, "fetching", bytes, entry.size);
        },
      )
      .catch((error: unknown) => {
        throw new Error(`${path}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
      });
    options.progress.layer(label, "done", taken.size, taken.size);
    found.files.set(path, taken);
  }
};

const named = (names: readonly string[], options: ImportOptions, isOnly: boolean): string => {
  if (options.name !== null) {
    if (!isOnly) throw new Error("the archive holds several images: import it without a name");
    return valueOf(referenceOf(options.name), "the name");
  }
  const fitting = names.map(referenceOf).find((name) => name.ok);
  if (fitting?.ok === true) return fitting.value;
  const said = names.length === 0 ? "does not say what its image is called" : `calls its image "${names[0] ?? ""}"`;
  throw new Error(`the archive ${said}: give it a name like oci://registry.lan/app:1`);
};

/** Of an OCI layout. An entry that is an index is that of this machine. */
const imagesOfLayout = async (
  parts: Parts,
  found: Found,
  index: LayoutIndex,
  options: ImportOptions,
): Promise<Image[]> => {
  const images: Image[] = [];
  for (const entry of index.manifests) {
    const bytes =
      fileAt(found, `blobs/sha256/${entry.digest.slice("sha256:".length)}`) && (await parts.blobs.read(entry.digest));
    if (bytes === undefined) throw new Error(`the archive lacks ${entry.digest}, which its index.json names`);
    let manifest: string = entry.digest;
    if (isIndex(entry.mediaType, bytes)) {
      const inner = valueOf(decodeIndex(bytes), "the archive");
      manifest = valueOf(chooseManifest(inner, architectureOf(arch())), "the image").digest;
    }
    images.push({ name: named(namesOf(entry), options, index.manifests.length === 1), manifest });
  }
  return images;
};

/** Of `docker save`: the manifest is made here, from what the archive has. */
const imagesOfSaved = async (parts: Parts, found: Found, saved: Saved, options: ImportOptions): Promise<Image[]> => {
  const images: Image[] = [];
  for (const { Config, Layers, RepoTags } of saved) {
    const need = (path: string): Taken => {
      const file = fileAt(found, path);
      if (file === undefined) throw new Error(`the archive lacks ${path}, which its manifest.json names`);
      return file;
    };
    const config = need(Config);
    const layers = Layers.map(need);
    const manifest = Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: MEDIA_TYPES.manifest[0],
        config: { mediaType: "application/vnd.oci.image.config.v1+json", digest: config.digest, size: config.size },
        layers: layers.map(({ digest, size, start }) => ({ mediaType: layerMediaType(start), digest, size })),
      }),
    );
    const digest = digestOf(manifest);
    await parts.blobs.put(digest, manifest);
    const tags = RepoTags ?? [];
    const names = options.name !== null || tags.length === 0 ? [tags] : tags.map((tag) => [tag]);
    for (const one of names) images.push({ name: named(one, options, saved.length === 1), manifest: digest });
  }
  return images;
};

/** Resolves to the names that can be run now. Rejects with a sentence that names the place in the archive. */
export const importArchive = async (
  parts: Parts,
  source: AsyncIterable<Uint8Array>,
  options: ImportOptions,
): Promise<string[]> => {
  if (options.name !== null) valueOf(referenceOf(options.name), "the name");
  const { limits } = await parts.settings();
  const found: Found = { files: new Map(), links: new Map(), index: undefined, saved: undefined };
  const pins: LetGo[] = [];
  let total = 0;
  let close = async (): Promise<void> => undefined;
  try {
    const spool = join(parts.directory, `${SPOOL}${process.pid}-${(spools += 1)}`);
    const first = await firstEntries(await plainArchive(source, { file: spool, most: limits.bytes }));
    const { paths, all } = first;
    ({ close } = first);
    if (isRootfs(paths)) return await importRootfs(parts, all, options);
    const kind = lxcKind(paths);
    if (kind === "unified") return await importUnified(parts, all, options);
    if (kind === "metadata") {
      throw new Error(
        "this is the half of a split image (LXC, Incus) that describes it: import the other half, the root file system (rootfs.tar.xz, rootfs.squashfs)",
      );
    }
    for await (const entry of tarEntries(all)) {
      options.signal.throwIfAborted();
      total += entry.size;
      if (total > limits.bytes) throw new Error(`the archive has more than ${limits.bytes} bytes`);
      const before = found.files.size;
      await takeEntry(parts, found, entry, limits.bytes, options);
      if (found.files.size > before) pins.push(await holdArchives(parts, [found.files.get(entry.path)?.digest ?? ""]));
    }
    const images =
      found.index !== undefined && found.index.manifests.length > 0
        ? await imagesOfLayout(parts, found, found.index, options)
        : found.saved === undefined
          ? []
          : await imagesOfSaved(parts, found, found.saved, options);
    if (images.length === 0) {
      throw new Error(
        "the archive holds no image: there is neither an index.json (OCI layout) nor a manifest.json (docker save), nor is it the root of a distribution",
      );
    }
    const lacks = (digest: string) => () => Promise.reject(new Error(`the archive lacks the layer ${digest}`));
    for (const { name, manifest } of images) {
      pins.push(await pin(parts, [manifest]));
      const contents = await readContents(parts, manifest, name);
      // Whoever made the image is not the one who imports it.
      if (isMachineImage(name, contents.config)) {
        throw new Error(`${name} calls itself a whole distribution: import the tar of its root file system instead`);
      }
      await settleImage(
        parts,
        { name, manifestDigest: manifest, contents, source: "import" },
        async (descriptor) => {
          if (!(await parts.blobs.has(descriptor.digest))) await lacks(descriptor.digest)();
        },
        options,
      );
    }
    return images.map(({ name }) => name);
  } finally {
    for (const letGo of pins) await letGo();
    await close().catch(() => undefined);
  }
};
