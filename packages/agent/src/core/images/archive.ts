/**
 * What an image archive says of itself: an OCI layout (image-spec 1.1, image-layout.md) or what `docker save` writes
 * (moby's image tarball, manifest.json). Decides what its images are called here; nothing else is believed.
 */
import {
  Type,
  type Static,
  err,
  formatImageReference,
  isImageReference,
  LOCAL_REGISTRY,
  ok,
  parseImageReference,
  type Result,
} from "@berth/schema";
import { decodeText, DescriptorSchema } from "./manifest.ts";

const MAX_IMAGES = 256;

const annotations = Type.Optional(
  Type.Union([Type.Record(Type.String({ maxLength: 256 }), Type.String({ maxLength: 4096 })), Type.Null()]),
);
const LayoutIndexSchema = Type.Object({
  manifests: Type.Array(Type.Intersect([DescriptorSchema, Type.Object({ annotations })]), { maxItems: MAX_IMAGES }),
});
const SavedSchema = Type.Array(
  Type.Object({
    Config: Type.String({ maxLength: 1024 }),
    RepoTags: Type.Optional(Type.Union([Type.Array(Type.String({ maxLength: 512 }), { maxItems: 64 }), Type.Null()])),
    Layers: Type.Array(Type.String({ maxLength: 1024 }), { maxItems: 64 }),
  }),
  { maxItems: MAX_IMAGES },
);
export type LayoutIndex = Static<typeof LayoutIndexSchema>;
export type Saved = Static<typeof SavedSchema>;
export const decodeLayoutIndex = decodeText(LayoutIndexSchema, "index.json");
export const decodeSaved = decodeText(SavedSchema, "manifest.json");

/** Names of an entry of index.json, the fullest first: containerd's, then the reference of the OCI layout. */
export const namesOf = ({ annotations: given }: LayoutIndex["manifests"][number]): readonly string[] =>
  [given?.["io.containerd.image.name"], given?.["org.opencontainers.image.ref.name"]].filter(
    (name): name is string => name !== undefined,
  );

/**
 * What a name in an archive is here. `registry.lan:5000/app:1` names its registry; `app:1` does not, and is `local/app:1`.
 * A lone tag is no name.
 */
export const referenceOf = (name: string): Result<string, string> => {
  if (isImageReference(name)) return checked(name, name);
  const [first = "", ...rest] = name.split("/");
  const namesRegistry = rest.length > 0 && /[.:]|^localhost$/.test(first);
  if (rest.length === 0 && !name.includes(":")) return err(`"${name}" is a tag and no name`);
  return checked(`oci://${namesRegistry ? "" : `${LOCAL_REGISTRY}/`}${name}`, name);
};

const checked = (text: string, name: string): Result<string, string> => {
  const parsed = parseImageReference(text);
  return parsed.ok ? ok(formatImageReference(parsed.value)) : err(`"${name}" is no name of an image: ${parsed.error}`);
};

/** How a layer is compressed, by its first bytes; the media type that says so. */
export const layerMediaType = (start: Uint8Array): string => {
  const tar = "application/vnd.oci.image.layer.v1.tar";
  if (start[0] === 0x1f && start[1] === 0x8b) return `${tar}+gzip`;
  if (start[0] === 0x28 && start[1] === 0xb5 && start[2] === 0x2f && start[3] === 0xfd) return `${tar}+zstd`;
  return tar;
};
