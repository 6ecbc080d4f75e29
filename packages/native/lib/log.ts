/**
 * Reads the log of a container while it is written, after its end, and after any crash. Holds nothing open between two
 * calls: files come and go under a reader, and a directory that does not exist is a log without bytes.
 *
 * A byte of a stream has one offset for ever. Bytes that were rotated away, or damaged, are skipped: what is read says
 * at which offset it begins.
 */
import { open, readdir, type FileHandle } from "node:fs/promises";
import { constants } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { hasCode } from "./errors.ts";
import {
  BLOCK_BYTES,
  LOG_STREAMS,
  readBlock,
  readBlockHeader,
  type Block,
  type LogRecord,
  type LogStream,
  type Offsets,
} from "./log-format.ts";

const LOOK_MS = 40;
const HEADER_BYTES = 48;

export interface LogRange {
  /** The first byte that is still kept. */
  readonly start: number;
  /** One past the last byte. */
  readonly end: number;
}

export interface LogPiece {
  /** Of the first byte of `data`: the one asked for, or the next that is there. */
  readonly offset: number;
  readonly data: Buffer;
}

export interface RecordsOptions {
  /** Only this stream. */
  readonly stream?: LogStream;
  /** Begins with the record that holds the last so many bytes of each stream; default: with the first record. */
  readonly tailBytes?: number;
  /** Goes on with what is written later, until `ended` has been true and all of it was read, or `signal` aborts. */
  readonly follow?: { readonly ended: () => boolean; readonly signal?: AbortSignal };
}

export interface LogReader {
  range(stream: LogStream): Promise<LogRange>;
  /** At most `maxBytes`; an empty piece when nothing is there at or after `offset`. */
  read(stream: LogStream, offset: number, maxBytes: number): Promise<LogPiece>;
  /** In the order in which they were written, both streams together. */
  records(options?: RecordsOptions): AsyncGenerator<LogRecord>;
}

interface OpenFile {
  readonly number: number;
  readonly handle: FileHandle;
  /** Whole or partial, when it was opened. */
  readonly blocks: number;
  readonly size: number;
}

interface Place {
  readonly file: number;
  readonly block: number;
}

