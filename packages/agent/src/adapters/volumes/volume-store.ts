/**
 * Volumes on disk: one directory each, named by the volume's id, with its content in `data`. A volume is complete or
 * absent: it is made beside its place and renamed into it, and removed by renaming it away before anything is deleted.
 * What a kill has left half made or half deleted is swept at the next start. A size is set before anything is in it, since
 * only what is made afterwards counts; a volume that was made without one stays as it is.
 *
 *   .new-ID-… ─rename─► ID ─rename─► .gone-ID ─► (deleted)
 */
import { chmod, lstat, mkdir, mkdtemp, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { decoder, err, ok, VolumeIdSchema, type Result } from "@berth/schema";
import type { Volumes } from "../../ports/volumes.ts";
import { isMissing, syncDirectory } from "../files/atomic-file.ts";
import { createArchives, takeArchive } from "./archives.ts";
import { copyTree } from "./copy-tree.ts";
import { canLimit, limitSize } from "./size-limit.ts";
import { walkTree } from "./walk-tree.ts";

const NEW = ".new-";
const GONE = ".gone-";
const decodeId = decoder(VolumeIdSchema);

/** Ids come from the scheduler, signed; that they are plain names is checked here all the same, before they are paths. */
const checked = (id: string): string => {
  if (!decodeId(id).ok) throw new Error(`"${id.slice(0, 200)}" is no id of a volume`);
  return id;
};

/** Why one that must exist cannot be used. */
const lostOf = (name: string, next: string): string =>
  `the volume ${name} has been used and is not on this host any more, so its data is lost; berth volume rm ${name} gives it up${next}`;

/** Of its id: project.name.generation. */
const nameIn = (id: string): string => id.split(".")[1] ?? id;

const isThere = async (path: string): Promise<boolean> => {
  try {
    return (await lstat(path)).isDirectory();
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
};

/** `directory` is closed to everybody but root: a set-user-id file in a volume is of no use to a user of this host. */
export const openVolumes = async (
  directory: string,
  sweep: (path: string) => Promise<void> = (path) => rm(path, { recursive: true, force: true }),
): Promise<Volumes> => {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  for (const name of await readdir(directory)) {
    if (name.startsWith(NEW) || name.startsWith(GONE)) {
      // A cp(1) that outlived the agent may still write there. What cannot be deleted takes room until the next start.
      await sweep(join(directory, name)).catch(() => undefined);
    }
  }
  /** One thing at a time is done with a volume. */
  const turns = new Map<string, Promise<unknown>>();
  const inTurn = <T>(id: string, work: () => Promise<T>): Promise<T> => {
    const turn = (turns.get(id) ?? Promise.resolve()).then(work, work);
    const settled = turn
      .catch(() => undefined)
      .finally(() => {
        if (turns.get(id) === settled) turns.delete(id);
      });
    turns.set(id, settled);
    return turn;
  };

  const enforcesSizes = await canLimit(directory);
  const archives = createArchives();
  /** Copies that have not ended, or whose failure nobody has been told. */
  const copies = new Map<string, { error: string | null }>();
  const make = async (
    id: string,
    sizeBytes: number | undefined,
    content: (data: string) => Promise<void> = async () => undefined,
  ): Promise<void> => {
    const limit = enforcesSizes ? sizeBytes : undefined;
    // A new one each time: nothing that an earlier life began writes into it.
    const temporary = await mkdtemp(join(directory, `${NEW}${id}-`));
    try {
      await chmod(temporary, 0o755);
      const data = join(temporary, "data");
      await mkdir(data, { mode: 0o755 });
      if (limit !== undefined) await limitSize(data, limit);
      await content(data);
      // Who copied it may be allowed to write beyond.
      if (limit !== undefined) await limitSize(data, limit);
    } catch (error) {
      await rm(temporary, { recursive: true, force: true });
      throw error;
    }
    await syncDirectory(temporary);
    await rename(temporary, join(directory, id));
    await syncDirectory(directory);
  };

  return {
    enforcesSizes,

    ensure: ({ id, mustExist, name, sizeBytes }, { writes }) => {
      if (writes) archives.giveUp(id, `a task begins to write ${name}: stop it first, or export a snapshot`);
      return inTurn(checked(id), async (): Promise<Result<string, string>> => {
        const data = join(directory, id, "data");
        if (await isThere(data)) return ok(data);
        if (mustExist) return err(lostOf(name, ", and the next start makes an empty one"));
        await make(id, sizeBytes);
        return ok(data);
      });
    },

    stat: async (id) => {
      const data = join(directory, checked(id), "data");
      if (!(await isThere(data))) return undefined;
      let [entries, usedBytes] = [0, 0];
      await walkTree(data, (entry) => {
        entries += 1;
        usedBytes += entry.blocks * 512;
      });
      return { id, usedBytes, entries };
    },

    fill: async (id, from, sizeBytes) => {
      if (await isThere(join(directory, checked(id), "data"))) return { state: "ready", error: null };
      const known = copies.get(id);
      if (known !== undefined) {
        if (known.error === null) return { state: "copying", error: null };
        copies.delete(id);
        return { state: "failed", error: known.error };
      }
      const copy: { error: string | null } = { error: null };
      copies.set(id, copy);
      const source = join(directory, checked(from.id), "data");
      void inTurn(id, async () => {
        await make(id, sizeBytes, async (data) => {
          if (await isThere(source)) await copyTree(source, data);
          else if (from.mustExist) throw new Error(lostOf(nameIn(from.id), ""));
          // Nobody has used it yet, so it has no directory: a copy of nothing.
        });
      }).then(
        () => copies.delete(id),
        (error: unknown) => {
          copy.error = error instanceof Error ? error.message : String(error);
        },
      );
      return { state: "copying", error: null };
    },

    give: ({ id, mustExist }, signal) => {
      const lost = mustExist ? lostOf(nameIn(id), "") : undefined;
      return archives.give(checked(id), join(directory, id, "data"), lost, signal);
    },
    isGiven: archives.isGiven,
    isHere: (id) => isThere(join(directory, checked(id), "data")),

    take: (id, archive, { mostBytes, signal }) =>
      inTurn(checked(id), async () => {
        signal.throwIfAborted();
        if (await isThere(join(directory, id, "data"))) throw new Error("there is something in it already");
        let made = { entries: 0, bytes: 0 };
        await make(id, mostBytes ?? undefined, async (data) => {
          made = await takeArchive(data, archive, { mostBytes, signal });
        });
        return made;
      }),

    usedBytes: async (withinMs) => {
      const late = AbortSignal.timeout(withinMs);
      let usedBytes = 0;
      try {
        await walkTree(
          directory,
          (entry) => {
            usedBytes += entry.blocks * 512;
          },
          late,
        );
        return usedBytes;
      } catch (error) {
        if (late.aborted) return undefined;
        throw error;
      }
    },

    remove: (id) =>
      inTurn(checked(id), async () => {
        const gone = join(directory, `${GONE}${id}`);
        try {
          await rename(join(directory, id), gone);
        } catch (error) {
          if (!isMissing(error)) throw error;
        }
        await syncDirectory(directory);
        // However long that takes: what fails is tried again at the next start.
        void rm(gone, { recursive: true, force: true }).catch(() => undefined);
      }),
  };
};
