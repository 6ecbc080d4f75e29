/**
 * Unpacked layers, one directory each, called by the digest of their plain archive and shared by every image and every
 * container that has them. A directory of that name is complete: it was made beside its place, flushed, sealed, and
 * renamed. The seal lies beside it and says what the tree was when it was made.
 */
import { mkdir, mkdtemp, open, readdir, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import {
  removeTree,
  sealTree,
  shiftTree,
  unpackLayer,
  type UnpackFailure,
  type UnpackLimits,
  type UnpackResult,
} from "@berth/native";
import { Type, type Static, decoder } from "@berth/schema";
import { SharedWork } from "../../core/shared-work.ts";
import { DISK_IS_FULL, isFullCode } from "./full-disk.ts";
import { hasCode, isMissing, readSealed, syncDirectory, writeSealed } from "../files/atomic-file.ts";
import { unpackFault } from "../files/unpack-fault.ts";

const SealSchema = Type.Object({
  version: Type.Literal(1),
  seal: Type.String({ pattern: "^[0-9a-f]{64}$" }),
  bytes: Type.Integer({ minimum: 0 }),
  entries: Type.Integer({ minimum: 0 }),
});
export type LayerSeal = Static<typeof SealSchema>;
const decodeSeal = decoder(SealSchema);

export interface UnpackOptions {
  readonly limits: UnpackLimits;
  readonly signal: AbortSignal;
  /** Bytes of the archive that were read. */
  readonly progress?: (bytes: number) => void;
}

export interface CopyOptions {
  /** Directory of the unpacked layer. */
  readonly from: string;
  /** What its id 0 is to be. */
  readonly idBase: number;
  readonly signal: AbortSignal;
}

export interface Layers {
  readonly path: (diffId: string) => string;
  readonly has: (diffId: string) => Promise<boolean>;
  /** Unpacks the archive in the file `blob`, unless it is here. Rejects with a sentence that names the entry. */
  readonly unpack: (diffId: string, blob: string, options: UnpackOptions) => Promise<void>;
  /** Copies an unpacked layer, with other ids, unless it is here. */
  readonly copy: (diffId: string, options: CopyOptions) => Promise<void>;
  /** Unpacks an archive of which nobody has said what it unpacks to; resolves to its diff id. */
  readonly add: (blob: string, options: UnpackOptions) => Promise<string>;
  readonly list: () => Promise<readonly string[]>;
  /** What it was when it was made; undefined for one of an older version. */
  readonly seal: (diffId: string) => Promise<LayerSeal | undefined>;
  /** Reads the tree and compares: undefined when it is what it was, else what is wrong. */
  readonly verify: (diffId: string, seal: LayerSeal, signal: AbortSignal) => Promise<string | undefined>;
  /** Takes it out of sight in one step. Resolves to what deletes it then: it may take long. */
  readonly remove: (diffId: string) => Promise<() => Promise<void>>;
}

const HALF = ".half-";
const SEAL = ".seal";

const failureOf = (failure: UnpackFailure, signal: AbortSignal): Error => {
  if (signal.aborted && signal.reason instanceof Error) return signal.reason;
  const text = unpackFault(failure);
  return new Error(isFullCode(failure.error.code) ? `${text}: ${DISK_IS_FULL}` : text, { cause: failure.error });
};

export const openLayers = async (directory: string): Promise<Layers> => {
  const root = join(directory, "sha256");
  await mkdir(root, { recursive: true, mode: 0o711 });
  /* Left by a life that was killed in the middle: trees without a name, seals without a tree. */
  const names = new Set(await readdir(root));
  for (const name of names) {
    const orphan = name.endsWith(SEAL) && !names.has(name.slice(0, -SEAL.length));
    if (name.startsWith(HALF) || name.endsWith(".tmp") || orphan) {
      // What cannot be deleted takes room; without a store nothing runs.
      await removeTree(join(root, name)).catch(() => undefined);
    }
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

  /** The seal is there before the name is: a tree with a name can always be checked. */
  const settle = async (half: string, diffId: string, sealed: LayerSeal): Promise<void> => {
    await writeSealed(`${path(diffId)}${SEAL}`, sealed, { durable: true });
    await rename(half, path(diffId)).catch((error: unknown) => {
      if (!hasCode(error, "ENOTEMPTY", "EEXIST")) throw error;
    });
    await syncDirectory(root);
  };

  /** `make` fills a directory that nobody knows; `nameOf` says what it is called then, undefined when it is not needed. */
  const settleNew = async (
    signal: AbortSignal,
    make: (tree: number) => Promise<UnpackResult>,
    nameOf: (digest: string) => Promise<string | undefined>,
  ): Promise<void> => {
    const half = await mkdtemp(join(root, HALF));
    const tree = await open(half, "r");
    try {
      /* What the top directory is when the archive does not say: mkdtemp made it private. */
      await tree.chmod(0o755);
      const result = await make(tree.fd);
      if (!result.ok) throw failureOf(result, signal);
      const diffId = await nameOf(`sha256:${result.digest}`);
      if (diffId === undefined) return;
      await settle(half, diffId, { version: 1, seal: result.seal, bytes: result.bytes, entries: result.entries });
    } finally {
      await tree.close();
      await removeTree(half).catch(() => undefined);
    }
  };

  const unpackNew = async (
    expected: string | undefined,
    blob: string,
    { limits, progress, signal }: UnpackOptions,
  ): Promise<string> => {
    const archive = await open(blob, "r");
    let found = "";
    try {
      await settleNew(
        signal,
        (tree) => unpackLayer(archive.fd, tree, limits, signal, progress),
        async (diffId) => {
          found = diffId;
          if (expected !== undefined && diffId !== expected) {
            throw new Error(`the layer unpacks to ${diffId}, and the image says ${expected}`);
          }
          return expected === undefined && (await has(diffId)) ? undefined : diffId;
        },
      );
      return found;
    } finally {
      await archive.close();
    }
  };

  const copyNew = async (diffId: string, { from, idBase, signal }: CopyOptions): Promise<void> => {
    const source = await open(from, "r");
    try {
      await settleNew(
        signal,
        (tree) => shiftTree(source.fd, tree, idBase, signal),
        () => Promise.resolve(diffId),
      );
    } finally {
      await source.close();
    }
  };

  return {
    path,
    has,
    unpack: (diffId, blob, options) =>
      running.run(diffId, options.signal, async (signal) => {
        if (!(await has(diffId))) await unpackNew(diffId, blob, { ...options, signal });
      }),
    copy: (diffId, options) =>
      running.run(diffId, options.signal, async (signal) => {
        if (!(await has(diffId))) await copyNew(diffId, { ...options, signal });
      }),
    add: (blob, options) => unpackNew(undefined, blob, options),
    list: async () => {
      const names = await readdir(root).catch((error: unknown) => {
        // All of them are gone: copies go with their container.
        if (isMissing(error)) return [];
        throw error;
      });
      return names.filter((name) => /^[0-9a-f]{64}$/.test(name)).map((name) => `sha256:${name}`);
    },
    seal: async (diffId) => {
      const sealed = await readSealed(`${path(diffId)}${SEAL}`);
      const decoded = sealed.kind === "value" ? decodeSeal(sealed.value) : undefined;
      return decoded?.ok === true ? decoded.value : undefined;
    },
    verify: async (diffId, expected, signal) => {
      const tree = await open(path(diffId), "r");
      try {
        const found = await sealTree(tree.fd, signal);
        if (!found.ok) {
          if (signal.aborted) throw failureOf(found, signal);
          return found.error.detail;
        }
        return found.seal === expected.seal ? undefined : "its files are not what was unpacked";
      } finally {
        await tree.close();
      }
    },
    remove: async (diffId) => {
      const place = path(diffId);
      const doomed = join(dirname(place), `${HALF}${basename(place)}-${process.pid}-${Date.now()}`);
      try {
        await rename(place, doomed);
      } catch (error) {
        if (!isMissing(error)) throw error;
      }
      await rm(`${place}${SEAL}`, { force: true });
      return () => removeTree(doomed);
    },
  };
};
