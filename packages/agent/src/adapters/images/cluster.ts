/**
 * Images from other hosts of the cluster, by digest, over the line that the agent has anyway. Nothing that comes is
 * believed before its digest fits. A few requests are under way at a time, and no more bytes a second than the operator
 * allows come in. A layer that breaks off goes on where it ended, from another host.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { BLOB_CHUNK_BYTES, formatImageReference, type ImageReference, type Problem } from "@berth/schema";
import { decodeConfig, decodeManifest, MAX_DOCUMENT_BYTES, type Descriptor } from "../../core/images/manifest.ts";
import type { ImageWork } from "../../ports/images.ts";
import type { Source } from "./blobs.ts";
import { valueOf } from "./contents.ts";
import { pin, type Parts } from "./parts.ts";
import { eachAtOnce, settleImage } from "./pull.ts";
import type { ImageRecord } from "./records.ts";
import { RegistryFailure } from "./registry-session.ts";

/** Requests for one blob that are under way. */
const WINDOW = 4;

const failureOf = (digest: string, { code, detail, title }: Problem): RegistryFailure =>
  new RegistryFailure(`no other host gave ${digest}: ${detail ?? title}`, code !== "request.invalid");

/** What a registry refused, of a name under which other hosts have something. */
export const elsewhereToo = (error: unknown, name: string): unknown =>
  error instanceof RegistryFailure && !error.retry
    ? new RegistryFailure(
        `${error.message}. Other hosts have an image under this name, but what ${name} is, its registry says: import it here too, or give it a name of the cluster (berth image push ${name} oci://local/…)`,
        false,
        { cause: error },
      )
    : error;

/** Pieces in order, the next ones already asked for. */
async function* pieces(
  parts: Parts,
  name: string,
  { digest, size }: Descriptor,
  from: number,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const asked: ReturnType<Parts["cluster"]["read"]>[] = [];
  let next = from;
  while (next < size || asked.length > 0) {
    while (asked.length < WINDOW && next < size) {
      asked.push(parts.cluster.read(name, digest, next));
      next += BLOB_CHUNK_BYTES;
    }
    const answer = await asked.shift();
    signal.throwIfAborted();
    if (answer === undefined) return;
    if (!answer.ok) throw failureOf(digest, answer.error);
    const { bytes } = answer.value;
    if (answer.value.size !== size || (bytes.length < BLOB_CHUNK_BYTES && asked.length > 0)) {
      throw new RegistryFailure(`another host sent ${digest} with another size`, true);
    }
    yield bytes;
    const { clusterBytesPerSecond } = await parts.settings();
    const waitMs = parts.pace.take(bytes.length, clusterBytesPerSecond, performance.now());
    if (waitMs > 0) await sleep(waitMs, undefined, { signal });
  }
}

/** Verified, shared by all who want it, and continued where it ended: that is what blobs.fetch does. */
const fetchBlob = (
  parts: Parts,
  name: string,
  descriptor: Descriptor,
  { progress, signal }: ImageWork,
): Promise<void> => {
  const source: Source = (at, aborted) =>
    Promise.resolve({ body: pieces(parts, name, descriptor, at, aborted), restarted: false });
  return parts.blobs.fetch(descriptor, source, signal, (done) =>
    progress.layer(descriptor.digest, "fetching", done, descriptor.size),
  );
};

/** Archives of layers that are only here unpacked. To be pinned before. */
export const fetchFromCluster = async (
  parts: Parts,
  name: string,
  descriptors: readonly Descriptor[],
  options: ImageWork,
): Promise<void> => {
  const { parallelLayers } = await parts.settings();
  await eachAtOnce(descriptors, parallelLayers, options.signal, (descriptor, signal) =>
    fetchBlob(parts, name, descriptor, { ...options, signal }),
  );
};

/** A blob of which nobody has said how large it is. */
const fetchDocument = async (parts: Parts, name: string, digest: string): Promise<Uint8Array> => {
  const before = await parts.blobs.read(digest);
  if (before !== undefined) return before;
  const all: Uint8Array[] = [];
  let at = 0;
  let size = 1;
  while (at < size) {
    const answer = await parts.cluster.read(name, digest, at);
    if (!answer.ok) throw failureOf(digest, answer.error);
    ({ size } = answer.value);
    const { bytes } = answer.value;
    if (size > MAX_DOCUMENT_BYTES || bytes.length === 0) {
      throw new RegistryFailure(`another host sent ${digest} with ${size} bytes, which is no manifest`, false);
    }
    all.push(bytes);
    at += bytes.length;
  }
  const document = Buffer.concat(all);
  await parts.blobs.put(digest, document);
  return document;
};

/** Brings the image whose manifest has this digest, to be called `as`; its name must be one that another host has. */
export const bringFromCluster = async (
  parts: Parts,
  reference: ImageReference,
  { as, manifest: manifestDigest }: { readonly as: string; readonly manifest: string },
  options: ImageWork,
): Promise<ImageRecord> => {
  const name = formatImageReference(reference);
  const unpins = [await pin(parts, [manifestDigest])];
  try {
    const manifest = valueOf(
      decodeManifest(await fetchDocument(parts, name, manifestDigest)),
      `${name} of another host`,
    );
    unpins.push(await pin(parts, [manifest.config.digest, ...manifest.layers.map(({ digest }) => digest)]));
    const bytes = await fetchDocument(parts, name, manifest.config.digest);
    const config = valueOf(decodeConfig(bytes), `${name} of another host`);
    const layers = manifest.layers.map((descriptor, at) => ({ descriptor, diffId: config.rootfs.diff_ids[at] ?? "" }));
    return await settleImage(
      parts,
      {
        name: as,
        manifestDigest,
        contents: { bytes: new Uint8Array(), manifest, config, layers },
        source: "cluster",
      },
      (descriptor, own) => fetchBlob(parts, name, descriptor, own),
      options,
    );
  } finally {
    for (const unpin of unpins) unpin();
  }
};
