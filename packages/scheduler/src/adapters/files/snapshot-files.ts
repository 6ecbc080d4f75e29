/**
 * The newest snapshots as plain files beside the store: what is left when the store itself is damaged. A file is whole or
 * absent; the newest few are kept.
 */
import { mkdir, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { writeFileAtomic } from "./atomic.ts";

export interface SnapshotFiles {
  /** Paths, the newest first. */
  readonly list: () => Promise<string[]>;
  readonly write: (revision: number, chunks: readonly Uint8Array[]) => Promise<string>;
}

const KEPT = 3;
const NAME = /^\d{16}\.snapshot$/;

export const snapshotFiles = (directory: string): SnapshotFiles => {
  const list = async (): Promise<string[]> => {
    const names = await readdir(directory).catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return [];
      throw error;
    });
    return names
      .filter((name) => NAME.test(name))
      .toSorted()
      .reverse()
      .map((name) => join(directory, name));
  };
  return {
    list,
    write: async (revision, chunks) => {
      await mkdir(directory, { recursive: true, mode: 0o700 });
      const path = join(directory, `${String(revision).padStart(16, "0")}.snapshot`);
      await writeFileAtomic(path, chunks, 0o600);
      for (const old of (await list()).slice(KEPT)) await rm(old, { force: true });
      return path;
    },
  };
};

export const readSnapshotFile = async (path: string): Promise<Uint8Array[]> => [await readFile(path)];
