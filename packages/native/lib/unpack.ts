/**
 * Unpacks one archive (tar; plain, gzip, zstd or xz) of a layer or of plain files into one empty directory, by a program that
 * can reach nothing else (src/unpack). Decides nothing about where they are kept or what they are called.
 */
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { Socket } from "node:net";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { binding, isFailure, unpackPath } from "./binding.ts";
import { nativeError } from "./errors.ts";
import { packTree } from "./pack.ts";
import type { NativeError } from "./types.ts";

export interface UnpackLimits {
  /** Of all files together, holes included. */
  readonly bytes: number;
  readonly entries: number;
  /** Components of one path. */
  readonly depth: number;
  /** Unpacked bytes per byte of the archive, for what exceeds 64 MiB. */
  readonly ratio: number;
}

/** Wide enough for every distribution; a bomb ends here. */
export const UNPACK_LIMITS: UnpackLimits = { bytes: 64 * 2 ** 30, entries: 2_000_000, depth: 256, ratio: 200 };

export interface UnpackFailure {
  readonly ok: false;
  readonly error: NativeError;
  /** The entry of the archive that it was about, or empty. */
  readonly entry: string;
}

export type UnpackResult =
  | {
      readonly ok: true;
      /** sha256 of the archive without its compression, hexadecimal: the `diff_id` of the OCI image format. */
      readonly digest: string;
      /** Of the tree that was made, see sealTree. */
      readonly seal: string;
      readonly entries: number;
      readonly bytes: number;
      /** Device nodes and extended attributes that were left out. */
      readonly devicesSkipped: number;
      readonly xattrsSkipped: number;
    }
  | UnpackFailure;

export type SealResult =
  | { readonly ok: true; readonly seal: string; readonly entries: number; readonly bytes: number }
  | UnpackFailure;

/** As deep as a tree may be at all. */
const MAX_DEPTH = 1_000;
const PROGRESS_MS = 200;
/** See binding().run: the program reads what we write. */
const FED = -2;

/**
 * `blob` is an open file at its start, `tree` an open empty directory of a file system with xattrs. The content is on
 * disk when this settles. After a failure the directory holds anything: delete it. `progress` gets bytes of the archive.
 */
export const unpackLayer = async (
  blob: number,
  tree: number,
  limits: UnpackLimits = UNPACK_LIMITS,
  signal?: AbortSignal,
  progress?: (bytes: number) => void,
): Promise<UnpackResult> => {
  const words = [limits.bytes, limits.entries, limits.depth, limits.ratio].map(String);
  /* The program reads from our open file: its place in it is how far it is. */
  const look = (): void => {
    readFile(`/proc/self/fdinfo/${blob}`, "utf8").then(
      (info) => progress?.(Number(/^pos:\s*(\d+)/.exec(info)?.[1] ?? 0)),
      () => undefined,
    );
  };
  const timer = progress === undefined ? undefined : setInterval(look, PROGRESS_MS);
  try {
    return await ask<Extract<UnpackResult, { ok: true }>>(words, blob, tree, signal);
  } finally {
    clearInterval(timer);
  }
};

/**
 * The same of an archive of plain files, as it comes: names of whiteouts are names like any, and nothing is sealed. It is
 * whole when `archive` ends; when that throws, this rejects with what it threw.
 */
export const unpackFiles = async (
  archive: AsyncIterable<Uint8Array>,
  tree: number,
  limits: UnpackLimits = UNPACK_LIMITS,
  signal?: AbortSignal,
): Promise<UnpackResult> => {
  const words = [...[limits.bytes, limits.entries, limits.depth, limits.ratio].map(String), "plain"];
  return await askFed(words, archive, tree, signal);
};

/**
 * Whether mounts of this open directory can map ids; false also where the kernel has no such thing. Undefined: something
 * else went wrong, which is no answer and may be over the next time.
 */
export const canMapIds = async (directory: number): Promise<boolean | undefined> => {
  const answer = await ask<{ readonly ok: true }>(["--maps"], -1, directory, undefined);
  if (answer.ok) return true;
  return ["EINVAL", "ENOSYS", "EOPNOTSUPP"].includes(answer.error.code) ? false : undefined;
};

/**
 * Lets no more than so many bytes lie below this open directory, where canLimitTrees says that it can be; on disk once
 * something made later is. A directory that has the limit already is looked at: EDQUOT when there is more in it, since root
 * may write beyond.
 */
export const limitTree = async (directory: number, bytes: number): Promise<UnpackFailure | { readonly ok: true }> =>
  await ask<{ readonly ok: true }>(["--limit", String(bytes)], -1, directory, undefined);

/**
 * A copy of an unpacked layer whose files have ids from `idBase` on, for where mounts cannot map them: packed as it is,
 * unpacked by the same jailed program as any archive, in a user namespace with that range. Of both directories, which are
 * open, `to` is empty; as after `unpackLayer`.
 */
