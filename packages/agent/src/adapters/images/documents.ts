/** The manifest and the configuration of an image that is made here, among the blobs. */
import { MEDIA_TYPES, type Descriptor } from "../../core/images/manifest.ts";
import { pin, type LetGo, type Parts } from "./parts.ts";
import { digestOf } from "./registry.ts";

const CONFIG = "application/vnd.oci.image.config.v1+json";
export const PLAIN_LAYER = "application/vnd.oci.image.layer.v1.tar";

/** Resolves to the manifest's digest. Both are pinned; `pins` gets what lets go. */
export const putDocuments = async (
  parts: Parts,
  config: Uint8Array,
  layers: readonly Descriptor[],
  pins: LetGo[],
): Promise<string> => {
  const configDigest = digestOf(config);
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MEDIA_TYPES.manifest[0],
      config: { mediaType: CONFIG, digest: configDigest, size: config.length },
      layers,
    }),
  );
  const manifestDigest = digestOf(manifest);
  pins.push(await pin(parts, [configDigest, manifestDigest]));
  await parts.blobs.put(configDigest, config);
  await parts.blobs.put(manifestDigest, manifest);
  return manifestDigest;
};
