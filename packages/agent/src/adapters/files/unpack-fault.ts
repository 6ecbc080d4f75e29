/** Why an archive could not be unpacked, in words: of a layer, or of a volume. */
import type { UnpackFailure } from "@berth/native";

/** With the kernel's word for it when the sentence lacks that. */
export const unpackFault = ({ error: { code, detail } }: UnpackFailure): string =>
  code === "" || detail.includes(code) ? detail : `${detail} (${code})`;
