/**
 * The log of a container as bytes (include/log.h): what src/supervisor/log.c writes. Any bytes give blocks and records
 * or the finding that here are none; nothing throws. A record counts only with its checksum, so the torn tail of a
 * supervisor that was killed, and what is just being written, are the same: not there (yet).
 */
import { crc32 } from "node:zlib";

export const BLOCK_BYTES = 65_536;
const BLOCK_HEADER_BYTES = 48;
const RECORD_HEADER_BYTES = 16;
const MAGIC = 0x474f4c42;
const VERSION = 1;
const PARTIAL = 1;
const GAP = 2;

export const LOG_STREAMS = ["stdout", "stderr"] as const;
export type LogStream = (typeof LOG_STREAMS)[number];
/** A count of bytes for each stream, in the order of LOG_STREAMS. */
export type Offsets = readonly [number, number];

export interface LogRecord {
  readonly stream: LogStream;
  readonly timeMs: number;
  /** Of the first byte, counted over all that was ever written to the log from this stream. */
  readonly offset: number;
  readonly data: Buffer;
  /** The last byte does not end a line. */
  readonly partial: boolean;
  /** A line of the supervisor: so many bytes were discarded here. */
  readonly gap: boolean;
}

/** Of each stream before the block; undefined when this is no header of block `index` of file `file`. */
export const readBlockHeader = (header: Buffer, file: number, index: number): Offsets | undefined => {
  if (header.length < BLOCK_HEADER_BYTES || header.readUInt32LE(0) !== MAGIC) return undefined;
  if (crc32(header.subarray(8, BLOCK_HEADER_BYTES)) !== header.readUInt32LE(4)) return undefined;
  if (header.readUInt16LE(8) !== VERSION || Number(header.readBigUInt64LE(16)) !== file) return undefined;
  if (Number(header.readBigUInt64LE(24)) !== index) return undefined;
  const offsets = [Number(header.readBigUInt64LE(32)), Number(header.readBigUInt64LE(40))] as const;
  return offsets.every(Number.isSafeInteger) ? offsets : undefined;
};

export interface Block {
  readonly records: readonly LogRecord[];
  /** Of each stream after its last whole record. */
  readonly end: Offsets;
}

/** `bytes` is the block as far as it has been written; its records share that memory. */
export const readBlock = (bytes: Buffer, file: number, index: number): Block | undefined => {
  const start = readBlockHeader(bytes, file, index);
  if (start === undefined) return undefined;
  const end: [number, number] = [...start];
  const records: LogRecord[] = [];
  for (let at = BLOCK_HEADER_BYTES; at + RECORD_HEADER_BYTES <= bytes.length;) {
    const length = bytes.readUInt16LE(at + 4);
    const stream = bytes.readUInt8(at + 6);
    const next = at + RECORD_HEADER_BYTES + length;
    if (length === 0 || next > bytes.length || (stream !== 0 && stream !== 1)) break;
    if (crc32(bytes.subarray(at + 4, next)) !== bytes.readUInt32LE(at)) break;
    const flags = bytes.readUInt8(at + 7);
    records.push({
      stream: LOG_STREAMS[stream],
      timeMs: Number(bytes.readBigUInt64LE(at + 8)),
      offset: end[stream],
      data: bytes.subarray(at + RECORD_HEADER_BYTES, next),
      partial: (flags & PARTIAL) !== 0,
      gap: (flags & GAP) !== 0,
    });
    end[stream] += length;
    at = next;
  }
  return { records, end };
};
