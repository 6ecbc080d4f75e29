/**
 * Volumes as tar archives, out and in. Both ways the archive is made and taken apart by programs that see nothing but the
 * volume's directory (see @berth/native); never more than a few pieces of it are in memory, and none of it on disk beside.
 */
import { open } from "node:fs/promises";
import { packTree, UNPACK_LIMITS, unpackFiles } from "@berth/native";
import { isMissing } from "../files/atomic-file.ts";
import { unpackFault } from "../files/unpack-fault.ts";

/** What an archive ends with; alone, it is the archive of nothing. */
const EMPTY = new Uint8Array(1024);

export interface Archives {
  /** `lost`: the sentence to fail with when there is no such directory; undefined: it is an archive of nothing then. */
  readonly give: (
    id: string,
    data: string,
    lost: string | undefined,
    signal: AbortSignal,
  ) => AsyncGenerator<Uint8Array>;
  readonly isGiven: (id: string) => boolean;
  /** Those of this volume that are being read break off, and say why. */
  readonly giveUp: (id: string, why: string) => void;
}

export const createArchives = (): Archives => {
  const given = new Map<string, Set<AbortController>>();

  async function* give(
    id: string,
    data: string,
    lost: string | undefined,
    signal: AbortSignal,
  ): AsyncGenerator<Uint8Array> {
    const stop = new AbortController();
    const readers = given.get(id) ?? new Set();
    given.set(id, readers.add(stop));
    try {
      const tree = await open(data, "r").catch((error: unknown) => {
        if (isMissing(error)) return undefined;
        throw error;
      });
      if (tree === undefined) {
        if (lost !== undefined) throw new Error(lost);
        yield EMPTY;
        return;
      }
      try {
        const either = AbortSignal.any([signal, stop.signal]);
        yield* packTree({
          kind: "plain",
          tree: tree.fd,
          idBase: 0,
          mostBytes: Number.MAX_SAFE_INTEGER,
          signal: either,
        });
        // The last pieces may have been read before somebody began to write.
        either.throwIfAborted();
      } finally {
        await tree.close();
      }
    } finally {
      readers.delete(stop);
      if (readers.size === 0) given.delete(id);
    }
  }

  return {
    give,
    isGiven: (id) => given.has(id),
    giveUp: (id, why) => {
      for (const stop of given.get(id) ?? []) stop.abort(new Error(why));
    },
  };
};

/** Into an empty directory. Rejects with a sentence that names the entry; what is there then is to be deleted. */
export const takeArchive = async (
  data: string,
  archive: AsyncIterable<Uint8Array>,
  { mostBytes, signal }: { readonly mostBytes: number | null; readonly signal: AbortSignal },
): Promise<{ readonly entries: number; readonly bytes: number }> => {
  const tree = await open(data, "r");
  try {
    const bytes = Math.max(1, Math.min(mostBytes ?? UNPACK_LIMITS.bytes, UNPACK_LIMITS.bytes));
    const result = await unpackFiles(archive, tree.fd, { ...UNPACK_LIMITS, bytes }, signal);
    signal.throwIfAborted();
    if (result.ok) return { entries: result.entries, bytes: result.bytes };
    const isFull = result.error.code === "EDQUOT";
    throw new Error(`${isFull ? "it does not fit into its size: " : ""}${unpackFault(result)}`, {
      cause: result.error,
    });
  } finally {
    await tree.close();
  }
};
