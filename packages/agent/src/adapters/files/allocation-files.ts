/**
 * Files of allocations on disk. While a task runs, its outputs are directories that only its container and root can
 * reach; when it has succeeded they are flushed, listed, and moved away by one rename. A list that is written before the
 * move answers questions about them later, without walking again.
 */
import { constants } from "node:fs";
import { cp, lstat, mkdir, open, readdir, rename, rm, stat, writeFile, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { openLog } from "@berth/native";
import { Type, AllocationIdSchema, decoder, err, ok, type AllocationId, type OutputList } from "@berth/schema";
import { outputFolder } from "../../core/container-spec.ts";
import type { AllocationFiles, LogKind, ReadableFile } from "../../ports/files.ts";
import { hasCode, isMissing, readSealed, syncDirectory, writeSealed } from "./atomic-file.ts";
import { listAndFlush, openBeneath, TreeRefused, type TreeFile, type TreeLimits } from "./beneath.ts";
import { listChanges } from "./changes.ts";
import type { Layout } from "./layout.ts";

const PAGE = 1000;
export const OUTPUT_LIMITS: TreeLimits = { files: 100_000, entries: 200_000, bytes: 64 * 2 ** 30, depth: 64 };

const decodeId = decoder(AllocationIdSchema);
const decodeList = decoder(Type.Array(Type.Object({ path: Type.String(), sizeBytes: Type.Integer({ minimum: 0 }) })));

export const openAllocationFiles = (layout: Layout, limits: TreeLimits = OUTPUT_LIMITS): AllocationFiles => {
  const listPath = (id: AllocationId): string => join(layout.allocation(id), "outputs.json");
  const logPath = (id: AllocationId): string => join(layout.allocation(id), "log");
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

    keepLogs: async (id, path) => {
      await moveDirectory(path, logPath(id));
      return await bytesIn(logPath(id));
    },

    openLog: async (id, kind, path) => {
      for (const place of path === undefined ? [logPath(id)] : [path, logPath(id)]) {
        const directory = await openDirectory(place);
        if (directory !== undefined) return readableLog(directory, kind);
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

    listChanges: async (writable, layers, after) => {
      try {
        return ok(await listChanges(writable, layers, after));
      } catch (error) {
        if (error instanceof TreeRefused) return err(error.message);
        throw error;
      }
    },

    notePause: async (id, paused) => {
      const note = join(layout.pauses, id);
      if (!paused) return await rm(note, { force: true });
      await mkdir(layout.pauses, { recursive: true, mode: 0o700 });
      await writeFile(note, "");
    },

    pausesNoted: async () => {
      try {
        return (await readdir(layout.pauses)).flatMap((name) => {
          const id = decodeId(name);
          return id.ok ? [id.value] : [];
        });
      } catch (error) {
        if (isMissing(error)) return [];
        throw error;
      }
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

const bytesIn = async (directory: string): Promise<number> => {
  try {
    const names = await readdir(directory);
    const sizes = await Promise.all(names.map(async (name) => (await lstat(join(directory, name))).size));
    return sizes.reduce((sum, size) => sum + size, 0);
  } catch (error) {
    if (isMissing(error)) return 0;
    throw error;
  }
};

/** Nothing happens when it is gone, which it is after it was moved. */
const moveDirectory = async (from: string, to: string): Promise<void> => {
  try {
    await rename(from, to);
  } catch (error) {
    if (isMissing(error)) return;
    if (!hasCode(error, "EXDEV")) throw error;
    await rm(`${to}.tmp`, { recursive: true, force: true });
    await cp(from, `${to}.tmp`, { recursive: true });
    await rename(`${to}.tmp`, to);
    await rm(from, { recursive: true, force: true });
  }
};

const openDirectory = async (path: string): Promise<FileHandle | undefined> => {
  try {
    return await open(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
};

/** Through the descriptor: the directory is moved when the container has ended, and a reader must not lose the end. */
const readableLog = (directory: FileHandle, kind: LogKind): ReadableFile => {
  const log = openLog(`/proc/self/fd/${directory.fd}`);
  return {
    size: async () => {
      if ((await directory.stat()).nlink === 0) throw new Error("the log was deleted while it was read");
      return (await log.range(kind)).end;
    },
    read: (offset, maxBytes) => log.read(kind, offset, maxBytes),
    close: () => directory.close(),
  };
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
    return { offset, data: buffer.subarray(0, filled) };
  },
  close: () => file.close(),
});
