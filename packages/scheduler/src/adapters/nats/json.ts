/** Bytes of the bus ↔ text. */
const decoderUtf8 = new TextDecoder("utf-8", { fatal: true });
const encoderUtf8 = new TextEncoder();

/** Undefined when the bytes are not UTF-8. */
export const textOf = (bytes: Uint8Array): string | undefined => {
  try {
    return decoderUtf8.decode(bytes);
  } catch {
    return undefined;
  }
};

export const bytesOf = (text: string): Uint8Array => encoderUtf8.encode(text);
