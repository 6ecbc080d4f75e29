/**
 * Walks a tree that somebody else writes at the same time, without leaving it: directories are opened one below the other
 * by descriptor, and never through a link (see files/beneath.ts, which does the same for files that are read).
 */
import { constants, type Stats } from "node:fs";
import { lstat, open, opendir, type FileHandle } from "node:fs/promises";
import { hasCode, isMissing } from "../files/atomic-file.ts";

const DIRECTORY = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
/** Names need not be text. The types know only of names that are. */
const BYTES = { encoding: "buffer" as BufferEncoding };
/** Of a walk; what lies deeper is counted by nobody. */
const MAX_DEPTH = 256;

/** Rejects when `signal` aborts. Calls with everything below `root`, in no order. What vanishes meanwhile is left out. */
export const walkTree = async (
  root: string,
  each: (entry: Stats) => void,
  signal: AbortSignal = new AbortController().signal,
): Promise<void> => {
  const visit = async (directory: FileHandle, depth: number): Promise<void> => {
    const here = `/proc/self/fd/${directory.fd}`;
    /* However many there are in it, a few at a time. */
    for await (const { name } of await opendir(here, BYTES)) {
      signal.throwIfAborted();
      const path = Buffer.concat([Buffer.from(`${here}/`), name as unknown as Buffer]);
      let child: FileHandle | undefined;
      try {
        const entry = await lstat(path);
        each(entry);
        if (!entry.isDirectory() || depth >= MAX_DEPTH) continue;
        child = await open(path, DIRECTORY);
        await visit(child, depth + 1);
      } catch (error) {
        if (!isMissing(error) && !hasCode(error, "ELOOP")) throw error;
      } finally {
        await child?.close();
      }
    }
  };
  const top = await open(root, DIRECTORY);
  try {
    await visit(top, 0);
  } finally {
    await top.close();
  }
};
