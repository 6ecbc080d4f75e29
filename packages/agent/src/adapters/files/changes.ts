/**
 * What a container changed of its image: its writable layer compared with the layers below, as overlayfs would
 * (Documentation/filesystems/overlayfs.rst): a device 0:0 deletes what lies below it, and a directory that is marked
 * opaque hides all of what lies below.
 *
 * The container goes on writing there meanwhile. Directories are opened one below the other by descriptor and never
 * through a link (see beneath.ts); nothing in there is read but names and attributes. Bounded: a page at a time, each
 * found again by the path that the last one ended with.
 */
import { constants, type BigIntStats, type Stats } from "node:fs";
import { lstat, open, readdir, type FileHandle } from "node:fs/promises";
import { readXattr } from "@berth/native";
import type { Change, ChangeList } from "@berth/schema";
import { hasCode, isMissing } from "./atomic-file.ts";
import { TreeRefused } from "./beneath.ts";

const DIRECTORY = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
const PAGE = { changes: 1000, pathBytes: 256 * 1024 };
/** Each level holds a descriptor for every layer that has the directory. */
const MAX_DEPTH = 256;
const MAX_HANDLES = 4096;
const MAX_NAMES = 100_000;
const SLASH = Buffer.from("/");

/** Of what is not a directory (any more), or not there (any more). */
const isGone = (error: unknown): boolean => isMissing(error) || hasCode(error, "ELOOP", "ENOTDIR");

const here = (directory: FileHandle, name: Buffer): Buffer =>
  Buffer.concat([Buffer.from(`/proc/self/fd/${directory.fd}/`), name]);

const statAt = async (directory: FileHandle, name: Buffer): Promise<Stats | undefined> => {
  try {
    return await lstat(here(directory, name));
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error;
  }
};

const openAt = async (directory: FileHandle, name: Buffer): Promise<FileHandle | undefined> => {
  try {
    return await open(here(directory, name), DIRECTORY);
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error;
  }
};

const isWhiteout = (entry: Stats | BigIntStats): boolean => entry.isCharacterDevice() && Number(entry.rdev) === 0;
const isOpaque = (directory: FileHandle): boolean =>
  readXattr(directory.fd, "trusted.overlay.opaque")?.toString() === "y";

