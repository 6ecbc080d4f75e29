/**
 * Unpacked layers, one directory each, called by the digest of their plain archive and shared by every image and every
 * container that has them. A directory of that name is complete: it was made beside its place, flushed, and renamed.
 */
import { mkdir, mkdtemp, open, readdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { unpackLayer } from "@berth/native";
import { SharedWork } from "../../core/shared-work.ts";
import { hasCode, isMissing, syncDirectory } from "../files/atomic-file.ts";

export interface Layers {
  readonly path: (diffId: string) => string;
  readonly has: (diffId: string) => Promise<boolean>;
  /** Unpacks the archive in `blob`, unless it is here. Rejects with a sentence that names the entry. */
  readonly unpack: (diffId: string, blob: string, signal: AbortSignal) => Promise<void>;
  readonly list: () => Promise<readonly string[]>;
  readonly remove: (diffId: string) => Promise<void>;
}

const HALF = ".half-";

export const openLayers = async (directory: string): Promise<Layers> => {
  const root = join(directory, "sha256");
  await mkdir(root, { recursive: true, mode: 0o711 });
  /* Left by a life that was killed in the middle. */
  for (const name of await readdir(root)) {
    if (name.startsWith(HALF)) await rm(join(root, name), { recursive: true, force: true });
  }
  const path = (diffId: string): string => {
    if (!/^sha256:[0-9a-f]{64}$/.test(diffId)) throw new Error(`${diffId} is no digest`);
    return join(root, diffId.slice("sha256:".length));
  };
  const has = async (diffId: string): Promise<boolean> => {
    try {
      return (await stat(path(diffId))).isDirectory();
    } catch (error) {
      if (isMissing(error)) return false;
      throw error;
    }
  };
  const running = new SharedWork<void>();

  const unpackNew = async (diffId: string, blob: string, signal: AbortSignal): Promise<void> => {
    if (await has(diffId)) return;
    const half = await mkdtemp(join(root, HALF));
    const archive = await open(blob, "r");
    const tree = await open(half, "r");
    try {
      /* What the top directory is when the archive does not say: mkdtemp made it private. */
      await tree.chmod(0o755);
      const result = await unpackLayer(archive.fd, tree.fd, undefined, signal);
      if (!result.ok) throw new Error(result.error.detail, { cause: result.error });
      if (`sha256:${result.digest}` !== diffId) {
        throw new Error(`the layer unpacks to sha256:${result.digest}, and the image says ${diffId}`);
      }
      await rename(half, path(diffId)).catch((error: unknown) => {
        if (!hasCode(error, "ENOTEMPTY", "EEXIST")) throw error;
      });
      await syncDirectory(root);
    } finally {
      await archive.close();
      await tree.close();
      await rm(half, { recursive: true, force: true });
    }
  };

  return {
    path,
    has,
    unpack: (diffId, blob, signal) => running.run(diffId, signal, (shared) => unpackNew(diffId, blob, shared)),
    list: async () =>
      (await readdir(root)).filter((name) => /^[0-9a-f]{64}$/.test(name)).map((name) => `sha256:${name}`),
    remove: async (diffId) => {
      /* Out of sight in one step, so that a half-deleted layer is never used. */
      const doomed = join(root, `${HALF}${diffId.slice("sha256:".length)}`);
      await rename(path(diffId), doomed).catch((error: unknown) => {
        if (!isMissing(error)) throw error;
      });
      await rm(doomed, { recursive: true, force: true });
    },
  };
};
