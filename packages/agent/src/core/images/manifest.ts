/**
 * What a registry says about an image, decoded: index → manifest → config (OCI image-spec 1.1, and Docker's schema 2,
 * which has the same shape). Decides which manifest of an index is for this machine. Everything is bounded, since a
 * registry may send anything.
 */
import { Type, type Static, type TSchema, decoder, err, ok, type Result } from "@berth/schema";

export const MEDIA_TYPES = {
  index: ["application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"],
  manifest: ["application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json"],
} as const;
/** Manifests and configurations are small; more than this is a mistake or an attack. */
export const MAX_DOCUMENT_BYTES = 4 * 2 ** 20;
/** What one overlay may have below its upper directory. */
export const MAX_LAYERS = 64;

const digest = Type.String({ pattern: "^sha256:[0-9a-f]{64}$" });
export const DescriptorSchema = Type.Object({
  mediaType: Type.String({ maxLength: 255 }),
  digest,
  size: Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }),
});
const PlatformSchema = Type.Object({
  architecture: Type.String({ maxLength: 64 }),
  os: Type.String({ maxLength: 64 }),
  variant: Type.Optional(Type.String({ maxLength: 64 })),
});
const IndexSchema = Type.Object({
  schemaVersion: Type.Literal(2),
  manifests: Type.Array(Type.Intersect([DescriptorSchema, Type.Object({ platform: Type.Optional(PlatformSchema) })]), {
    maxItems: 1000,
  }),
});
const ManifestSchema = Type.Object({
  schemaVersion: Type.Literal(2),
  config: DescriptorSchema,
  layers: Type.Array(DescriptorSchema, { maxItems: MAX_LAYERS }),
});
const words = Type.Union([Type.Array(Type.String({ maxLength: 131_071 }), { maxItems: 4096 }), Type.Null()]);
const ConfigSchema = Type.Object({
  architecture: Type.String({ maxLength: 64 }),
  os: Type.String({ maxLength: 64 }),
  config: Type.Optional(
    Type.Union([
      Type.Object({
        User: Type.Optional(Type.String({ maxLength: 256 })),
        Env: Type.Optional(words),
        Entrypoint: Type.Optional(words),
        Cmd: Type.Optional(words),
        WorkingDir: Type.Optional(Type.String({ maxLength: 4095 })),
        Labels: Type.Optional(
          Type.Union([Type.Record(Type.String({ maxLength: 4096 }), Type.String({ maxLength: 65_536 })), Type.Null()]),
        ),
        StopSignal: Type.Optional(Type.String({ maxLength: 32 })),
      }),
      Type.Null(),
    ]),
  ),
  rootfs: Type.Object({ type: Type.Literal("layers"), diff_ids: Type.Array(digest, { maxItems: MAX_LAYERS }) }),
});

export type Descriptor = Static<typeof DescriptorSchema>;
export type ImageIndex = Static<typeof IndexSchema>;
export type ImageManifest = Static<typeof ManifestSchema>;
export type ImageConfig = Static<typeof ConfigSchema>;

/** How Node calls this machine, in the words of images. */
export const architectureOf = (arch: string): string => ({ x64: "amd64", ia32: "386" })[arch] ?? arch;

/** JSON of a few megabytes at most, against a schema; the error names the first wrong place. */
export const decodeText = <S extends TSchema>(schema: S, what: string) => {
  const decode = decoder(schema);
  return (bytes: Uint8Array): Result<Static<S>, string> => {
    let value: unknown;
    try {
      value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    } catch {
      return err(`the ${what} is not JSON`);
    }
    const decoded = decode(value);
    if (decoded.ok) return ok(decoded.value);
    const first = decoded.error[0];
    return err(`the ${what} does not have its form${first === undefined ? "" : `: ${first.pointer} ${first.message}`}`);
  };
};

export const decodeIndex = decodeText(IndexSchema, "image index");
export const decodeManifest = decodeText(ManifestSchema, "image manifest");
export const decodeConfig = decodeText(ConfigSchema, "image configuration");

/** By the declared media type; archives and old registries leave it out, and then the content tells. */
export const isIndex = (mediaType: string | undefined, bytes: Uint8Array): boolean => {
  if (mediaType !== undefined && (MEDIA_TYPES.index as readonly string[]).includes(mediaType)) return true;
  if (mediaType !== undefined && (MEDIA_TYPES.manifest as readonly string[]).includes(mediaType)) return false;
  return decodeIndex(bytes).ok;
};

/** The manifest of an index for this machine. Attestations and other attachments say `unknown`, and never fit. */
export const chooseManifest = (index: ImageIndex, architecture: string): Result<Descriptor, string> => {
  const fits = index.manifests.filter(
    ({ platform }) => platform !== undefined && platform.os === "linux" && platform.architecture === architecture,
  );
  /* arm64/v8 is what every arm64 machine runs; of several variants the first is meant (image-spec, image-index.md). */
  const [chosen] = fits;
  if (chosen !== undefined) return ok(chosen);
  const [only] = index.manifests;
  if (index.manifests.length === 1 && only?.platform === undefined && only !== undefined) return ok(only);
  const offered = index.manifests
    .flatMap(({ platform }) => (platform === undefined ? [] : [`${platform.os}/${platform.architecture}`]))
    .slice(0, 20);
  return err(`it is not made for linux/${architecture}, only for ${offered.join(", ") || "unnamed platforms"}`);
};

/** What must agree before a layer is believed. */
export const checkConfig = (
  manifest: ImageManifest,
  config: ImageConfig,
  architecture: string,
): Result<ImageConfig, string> => {
  if (config.os !== "linux" || config.architecture !== architecture) {
    return err(`it is made for ${config.os}/${config.architecture}, and this host is linux/${architecture}`);
  }
  if (config.rootfs.diff_ids.length !== manifest.layers.length) {
    return err(
      `its manifest has ${manifest.layers.length} layers and its configuration ${config.rootfs.diff_ids.length}`,
    );
  }
  return ok(config);
};