/** `/a/b`, with what is not UTF-8 as `\xNN`. */
export const pathText = (path: Buffer): string => {
  const text = path.toString();
  if (!text.includes("\uFFFD")) return `/${text.replaceAll("\\", "\\\\")}`;
  let shown = "";
  for (const byte of path) {
    if (byte === 0x5c) shown += "\\\\";
    else shown += byte < 0x80 ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, "0")}`;
  }
  return `/${shown}`;
};

const typeOf = (entry: Stats): NonNullable<Change["type"]> => {
  if (entry.isFile()) return "file";
  if (entry.isDirectory()) return "directory";
  if (entry.isSymbolicLink()) return "symlink";
  if (entry.isFIFO()) return "fifo";
  return entry.isSocket() ? "socket" : "device";
};

interface Below {
  /** What the container sees of it without its own layer. */
  readonly entry: Stats;
  /** Whether directories of deeper layers, if there are any, show through. */
  readonly directories: FileHandle[];
}

/** What `name` is in the layers below, topmost first. The caller closes the directories. */
const lookBelow = async (lowers: readonly FileHandle[], name: Buffer, opened: number): Promise<Below | undefined> => {
  let entry: Stats | undefined;
  const directories: FileHandle[] = [];
  for (const lower of lowers) {
    const found = await statAt(lower, name);
    if (found === undefined) continue;
    if (isWhiteout(found)) break;
    if (!found.isDirectory()) {
      entry ??= found;
      break;
    }
    entry ??= found;
    const directory = await openAt(lower, name);
    if (directory === undefined) break;
    directories.push(directory);
    if (directories.length + opened > MAX_HANDLES) {
      await closeAll(directories);
      throw new TreeRefused("its layers are nested too deep");
    }
    if (isOpaque(directory)) break;
  }
  return entry === undefined ? undefined : { entry, directories };
};

const closeAll = async (handles: readonly FileHandle[]): Promise<void> => {
  await Promise.all(handles.map((handle) => handle.close()));
};

class Full extends Error {}

/**
 * Changes after the path `after` (null: from the beginning). `lowers` are directories of layers, topmost first. Rejects
 * with TreeRefused for a tree beyond its bounds; a layer that is gone is as an empty one.
 */
export const listChanges = async (
  upper: string,
  layers: readonly string[],
  after: string | null,
): Promise<ChangeList> => {
  const changes: Change[] = [];
  let pathBytes = 0;
  let last: Buffer = Buffer.alloc(0);
  let seen = 0;
  let opened = 0;
  const add = (path: Buffer, change: Change["change"], entry: Stats | undefined): void => {
    if (changes.length >= PAGE.changes || pathBytes + path.length > PAGE.pathBytes) throw new Full();
    const sizeBytes = entry?.isFile() === true ? entry.size : 0;
    changes.push({ change, path: pathText(path), type: entry === undefined ? null : typeOf(entry), sizeBytes });
    pathBytes += path.length;
    last = path;
  };

  /** `past`: names of the way to the path that was told last, or what of them lies below here. */
  const visit = async (
    directory: FileHandle,
    lowers: readonly FileHandle[],
    prefix: Buffer,
    past: readonly Buffer[],
    hides: boolean,
  ): Promise<void> => {
    if (prefix.length > 0 && prefix.filter((byte) => byte === 0x2f).length > MAX_DEPTH) {
      throw new TreeRefused(`directories are nested deeper than ${MAX_DEPTH}`);
    }
    const names = new Map<string, Buffer>();
    const list = async (place: FileHandle): Promise<void> => {
      for (const name of await readdir(`/proc/self/fd/${place.fd}`, { encoding: "buffer" })) {
        names.set(name.toString("latin1"), name);
        seen += 1;
        if (seen > MAX_NAMES) throw new TreeRefused(`more than ${MAX_NAMES} files and directories`);
      }
    };
    await list(directory);
    if (hides) for (const lower of lowers) await list(lower);
    const [skipTo, ...deeper] = past;
    for (const name of [...names.values()].toSorted((a, b) => Buffer.compare(a, b))) {
      const place = skipTo === undefined ? 1 : Buffer.compare(name, skipTo);
      if (place < 0) continue;
      const isTold = place === 0;
      const path = Buffer.concat([prefix, name]);
      const below = await lookBelow(lowers, name, opened);
      const handles = (below?.directories.length ?? 0) + 1;
      opened += handles;
      try {
        const entry = await statAt(directory, name);
        if (entry === undefined || isWhiteout(entry)) {
          if (!isTold && below !== undefined && (hides || entry !== undefined)) add(path, "deleted", undefined);
          continue;
        }
        if (!isTold) add(path, below === undefined ? "added" : "changed", entry);
        if (!entry.isDirectory()) continue;
        const child = await openAt(directory, name);
        if (child === undefined) continue;
        try {
          const into = Buffer.concat([path, SLASH]);
          await visit(child, below?.directories ?? [], into, isTold ? deeper : [], hides || isOpaque(child));
        } finally {
          await child.close();
        }
      } finally {
        opened -= handles;
        await closeAll(below?.directories ?? []);
      }
    }
  };

  const lowers: FileHandle[] = [];
  const top = await open(upper, DIRECTORY);
  try {
    for (const layer of layers) lowers.push(await open(layer, DIRECTORY));
    const past = after === null ? [] : splitPath(Buffer.from(after, "base64url"));
    await visit(top, lowers, Buffer.alloc(0), past, false);
    return { changes, next: null };
  } catch (error) {
    if (error instanceof Full) return { changes, next: last.toString("base64url") };
    throw error;
  } finally {
    await closeAll([top, ...lowers]);
  }
};

const splitPath = (path: Buffer): Buffer[] => {
  const names: Buffer[] = [];
  let from = 0;
  for (;;) {
    const at = path.indexOf(0x2f, from);
    names.push(path.subarray(from, at === -1 ? undefined : at));
    if (at === -1) return names;
    from = at + 1;
  }
};
