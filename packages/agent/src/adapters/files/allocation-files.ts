/**
 * Files of allocations on disk. While a task runs, its outputs are directories that only its container and root can
 * reach; when it has succeeded they are flushed, listed, and moved away by one rename. A list that is written before the
 * move answers questions about them later, without walking again.
 */
import { copyFile, lstat, mkdir, rename, rm, stat, type FileHandle } from "node:fs/promises";
import { dirname, join } from "node:path";
import Type from "typebox";
import { decoder, err, ok, type AllocationId, type OutputList } from "@berth/schema";
import { outputFolder } from "../../core/container-spec.ts";
import type { AllocationFiles, LogKind, ReadableFile } from "../../ports/files.ts";
import { hasCode, isMissing, readSealed, syncDirectory, writeSealed } from "./atomic-file.ts";
import { listAndFlush, openBeneath, TreeRefused, type TreeFile, type TreeLimits } from "./beneath.ts";
import type { Layout } from "./layout.ts";

const PAGE = 1000;
export const OUTPUT_LIMITS: TreeLimits = { files: 100_000, entries: 200_000, bytes: 64 * 2 ** 30, depth: 64 };

const decodeList = decoder(Type.Array(Type.Object({ path: Type.String(), sizeBytes: Type.Integer({ minimum: 0 }) })));

export const openAllocationFiles = (layout: Layout, limits: TreeLimits = OUTPUT_LIMITS): AllocationFiles => {
  const listPath = (id: AllocationId): string => join(layout.allocation(id), "outputs.json");
  const logPath = (id: AllocationId, kind: LogKind): string => join(layout.allocation(id), kind);
  /** The list read last: a client pages through one. */
  let recent: { readonly id: AllocationId; readonly files: readonly TreeFile[] } | undefined;

  const readList = async (id: AllocationId): Promise<readonly TreeFile[]> => {
    if (recent?.id === id) return recent.files;
    const found = await readSealed(listPath(id));
    const list = found.kind === "value" ? decodeList(found.value) : undefined;
    if (list?.ok !== true) return [];
    recent = { id, files: list.value };
    return list.value;
  };

  return {
    prepareOutputs: async (id, outputs) => {
      const root = layout.livingOutputs(id);
      // Left over from a start that was interrupted before the container existed.
      await rm(root, { recursive: true, force: true });
      await mkdir(root, { recursive: true, mode: 0o700 });
      // They belong to root here and inside: the runtime maps ids at the mount. The directories above are closed to
      // everybody else, so that a set-user-id file in there is of no use to a user of this host.
      for (const output of outputs) await mkdir(join(root, outputFolder(output)), { recursive: true, mode: 0o755 });
      return root;
    },

    collectOutputs: async (id, outputs) => {
      const living = layout.livingOutputs(id);
      if (await exists(layout.keptOutputs(id))) return ok(total(await readList(id)));
      if (!(await exists(living))) return outputs.length === 0 ? ok(0) : err("their directory has vanished");
      try {
        const files = await listAndFlush(living, limits);
        await writeSealed(listPath(id), files, { durable: true });
        await rename(living, layout.keptOutputs(id));
        await syncDirectory(layout.outputs);
        return ok(total(files));
      } catch (error) {
        if (error instanceof TreeRefused) return err(error.message);
        throw error;
      }
    },

    discardOutputs: (id) => rm(layout.livingOutputs(id), { recursive: true, force: true }),

    keepLogs: async (id, paths) => {
      let bytes = 0;
      for (const kind of ["stdout", "stderr"] as const) {
        await moveFile(paths[kind], logPath(id, kind));
        bytes += await sizeOf(logPath(id, kind));
      }
      return bytes;
    },

    openLog: async (id, kind, path) => {
      const places = path === undefined ? [logPath(id, kind)] : [path, logPath(id, kind)];
      for (const place of places) {
        const file = await openBeneath(dirname(place), place.slice(place.lastIndexOf("/") + 1));
        if (file !== undefined) return readable(file);
      }
      return undefined;
    },

    openOutput: async (id, path) => {
      const file = await openBeneath(layout.keptOutputs(id), path);
      return file === undefined ? undefined : readable(file);
    },

    listOutputs: async (id, offset): Promise<OutputList> => {
      const files = await readList(id);
      const end = offset + PAGE;
      return { files: files.slice(offset, end).map((file) => ({ ...file })), next: end < files.length ? end : null };
    },

    checkVolume: async (source) => {
      try {
        await stat(source);
        return undefined;
      } catch (error) {
        if (isMissing(error)) return `${source} does not exist on this host`;
        return `${source} cannot be used: ${error instanceof Error ? error.message : String(error)}`;
      }
    },
  };
};

const total = (files: readonly TreeFile[]): number => files.reduce((sum, file) => sum + file.sizeBytes, 0);

const exists = async (path: string): Promise<boolean> => {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
};

const sizeOf = async (path: string): Promise<number> => {
  try {
    return (await lstat(path)).size;
  } catch (error) {
    if (isMissing(error)) return 0;
    throw error;
  }
};

/** Moves a file; nothing happens when it is gone, which it is after it was moved. */
const moveFile = async (from: string, to: string): Promise<void> => {
  try {
    await rename(from, to);
  } catch (error) {
    if (isMissing(error)) return;
    if (!hasCode(error, "EXDEV")) throw error;
    await copyFile(from, `${to}.tmp`);
    await rename(`${to}.tmp`, to);
    await rm(from, { force: true });
  }
};

const readable = (file: FileHandle): ReadableFile => ({
  size: async () => (await file.stat()).size,
  read: async (offset, maxBytes) => {
    const buffer = Buffer.allocUnsafe(maxBytes);
    let filled = 0;
    while (filled < maxBytes) {
      const { bytesRead } = await file.read(buffer, filled, maxBytes - filled, offset + filled);
      if (bytesRead === 0) break;
      filled += bytesRead;
    }
    return buffer.subarray(0, filled);
  },
  close: () => file.close(),
});
