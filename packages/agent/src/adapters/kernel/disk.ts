/**
 * How much disk volumes may book: what is free on the file system of the data directory, and what volumes take of it
 * already, minus a part for everything else that grows there (images, logs, outputs). What others use is not ours to give.
 */
import { statfs } from "node:fs/promises";

/** Of the whole file system. */
const KEPT = 0.05;

/** In bytes. `ownBytes`: what volumes hold now. */
export const bookableDisk = async (directory: string, ownBytes: number): Promise<number> => {
  const { bavail, blocks, bsize } = await statfs(directory);
  return Math.max(0, Math.floor(bavail * bsize + ownBytes - blocks * bsize * KEPT));
};