/** `starts` is what is known of the files that are there: where the first block of each begins, which never changes. */
export const openLog = (directory: string, starts = new Map<number, Offsets>()): LogReader => {
  const numbers = async (): Promise<number[]> => {
    try {
      const names = await readdir(directory);
      const found = names.filter((name) => /^[1-9]\d{0,14}$/.test(name)).map(Number);
      const here = new Set(found);
      /* A reader may live for as long as its container, which writes one file after the other. */
      for (const known of starts.keys()) if (!here.has(known)) starts.delete(known);
      return found.sort((a, b) => a - b);
    } catch (cause) {
      if (hasCode(cause, "ENOENT", "ENOTDIR")) return [];
      throw cause;
    }
  };

  /** Undefined when it has been deleted since it was listed. */
  const withFile = async <T>(number: number, use: (file: OpenFile) => Promise<T>): Promise<T | undefined> => {
    let handle: FileHandle;
    try {
      handle = await open(join(directory, String(number)), constants.O_RDONLY | constants.O_NOFOLLOW);
    } catch (cause) {
      if (hasCode(cause, "ENOENT")) return undefined;
      throw cause;
    }
    try {
      const { size } = await handle.stat();
      return await use({ number, handle, size, blocks: Math.ceil(size / BLOCK_BYTES) });
    } finally {
      await handle.close();
    }
  };

  const bytesAt = async (file: OpenFile, position: number, length: number): Promise<Buffer> => {
    const buffer = Buffer.allocUnsafe(length);
    let filled = 0;
    while (filled < length) {
      const { bytesRead } = await file.handle.read(buffer, filled, length - filled, position + filled);
      if (bytesRead === 0) break;
      filled += bytesRead;
    }
    return buffer.subarray(0, filled);
  };

  const headerOf = async (file: OpenFile, index: number): Promise<Offsets | undefined> =>
    readBlockHeader(await bytesAt(file, index * BLOCK_BYTES, HEADER_BYTES), file.number, index);

  const blockOf = async (file: OpenFile, index: number): Promise<Block | undefined> =>
    readBlock(await bytesAt(file, index * BLOCK_BYTES, BLOCK_BYTES), file.number, index);

  const startOf = async (number: number): Promise<Offsets | undefined> => {
    const known = starts.get(number);
    if (known !== undefined) return known;
    const found = await withFile(number, async (file) => {
      for (let index = 0; index < file.blocks; index += 1) {
        const offsets = await headerOf(file, index);
        if (offsets !== undefined) return offsets;
      }
      return undefined;
    });
    if (found !== undefined) starts.set(number, found);
    return found;
  };

  /** The last block of the file that begins at or before `offset`; blocks without a valid header are passed over. */
  const findBlock = async (file: OpenFile, stream: number, offset: number): Promise<number> => {
    let low = 0;
    let high = file.blocks - 1;
    while (low < high) {
      let middle = Math.ceil((low + high) / 2);
      let offsets = await headerOf(file, middle);
      while (offsets === undefined && middle > low + 1) offsets = await headerOf(file, (middle -= 1));
      if (offsets === undefined) {
        /* Nothing valid in (low, middle]: look above, if there is anything. */
        const above = Math.ceil((low + high) / 2) + 1;
        if (above > high) return low;
        const next = await headerOf(file, above);
        if (next === undefined || (next[stream] ?? 0) > offset) return low;
        low = above;
      } else if ((offsets[stream] ?? 0) <= offset) low = middle;
      else high = middle - 1;
    }
    return low;
  };

  const find = async (stream: number, offset: number): Promise<Place | undefined> => {
    const files = await numbers();
    for (const number of files.toReversed()) {
      const start = await startOf(number);
      if (start !== undefined && ((start[stream] ?? 0) <= offset || number === files[0])) {
        const block = await withFile(number, (file) => findBlock(file, stream, offset));
        if (block !== undefined) return { file: number, block };
      }
    }
    return files[0] === undefined ? undefined : { file: files[0], block: 0 };
  };

  /**
   * Blocks from `from` on. A block is final when something came after it before it was read: then what is not whole in
   * it is damaged, and the walk goes on behind it.
   */
  async function* walk(from: Place): AsyncGenerator<{ readonly place: Place; readonly block: Block }> {
    const files = (await numbers()).filter((number) => number >= from.file);
    for (const number of files) {
      const first = number === from.file ? from.block : 0;
      const handle = await open(join(directory, String(number)), constants.O_RDONLY | constants.O_NOFOLLOW).catch(
        (cause: unknown) => {
          if (hasCode(cause, "ENOENT")) return undefined;
          throw cause;
        },
      );
      if (handle === undefined) continue;
      try {
        const { size } = await handle.stat();
        const file = { number, handle, size, blocks: Math.ceil(size / BLOCK_BYTES) };
        for (let index = first; index < file.blocks; index += 1) {
          const block = await blockOf(file, index);
          if (block !== undefined) yield { place: { file: number, block: index }, block };
        }
      } finally {
        await handle.close();
      }
    }
  }

  const endOffsets = async (): Promise<Offsets> => {
    for (const number of (await numbers()).toReversed()) {
      const end = await withFile(number, async (file) => {
        for (let index = file.blocks - 1; index >= 0; index -= 1) {
          const block = await blockOf(file, index);
          if (block !== undefined) return block.end;
        }
        return undefined;
      });
      if (end !== undefined) return end;
    }
    return [0, 0];
  };

  return {
    range: async (stream) => {
      const index = LOG_STREAMS.indexOf(stream);
      let start: Offsets | undefined;
      for (const number of await numbers()) if ((start ??= await startOf(number)) !== undefined) break;
      const end = (await endOffsets())[index] ?? 0;
      return { start: Math.min(start?.[index] ?? 0, end), end };
    },

    read: async (stream, offset, maxBytes) => {
      const place = await find(LOG_STREAMS.indexOf(stream), offset);
      const parts: Buffer[] = [];
      let begin = offset;
      let next = offset;
      let left = maxBytes;
      if (place !== undefined && maxBytes > 0) {
        for await (const { block } of walk(place)) {
          for (const record of block.records) {
            if (record.stream !== stream || record.offset + record.data.length <= next) continue;
            /* Whatever lies behind a hole is for the next call. */
            if (record.offset > next && parts.length > 0) left = 0;
            if (left === 0) break;
            if (parts.length === 0) begin = next = Math.max(offset, record.offset);
            const part = record.data.subarray(next - record.offset, next - record.offset + left);
            parts.push(part);
            next += part.length;
            left -= part.length;
          }
          if (left === 0) break;
        }
      }
      return { offset: begin, data: Buffer.concat(parts) };
    },

    records: async function* ({ stream, tailBytes, follow } = {}) {
      const end = await endOffsets();
      const from: [number, number] =
        tailBytes === undefined ? [0, 0] : [Math.max(0, end[0] - tailBytes), Math.max(0, end[1] - tailBytes)];
      const places = await Promise.all(
        LOG_STREAMS.map(async (name, i) =>
          stream === undefined || stream === name ? await find(i, from[i] ?? 0) : undefined,
        ),
      );
      let place = places.filter((one) => one !== undefined).sort((a, b) => a.file - b.file || a.block - b.block)[0];
      for (;;) {
        /* Asked before reading: what is written in between is then seen in the next round. */
        const last = follow === undefined || follow.ended();
        place ??= (await numbers()).slice(0, 1).map((file) => ({ file, block: 0 }))[0];
        let seen = false;
        if (place !== undefined) {
          for await (const found of walk(place)) {
            place = found.place;
            for (const record of found.block.records) {
              const index = LOG_STREAMS.indexOf(record.stream);
              if (
                (stream !== undefined && record.stream !== stream) ||
                record.offset + record.data.length <= (from[index] ?? 0)
              )
                continue;
              from[index] = record.offset + record.data.length;
              seen = true;
              yield record;
            }
          }
        }
        if (last || follow.signal?.aborted === true) return;
        if (!seen) await sleep(LOOK_MS, undefined, { ref: false });
      }
    },
  };
};