export const shiftTree = async (
  from: number,
  to: number,
  idBase: number,
  signal?: AbortSignal,
): Promise<UnpackResult> => {
  const most = Number.MAX_SAFE_INTEGER;
  const words = [...[most, most, MAX_DEPTH, most].map(String), "ids", String(idBase)];
  const archive = packTree({ kind: "copy", tree: from, idBase: 0, mostBytes: most, ...(signal && { signal }) });
  return await askFed(words, archive, to, signal);
};

const askFed = async (
  words: readonly string[],
  archive: AsyncIterable<Uint8Array>,
  tree: number,
  signal: AbortSignal | undefined,
): Promise<UnpackResult> => {
  const broken = new AbortController();
  const either = signal === undefined ? broken.signal : AbortSignal.any([signal, broken.signal]);
  const ended = new AbortController();
  let feeding: Promise<void> = Promise.resolve();
  const result = await ask<Extract<UnpackResult, { ok: true }>>(words, FED, tree, either, (pipe) => {
    const over = AbortSignal.any([either, ended.signal]);
    feeding = feed(archive, pipe, over).catch((error: unknown) => broken.abort(error));
  });
  ended.abort();
  await feeding;
  if (broken.signal.aborted) throw broken.signal.reason;
  return result;
};

/** Writes all of it, as fast as it is read, until the reader is gone: it has said why. */
const feed = async (archive: AsyncIterable<Uint8Array>, pipe: number, over: AbortSignal): Promise<void> => {
  const socket = new Socket({ fd: pipe, readable: false, writable: true });
  socket.on("error", () => undefined);
  const stopped = new Promise<undefined>((resolve) => {
    over.addEventListener("abort", () => resolve(undefined), { once: true });
  });
  const pieces = archive[Symbol.asyncIterator]();
  try {
    while (!over.aborted) {
      // Whoever brings them may take long, and the reader be gone meanwhile.
      const next = await Promise.race([pieces.next(), stopped]);
      if (next === undefined) break;
      if (next.done === true) {
        await Promise.race([new Promise<void>((resolve) => void socket.end(resolve)), stopped]);
        return;
      }
      if (!socket.write(next.value)) await once(socket, "drain", { signal: over }).catch(() => undefined);
    }
    pieces.return?.(undefined).catch(() => undefined);
  } finally {
    socket.destroy();
  }
};

/**
 * A SHA-256 over everything that can be seen of a tree: names, types, modes, owners, times, links, extended attributes,
 * content. Two trees with the same seal are the same. Costs one reading of all files.
 */
export const sealTree = (tree: number, signal?: AbortSignal): Promise<SealResult> =>
  ask<Extract<SealResult, { ok: true }>>(["--seal"], -1, tree, signal);

const ask = async <T extends { readonly ok: true }>(
  words: readonly string[],
  blob: number,
  tree: number,
  signal: AbortSignal | undefined,
  fed: (pipe: number) => void = () => undefined,
): Promise<T | UnpackFailure> => {
  if (isAborted(signal)) return refused("unpack.start", 0, "it is not wanted any more", "");
  const started = await binding().run(unpackPath, words, blob, tree);
  if (isFailure(started)) return refused(started.stage, started.errno, started.detail, "");
  const { pid, output } = started;
  let alive = true;
  const kill = (): void => {
    if (alive) process.kill(pid, "SIGKILL");
  };
  signal?.addEventListener("abort", kill, { once: true });
  if (isAborted(signal)) kill();
  if (started.feed !== undefined) fed(started.feed);
  let line = "";
  try {
    /* As a socket the loop waits for it; as a file it would hold one of the few threads all the while. */
    line = await text(new Socket({ fd: output, readable: true, writable: false }));
  } finally {
    signal?.removeEventListener("abort", kill);
    for (let pauseMs = 1; !binding().reap(pid); pauseMs = Math.min(pauseMs * 2, 100)) await sleep(pauseMs);
    alive = false;
  }
  const report = parseReport<T>(line);
  if (report === undefined) return refused("unpack", 0, "the unpacking program was killed", "");
  return report.ok ? report : refused(report.stage, report.errno, report.detail, report.entry);
};

const isAborted = (signal: AbortSignal | undefined): boolean => signal?.aborted === true;

/** What the program prints: a success as it is, a failure in parts. */
type Report<T> = T | (Omit<NativeError, "code"> & { readonly ok: false; readonly entry: string });

/** Our own program wrote it; it may have been killed in the middle. */
const parseReport = <T extends { readonly ok: true }>(line: string): Report<T> | undefined => {
  try {
    return JSON.parse(line) as Report<T>;
  } catch {
    return undefined;
  }
};

const refused = (stage: string, errno: number, detail: string, entry: string): UnpackFailure => ({
  ok: false,
  error: nativeError(stage, errno, entry === "" ? detail : `${entry}: ${detail}`),
  entry,
});
