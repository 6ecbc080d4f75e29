/**
 * A directory tree as an archive (tar, with pax headers where they are needed), piece by piece, by a program that sees
 * nothing but that tree (src/pack). Never more than a few pieces are in memory, whatever the size of the tree. Decides
 * nothing about where archives go.
 */
import { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { binding, isFailure, packPath } from "./binding.ts";
import { nativeError, NativeFailure } from "./errors.ts";

export interface PackOptions {
  /**
   * `layer`: what a container wrote, with what it deleted as the OCI image format says it. `root`: all that it saw, over
   * `layers` (directories, topmost first). `plain`: a directory as it is, with its own owner and mode. `copy`: both of
   * `layer` and `plain`.
   */
  readonly kind: "layer" | "root" | "plain" | "copy";
  /** An open directory. It may change meanwhile: then the archive is of no one moment. */
  readonly tree: number;
  readonly layers?: readonly string[];
  /** First of the container's 65536 ids on this host: they are told as the container sees them. */
  readonly idBase: number;
  /** Of the archive. */
  readonly mostBytes: number;
  readonly signal?: AbortSignal;
}

export interface PackReport {
  readonly entries: number;
  /** Of all files together. */
  readonly bytes: number;
  /** Sockets and device nodes, and attributes that mean something to this host only. */
  readonly devicesSkipped: number;
  readonly xattrsSkipped: number;
}

type Line =
  | ({ readonly ok: true } & PackReport)
  | {
      readonly ok: false;
      readonly errno: number;
      readonly stage: string;
      readonly entry: string;
      readonly detail: string;
    };

const HEAD = 4;

/** Throws a NativeFailure that names the entry; what came until then is no archive. */
export async function* packTree(options: PackOptions): AsyncGenerator<Uint8Array, PackReport> {
  const { kind, tree, layers = [], idBase, mostBytes, signal } = options;
  return yield* frames([kind, String(idBase), String(mostBytes), ...layers], tree, signal);
}

/** Settles when everything on the file system of this open directory is on disk. Blocks no thread of this process. */
export const syncTree = async (tree: number): Promise<void> => {
  const none = frames(["sync"], tree, undefined);
  while ((await none.next()).done !== true);
};

async function* frames(
  words: readonly string[],
  tree: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array, PackReport> {
  signal?.throwIfAborted();
  const started = await binding().run(packPath, words, -1, tree);
  if (isFailure(started)) throw new NativeFailure(nativeError(started.stage, started.errno, started.detail));
  const { pid, output } = started;
  const kill = (): void => void process.kill(pid, "SIGKILL");
  const socket = new Socket({ fd: output, readable: true, writable: false });
  const abort = (): void => void socket.destroy(signal?.reason instanceof Error ? signal.reason : new Error("aborted"));
  signal?.addEventListener("abort", abort, { once: true });
  try {
    return report(yield* piecesOf(socket));
  } finally {
    signal?.removeEventListener("abort", abort);
    socket.destroy();
    /* It is not reaped yet, so the number is its own; one that has ended feels nothing. */
    kill();
    for (let pauseMs = 1; !binding().reap(pid); pauseMs = Math.min(pauseMs * 2, 100)) await sleep(pauseMs);
  }
}

/** What the frames hold; what follows the last one is returned as text. */
async function* piecesOf(source: AsyncIterable<Buffer>): AsyncGenerator<Uint8Array, string> {
  const head = Buffer.alloc(HEAD);
  let headBytes = 0;
  let left = 0;
  let text: string | undefined;
  for await (const chunk of source) {
    let at = 0;
    while (at < chunk.length) {
      if (text !== undefined) {
        text += chunk.toString("latin1", at);
        break;
      }
      if (left > 0) {
        const piece = chunk.subarray(at, at + left);
        at += piece.length;
        left -= piece.length;
        yield piece;
        continue;
      }
      const taken = chunk.copy(head, headBytes, at, at + HEAD - headBytes);
      at += taken;
      headBytes += taken;
      if (headBytes < HEAD) continue;
      headBytes = 0;
      left = head.readUInt32LE(0);
      if (left === 0) text = "";
    }
  }
  return text ?? "";
}

const report = (text: string): PackReport => {
  let line: Line | undefined;
  try {
    line = JSON.parse(text) as Line;
  } catch {
    // Our own program wrote it; it was killed in the middle.
  }
  if (line === undefined) throw new NativeFailure(nativeError("pack", 0, "the packing program was killed"));
  if (line.ok) return line;
  const { stage, errno, entry, detail } = line;
  throw new NativeFailure(nativeError(stage, errno, entry === "" ? detail : `${entry}: ${detail}`));
};
