/**
 * Exports an image as an archive, piece by piece: an OCI layout or what `docker load` reads. The bytes of its blobs are
 * those that the registry has; archives that are not kept are fetched from there first.
 */
import { createReadStream } from "node:fs";
import { LOCAL_REGISTRY, parseImageReference, type ImageReference } from "@berth/schema";
import { TAR_END, tarHeader, tarPadding } from "../../core/images/tar.ts";
import { MEDIA_TYPES } from "../../core/images/manifest.ts";
import type { ImageWork } from "../../ports/images.ts";
import { fetchFromCluster } from "./cluster.ts";
import { heldArchives, removeArchive } from "./collect.ts";
import { readContents, valueOf, type Contents } from "./contents.ts";
import { inGate, type Parts } from "./parts.ts";
import { fetchArchives } from "./pull.ts";
import type { ImageRecord } from "./records.ts";

export interface Whole {
  readonly record: ImageRecord;
  readonly reference: ImageReference;
  readonly manifest: string;
  readonly contents: Contents;
  /** To be called when the blobs are needed no more, or an image that needs them has a name. */
  readonly release: () => Promise<void>;
}

/** What a name leads to now, and everything of it pinned before anybody can collect it. */
const holdImage = (parts: Parts, name: string) =>
  inGate(parts, async () => {
    const record = await parts.records.read(name);
    if (record === undefined) throw new Error(`there is no image ${name} on this host`);
    const contents = await readContents(parts, record.manifest, name);
    const archives = contents.layers.map(({ descriptor }) => descriptor.digest);
    const others = [record.manifest, contents.manifest.config.digest, ...record.diffIds];
    return { record, contents, letGo: heldArchives(parts, archives, others) };
  });

/** Everything of an image, pinned, as blobs: what is only here unpacked comes from its registry once more. */
export const wholeImage = async (parts: Parts, name: string, options: ImageWork): Promise<Whole> => {
  const reference = valueOf(parseImageReference(name), name);
  const { contents, letGo, record } = await holdImage(parts, name);
  const descriptors = contents.layers.map(({ descriptor }) => descriptor);
  const fetched: string[] = [];
  const release = async (): Promise<void> => {
    await letGo();
    const { keepArchives } = await parts.settings();
    if (keepArchives === "all") return;
    for (const digest of fetched) if (!parts.pins.has(digest)) await removeArchive(parts, digest);
  };
  try {
    const absent = new Map<string, (typeof descriptors)[number]>();
    for (const descriptor of descriptors) {
      if (!(await parts.blobs.has(descriptor.digest))) absent.set(descriptor.digest, descriptor);
    }
    fetched.push(...absent.keys());
    /* What was made from a container here has its lower layers from elsewhere. */
    const from = record.base === undefined ? reference : valueOf(parseImageReference(record.base), record.base);
    const isOurs = record.source === "cluster" || from.registry === LOCAL_REGISTRY;
    const found = absent.size > 0 && isOurs ? await parts.cluster.find(name) : undefined;
    if (found?.manifest === record.manifest) await fetchFromCluster(parts, name, [...absent.values()], options);
    else if (absent.size > 0 && from.registry === LOCAL_REGISTRY) {
      throw new Error(
        `${name}: the archives of its layers are not kept here, and neither a registry nor another host has them`,
      );
    } else if (absent.size > 0) await fetchArchives(parts, from, [...absent.values()], options);
    return { record, reference, manifest: record.manifest, contents, release };
  } catch (error) {
    await release();
    throw error;
  }
};

type Piece = { readonly path: string; readonly bytes: Uint8Array } | { readonly path: string; readonly digest: string };

const json = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value));
const hexOf = (digest: string): string => digest.slice("sha256:".length);

const layoutPieces = (name: string, { contents, manifest }: Whole): Piece[] => {
  const digests = [manifest, contents.manifest.config.digest, ...contents.manifest.layers.map(({ digest }) => digest)];
  const index = {
    schemaVersion: 2,
    mediaType: MEDIA_TYPES.index[0],
    manifests: [
      {
        mediaType: manifestType(contents.bytes),
        digest: manifest,
        size: contents.bytes.length,
        annotations: { "org.opencontainers.image.ref.name": name.slice("oci://".length) },
      },
    ],
  };
  return [
    { path: "oci-layout", bytes: json({ imageLayoutVersion: "1.0.0" }) },
    ...[...new Set(digests)].map((digest) => ({ path: `blobs/sha256/${hexOf(digest)}`, digest })),
    { path: "index.json", bytes: json(index) },
  ];
};

const savedPieces = ({ contents, reference }: Whole): Piece[] => {
  const { config, layers } = contents.manifest;
  const file = (digest: string): string => `${hexOf(digest)}.tar`;
  const { registry, repository, tag } = reference;
  const tags = tag === undefined ? [] : [`${registry === LOCAL_REGISTRY ? "" : `${registry}/`}${repository}:${tag}`];
  const saved = [
    { Config: `${hexOf(config.digest)}.json`, RepoTags: tags, Layers: layers.map(({ digest }) => file(digest)) },
  ];
  return [
    { path: `${hexOf(config.digest)}.json`, digest: config.digest },
    ...[...new Set(layers.map(({ digest }) => digest))].map((digest) => ({ path: file(digest), digest })),
    { path: "manifest.json", bytes: json(saved) },
  ];
};

/** What a manifest says it is; those that do not say are OCI's. */
export const manifestType = (bytes: Uint8Array): string => {
  const { mediaType } = JSON.parse(Buffer.from(bytes).toString("utf8")) as { readonly mediaType?: unknown };
  return typeof mediaType === "string" ? mediaType : MEDIA_TYPES.manifest[0];
};

export async function* exportArchive(
  parts: Parts,
  name: string,
  format: "oci" | "docker",
  options: ImageWork,
): AsyncGenerator<Uint8Array> {
  const whole = await wholeImage(parts, name, options);
  try {
    if (format === "oci") yield tarHeader("blobs", 0, "directory");
    if (format === "oci") yield tarHeader("blobs/sha256", 0, "directory");
    for (const piece of format === "oci" ? layoutPieces(name, whole) : savedPieces(whole)) {
      if ("bytes" in piece) {
        yield tarHeader(piece.path, piece.bytes.length);
        yield piece.bytes;
        yield tarPadding(piece.bytes.length);
        continue;
      }
      const size = await parts.blobs.size(piece.digest);
      if (size === undefined) throw new Error(`${piece.digest} is not here any more`);
      yield tarHeader(piece.path, size);
      let sent = 0;
      options.progress.layer(piece.digest, "sending", 0, size);
      for await (const bytes of createReadStream(parts.blobs.path(piece.digest), { highWaterMark: 262_144 })) {
        options.signal.throwIfAborted();
        sent += (bytes as Uint8Array).length;
        options.progress.layer(piece.digest, "sending", sent, size);
        yield bytes as Uint8Array;
      }
      if (sent !== size) throw new Error(`${piece.digest} changed while it was read`);
      options.progress.layer(piece.digest, "done", size, size);
      yield tarPadding(size);
    }
    yield TAR_END;
  } finally {
    await whole.release();
  }
}
