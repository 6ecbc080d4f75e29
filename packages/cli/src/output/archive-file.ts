/** Archives that the server sends, as files. */
import { createWriteStream } from "node:fs";
import { rename, rm } from "node:fs/promises";
import { pipeline } from "node:stream/promises";
import { formatBytes } from "@berth/schema";
import { Exit, Failure } from "../failure.ts";
import { say, type Io } from "../io.ts";

/** `-` is standard output; a file is there whole or not at all. */
export const writeArchive = async (io: Io, body: NodeJS.ReadableStream, file: string, name: string): Promise<void> => {
  if (file === "-") {
    for await (const piece of body) await io.out.write(piece as Buffer);
    return;
  }
  const part = `${file}.part-${process.pid}`;
  try {
    const sink = createWriteStream(part, { flags: "w", mode: 0o644, flush: true });
    await pipeline(body, sink);
    await rename(part, file);
    await say(io, `Wrote ${file} (${formatBytes(sink.bytesWritten)})`);
  } catch (error) {
    await rm(part, { force: true });
    if (error instanceof Failure || io.stop.aborted) throw error;
    throw new Failure(`Cannot export ${name}`, {
      exit: Exit.failed,
      detail: error instanceof Error ? error.message : String(error),
      next: ["the same command again"],
      cause: error,
    });
  }
};
