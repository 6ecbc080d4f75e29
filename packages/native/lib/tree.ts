/** Directories that somebody else filled. */
import { open } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { binding, isFailure } from "./binding.ts";
import { hasCode, nativeError, NativeFailure } from "./errors.ts";

/**
 * Deletes what lies at `path`, if anything does: any names, any depth, also what no path is long enough for; links are not
 * followed. Throws a NativeFailure.
 */
export const removeTree = async (path: string): Promise<void> => {
  let parent;
  try {
    parent = await open(dirname(path), "r");
  } catch (error) {
    if (hasCode(error, "ENOENT")) return;
    throw error;
  }
  try {
    const failed = await binding().removeTree(parent.fd, basename(path));
    if (isFailure(failed)) throw new NativeFailure(nativeError(failed.stage, failed.errno, failed.detail));
  } finally {
    await parent.close();
  }
};
