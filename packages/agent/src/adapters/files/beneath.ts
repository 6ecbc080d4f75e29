/**
 * Opening and walking a tree that somebody else has written, without ever leaving it. Every component is opened by
 * itself, relative to the descriptor of the one before and with O_NOFOLLOW (openat(2), through /proc/self/fd because Node
 * has no openat): a symbolic link anywhere on the way ends the walk, and a path cannot be exchanged between a check and
 * its use. Only regular files are ever opened for reading; O_NONBLOCK keeps a FIFO from holding us up before fstat tells.
 */
import { constants } from "node:fs";
import { open, readdir, type FileHandle } from "node:fs/promises";
import { hasCode, isMissing } from "./atomic-file.ts";

const DIRECTORY = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
const FILE = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOCTTY;

const at = (directory: FileHandle, name: string): string => `/proc/self/fd/${directory.fd}/${name}`;

const isPlainName = (name: string): boolean => name !== "" && name !== "." && name !== ".." && !/[/\0]/.test(name);

/** True for what the kernel says when something on the way is not what was asked for. */
const isElsewhere = (error: unknown): boolean =>
  isMissing(error) || hasCode(error, "ELOOP", "ENXIO", "EISDIR", "ENAMETOOLONG");

/** Opens the regular file at `path` (slashes, relative) below `root`; undefined when there is none that may be read. */
export const openBeneath = async (root: string, path: string): Promise<FileHandle | undefined> => {
  const names = path.split("/");
  const last = names.pop();
  if (last === undefined || !isPlainName(last) || !names.every(isPlainName)) return undefined;
  let directory: FileHandle | undefined;
  let file: FileHandle | undefined;
  try {
    directory = await open(root, DIRECTORY);
    for (const name of names) {
      const next: FileHandle = await open(at(directory, name), DIRECTORY);
      await directory.close();
      directory = next;
    }
    file = await open(at(directory, last), FILE);
    if ((await file.stat()).isFile()) {
      const found = file;
      file = undefined;
      return found;
    }
    return undefined;
  } catch (error) {
    if (isElsewhere(error)) return undefined;
    throw error;
  } finally {
    await file?.close();
    await directory?.close();
  }
};

export interface TreeFile {
  readonly path: string;
  readonly sizeBytes: number;
}

export interface TreeLimits {
  readonly files: number;
  readonly entries: number;
  readonly bytes: number;
  readonly depth: number;
}

/** A tree that cannot be kept; the message is a sentence for the user who made it. */
export class TreeRefused extends Error {
  override readonly name = "TreeRefused";
}

/**
 * All regular files below `root`, sorted by path, each flushed to disk together with the directories that hold them.
 * Everything else (links, FIFOs, devices, sockets) is left out.
 */
export const listAndFlush = async (root: string, limits: TreeLimits): Promise<readonly TreeFile[]> => {
  const files: TreeFile[] = [];
  let entries = 0;
  let bytes = 0;
  const visit = async (directory: FileHandle, prefix: string, depth: number): Promise<void> => {
    if (depth > limits.depth) throw new TreeRefused(`directories are nested deeper than ${limits.depth}`);
    for (const entry of await readdir(`/proc/self/fd/${directory.fd}`, { withFileTypes: true })) {
      entries += 1;
      if (entries > limits.entries) throw new TreeRefused(`more than ${limits.entries} files and directories`);
      const path = prefix + entry.name;
      // Node replaces what is not UTF-8, so that the file could never be named again.
      if (entry.name.includes("\uFFFD")) throw new TreeRefused(`the name of "${path}" is not valid UTF-8`);
      if (path.length > 4096) throw new TreeRefused("a path is longer than 4096 characters");
      if (entry.isDirectory()) {
        const child = await open(at(directory, entry.name), DIRECTORY);
        try {
          await visit(child, `${path}/`, depth + 1);
        } finally {
          await child.close();
        }
      } else if (entry.isFile()) {
        const file = await open(at(directory, entry.name), FILE);
        try {
          const stat = await file.stat();
          if (!stat.isFile()) continue;
          bytes += stat.size;
          if (bytes > limits.bytes) throw new TreeRefused(`more than ${limits.bytes} bytes`);
          await file.sync();
          files.push({ path, sizeBytes: stat.size });
          if (files.length > limits.files) throw new TreeRefused(`more than ${limits.files} files`);
        } finally {
          await file.close();
        }
      }
    }
    await directory.sync();
  };
  const top = await open(root, DIRECTORY);
  try {
    await visit(top, "", 0);
  } finally {
    await top.close();
  }
  return files.toSorted((a, b) => (a.path < b.path ? -1 : 1));
};
