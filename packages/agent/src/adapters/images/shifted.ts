/**
 * Copies of layers whose files have the ids of one container, for file systems whose mounts cannot map ids: one folder for
 * each range, with layers in it as in the store itself (layers.ts), complete or absent. They are there for as long as their
 * container is, since the next one has other ids.
 */
import { mkdir, open, readdir, rename } from "node:fs/promises";
import { join } from "node:path";
import { canMapIds, removeTree } from "@berth/native";
import { isMissing } from "../files/atomic-file.ts";
import { openLayers, type Layers } from "./layers.ts";

export interface Shifted {
  /** Whether containers need copies of what lies in this directory. The kernel is asked until it answers. */
  readonly isNeeded: (directory: string) => Promise<boolean>;
  /** Resolves to the directory of the copy; `from` has the files. */
  readonly copy: (idBase: number, layer: { diffId: string; from: string }, signal: AbortSignal) => Promise<string>;
  /** Takes those of a range out of sight in one step. Resolves to what deletes them then: it may take long. */
  readonly remove: (idBase: number) => Promise<() => Promise<void>>;
  readonly all: () => Promise<readonly Layers[]>;
}

const DOOMED = ".gone-";

type CanMap = (directory: number) => Promise<boolean | undefined>;

const ask = async (canMap: CanMap, directory: string): Promise<boolean | undefined> => {
  const opened = await open(directory, "r");
  try {
    return await canMap(opened.fd);
  } finally {
    await opened.close();
  }
};

/** `live`: ranges of containers that may run; copies of all others were left by a life that was killed. */
export const openShifted = async (
  directory: string,
  live: ReadonlySet<number>,
  canMap: CanMap = canMapIds,
): Promise<Shifted> => {
  await mkdir(directory, { recursive: true, mode: 0o711 });
  for (const name of await readdir(directory)) {
    if (live.has(Number(name))) continue;
    // What cannot be deleted takes room; without a store nothing runs.
    await removeTree(join(directory, name)).catch(() => undefined);
  }
  /** Of a directory, whether its mounts can map ids: as the kernel said. */
  const known = new Map<string, boolean>();
  const opened = new Map<number, Promise<Layers>>();
  const layersOf = (idBase: number): Promise<Layers> => {
    const before = opened.get(idBase);
    if (before !== undefined) return before;
    const opening = openLayers(join(directory, String(idBase)));
    opened.set(idBase, opening);
    opening.catch(() => opened.delete(idBase));
    return opening;
  };
  let removals = 0;
  return {
    isNeeded: async (place) => {
      const answer = known.get(place) ?? (await ask(canMap, place));
      // Without an answer whoever mounts will see, and the next one asks again.
      if (answer !== undefined) known.set(place, answer);
      return answer === false;
    },
    copy: async (idBase, { diffId, from }, signal) => {
      const layers = await layersOf(idBase);
      await layers.copy(diffId, { from, idBase, signal });
      return layers.path(diffId);
    },
    remove: async (idBase) => {
      opened.delete(idBase);
      const doomed = join(directory, `${DOOMED}${process.pid}-${(removals += 1)}`);
      try {
        await rename(join(directory, String(idBase)), doomed);
      } catch (error) {
        if (!isMissing(error)) throw error;
      }
      return () => removeTree(doomed);
    },
    all: async () => {
      const bases = (await readdir(directory)).filter((name) => !name.startsWith(DOOMED));
      return await Promise.all(bases.map((name) => layersOf(Number(name))));
    },
  };
};
