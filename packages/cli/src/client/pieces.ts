/** A file, or what is piped in, cut into numbered pieces as the API takes them. */
import { createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import { MAX_IMAGE_DATA_BYTES } from "@berth/schema";
import { Exit, Failure } from "../failure.ts";
import type { Io } from "../io.ts";

export interface Piece {
  readonly offset: number;
  readonly data: Buffer;
  /** It is followed by none; there is always one that is. */
  readonly last: boolean;
}

export interface Upload {
  readonly pieces: AsyncIterable<Piece>;
  /** Undefined when nobody knows. */
  readonly size: number | undefined;
  readonly close: () => void;
}

async function* cut(source: AsyncIterable<Buffer>): AsyncGenerator<Piece> {
  let offset = 0;
  let rest = Buffer.alloc(0);
  for await (const bytes of source) {
    rest = Buffer.concat([rest, bytes]);
    while (rest.length > MAX_IMAGE_DATA_BYTES) {
      yield { offset, data: rest.subarray(0, MAX_IMAGE_DATA_BYTES), last: false };
      offset += MAX_IMAGE_DATA_BYTES;
      rest = rest.subarray(MAX_IMAGE_DATA_BYTES);
    }
  }
  yield { offset, data: rest, last: true };
}

/** `-` is what is piped in. */
export const openUpload = async (io: Io, file: string): Promise<Upload> => {
  if (file === "-") {
    const keyboard = io.keyboard();
    if (keyboard.isTty) {
      throw new Failure("There is no archive on standard input", {
        exit: Exit.usage,
        next: ["name a file, or pipe one in"],
      });
    }
    return { pieces: cut(keyboard.bytes()), size: undefined, close: keyboard.close };
  }
  try {
    const handle = await open(file, "r");
    const { size } = await handle.stat();
    const source = createReadStream("", { fd: handle, highWaterMark: MAX_IMAGE_DATA_BYTES });
    return { pieces: cut(source), size, close: () => void source.destroy() };
  } catch (error) {
    throw new Failure(`Cannot read ${file}`, {
      exit: Exit.data,
      detail: error instanceof Error ? error.message : String(error),
      cause: error,
    });
  }
};
