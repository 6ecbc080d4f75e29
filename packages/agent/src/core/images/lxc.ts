/**
 * What the images of LXC and Incus say of themselves: `metadata.yaml`, beside `rootfs/` in a unified archive or alone with
 * templates in one half of a split one (Incus, "Image format"). Only the architecture is believed; templates, which would
 * write into the container at its start, are not applied, and told.
 */
import { Type, decoder, err, ok, type Result } from "@berth/schema";

export const METADATA = "metadata.yaml";
export const ROOTFS = "rootfs";
/** A machine has the name of its task; a file with another one would make its init take that. */
export const isLeftOut = (path: string): boolean => path === "etc/hostname";

const decode = decoder(
  Type.Object({
    architecture: Type.String({ maxLength: 64 }),
    templates: Type.Optional(Type.Union([Type.Record(Type.String({ maxLength: 4096 }), Type.Unknown()), Type.Null()])),
  }),
);

/** What others call the architectures of OCI. */
const ALIASES: Readonly<Record<string, string>> = {
  x86_64: "amd64",
  i686: "386",
  i386: "386",
  aarch64: "arm64",
  armv7l: "arm",
  armhf: "arm",
};

export interface LxcMetadata {
  /** As OCI calls it. */
  readonly architecture: string;
  /** Files that templates would write. */
  readonly templates: readonly string[];
}

/** `document`: what the file says, as YAML. */
export const decodeMetadata = (document: unknown): Result<LxcMetadata, string> => {
  const decoded = decode(document);
  if (!decoded.ok) {
    const [first] = decoded.error;
    const where = first === undefined || first.pointer === "" ? METADATA : `${METADATA} ${first.pointer}`;
    return err(`${where}: ${first?.message ?? "cannot be read"}`);
  }
  const { architecture, templates } = decoded.value;
  return ok({
    architecture: (Object.hasOwn(ALIASES, architecture) ? ALIASES[architecture] : undefined) ?? architecture,
    templates: Object.keys(templates ?? {}).toSorted(),
  });
};

const MAX_NAMED = 8;
/** What is told of an image with templates; undefined when there is nothing to tell. */
export const templatesNote = ({ templates }: LxcMetadata): string | undefined => {
  const others = templates.filter((path) => !isLeftOut(path.replace(/^\/+/, "")));
  if (others.length === 0) return undefined;
  const more = others.length > MAX_NAMED ? ` and ${others.length - MAX_NAMED} more` : "";
  return `its templates are not applied: ${others.slice(0, MAX_NAMED).join(", ")}${more} are as the image has them`;
};
