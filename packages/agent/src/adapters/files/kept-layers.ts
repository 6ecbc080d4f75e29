/**
 * Layers of ended containers on disk: a directory each, called by the allocation, with a sealed file beside it that says
 * what it is. A layer is there when both are:
 *
 *   ID.json written ─► ID (renamed from the container's directory) ─► .gone-… (renamed away) ─► deleted
 *
 * A kill in between leaves one of them, which is swept at the next start. Containers write without waiting for the disk,
 * so a layer that no flush has followed is worth nothing after a power cut: it is only believed in the boot that made it.
 */
import { mkdir, open, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { removeTree, syncTree } from "@berth/native";
import {
  Type,
  type Static,
  AllocationIdSchema,
  decoder,
  JobNameSchema,
  ProjectNameSchema,
  type AllocationId,
} from "@berth/schema";
import { layersToDrop, type RetentionLimits } from "../../core/retention.ts";
import { NEVER, Turns } from "../../core/turns.ts";
import type { KeptLayer, KeptLayers } from "../../ports/kept-layers.ts";
import { errorFields, type Log } from "../../ports/log.ts";
import { walkTree } from "../volumes/walk-tree.ts";
import { hasCode, isMissing, readSealed, writeSealed } from "./atomic-file.ts";

const FileSchema = Type.Object({
  version: Type.Literal(1),
  allocation: AllocationIdSchema,
  project: ProjectNameSchema,
  job: JobNameSchema,
  index: Type.Integer({ minimum: 0 }),
  image: Type.String(),
  command: Type.Array(Type.String()),
  workdir: Type.String(),
  user: Type.String(),
  idBase: Type.Integer({ minimum: 0 }),
  endedAtMs: Type.Integer({ minimum: 0 }),
  sizeBytes: Type.Union([Type.Integer({ minimum: 0 }), Type.Null()]),
  bootId: Type.String(),
  flushed: Type.Boolean(),
});
type KeptFile = Static<typeof FileSchema>;
const decode = decoder(FileSchema);
const decodeId = decoder(AllocationIdSchema);
const GONE = ".gone-";
const RECORD = ".json";

export interface KeptLayersOptions {
  readonly directory: string;
  readonly bootId: string;
  readonly limits: () => Promise<RetentionLimits>;
  readonly log: Log;
}

const isEmpty = async (path: string): Promise<boolean> => {
  try {
    return (await readdir(path)).length === 0;
  } catch (error) {
    if (isMissing(error)) return true;
    throw error;
  }
};

/** What a container wrote it may have made hard to delete. That is tried again at the next start, and fails nothing else. */
const removeOrTell = async (path: string, log: Log): Promise<void> => {
  try {
    await removeTree(path);
  } catch (error) {
    log.warn({ path, error: errorFields(error) }, "layers.not_removed");
  }
};

/** Reads what a former life has left; what cannot be believed is deleted. */
const load = async ({ bootId, directory, log }: KeptLayersOptions): Promise<Map<AllocationId, KeptFile>> => {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const names = new Set(await readdir(directory));
  const kept = new Map<AllocationId, KeptFile>();
  for (const name of names) {
    if (!name.endsWith(RECORD)) continue;
    const id = decodeId(name.slice(0, -RECORD.length));
    const sealed = await readSealed(join(directory, name));
    const file = sealed.kind === "value" ? decode(sealed.value) : undefined;
    if (!id.ok || file?.ok !== true || file.value.allocation !== id.value || !names.has(id.value)) continue;
    if (file.value.flushed || file.value.bootId === bootId) kept.set(id.value, file.value);
  }
  for (const name of names) {
    const id = decodeId(name.endsWith(RECORD) ? name.slice(0, -RECORD.length) : name);
    if (!id.ok || !kept.has(id.value)) await removeOrTell(join(directory, name), log);
  }
  return kept;
};

export const openKeptLayers = async (options: KeptLayersOptions): Promise<KeptLayers> => {
  const { bootId, directory, limits, log } = options;
  const kept = await load(options);
  const holds = new Map<AllocationId, number>();
  const deleting = new Set<Promise<void>>();
  let removed = 0;
  const place = (id: AllocationId): string => join(directory, id);
  const write = (file: KeptFile): Promise<void> =>
    writeSealed(`${place(file.allocation)}${RECORD}`, file, { durable: false });
  const writing = new Turns(1);
  /** One after the other: of two changes at a time the later would be lost on disk if the earlier were written last. */
  const change = (id: AllocationId, what: Partial<KeptFile>): Promise<void> =>
    writing.run(NEVER, async () => {
      const file = kept.get(id);
      if (file === undefined) return;
      const changed = { ...file, ...what };
      kept.set(id, changed);
      await write(changed);
      // It may have been removed meanwhile.
      if (!kept.has(id)) await rm(`${place(id)}${RECORD}`, { force: true });
    });
  const newestFirst = (): KeptFile[] =>
    [...kept.values()].toSorted((a, b) => b.endedAtMs - a.endedAtMs || (a.allocation < b.allocation ? 1 : -1));

  const remove = async (id: AllocationId): Promise<boolean> => {
    if (!kept.has(id) || holds.has(id)) return false;
    kept.delete(id);
    removed += 1;
    const gone = join(directory, `${GONE}${id}-${process.pid}-${removed}`);
    try {
      await rename(place(id), gone);
    } catch (error) {
      if (!isMissing(error)) throw error;
    }
    await rm(`${place(id)}${RECORD}`, { force: true });
    // However long that takes.
    const deletion = removeOrTell(gone, log).finally(() => deleting.delete(deletion));
    deleting.add(deletion);
    return true;
  };

  const count = async (id: AllocationId): Promise<void> => {
    const file = kept.get(id);
    if (file === undefined || file.sizeBytes !== null) return;
    let sizeBytes = 0;
    await walkTree(place(id), (entry) => {
      sizeBytes += entry.blocks * 512;
    });
    await change(id, { sizeBytes });
  };

  return {
    keep: async (layer, writable) => {
      const { allocation } = layer;
      if (kept.has(allocation)) return true;
      const { count: most, ageMs } = await limits();
      if (most === 0 || ageMs === 0 || (await isEmpty(writable))) return false;
      // Between two looks at sizes, their number is the bound.
      const oldest = kept.size < most ? undefined : newestFirst().at(-1);
      if (oldest !== undefined) await remove(oldest.allocation);
      const file: KeptFile = { ...layer, version: 1, bootId, flushed: false, sizeBytes: null } as KeptFile;
      await write(file);
      try {
        await rename(writable, place(allocation));
      } catch (error) {
        await rm(`${place(allocation)}${RECORD}`, { force: true });
        // On another file system than the runtime's directory: it is not worth a copy.
        if (isMissing(error) || hasCode(error, "EXDEV")) return false;
        throw error;
      }
      kept.set(allocation, file);
      return true;
    },
    isHeld: (id) => holds.has(id),
    get: (id) => kept.get(id),
    list: newestFirst,
    directory: place,
    hold: (id) => {
      holds.set(id, (holds.get(id) ?? 0) + 1);
      let held = true;
      return () => {
        if (!held) return;
        held = false;
        const left = (holds.get(id) ?? 1) - 1;
        if (left === 0) holds.delete(id);
        else holds.set(id, left);
      };
    },
    remove,
    drop: async (nowMs, excessBytes) => {
      for (const { allocation } of newestFirst()) await count(allocation);
      const sizes = newestFirst().map((file: KeptLayer) => ({
        id: file.allocation,
        finishedAtMs: file.endedAtMs,
        bytes: file.sizeBytes ?? 0,
      }));
      const dropped: AllocationId[] = [];
      for (const id of layersToDrop(sizes, nowMs, await limits(), excessBytes)) {
        if (await remove(id)) dropped.push(id);
      }
      await Promise.all(deleting);
      return dropped;
    },
    flush: async () => {
      const fresh = [...kept.values()].filter(({ flushed }) => !flushed);
      if (fresh.length === 0) return;
      const tree = await open(directory, "r");
      try {
        await syncTree(tree.fd);
        for (const { allocation } of fresh) await change(allocation, { flushed: true });
        await syncTree(tree.fd);
      } finally {
        await tree.close();
      }
    },
  };
};
