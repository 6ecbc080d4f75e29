/**
 * Reads a tar archive as it comes, entry by entry, never more than a block in memory. Refuses what no tool writes: names
 * that lead out, headers without measure. The body of an entry is to be read before the next one is asked for; what was
 * not read is passed over.
 */
import { createGunzip } from "node:zlib";
import { Readable } from "node:stream";
import {
  BLOCK,
  isZero,
  MAX_HEADER_BYTES,
  parseHeader,
  parsePax,
  plainPath,
  type TarType,
} from "../../core/images/tar.ts";

export interface TarEntry {
  /** Relative, without `.` and `..`. */
  readonly path: string;
  readonly type: TarType;
  readonly size: number;
  readonly link: string;
  readonly body: AsyncIterable<Uint8Array>;
}

const MAX_ENTRIES = 100_000;

/** A source in pieces of any size, as a source of exactly what is asked for. */
class Pieces {
  readonly #source: AsyncIterator<Uint8Array>;
  #rest: Uint8Array = new Uint8Array();

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#source = source[Symbol.asyncIterator]();
  }

  /** At most `most` bytes, at least one; undefined at the end. */
  async some(most: number): Promise<Uint8Array | undefined> {
    while (this.#rest.length === 0) {
      const next = await this.#source.next();
      if (next.done === true) return undefined;
      this.#rest = next.value;
    }
    const piece = this.#rest.subarray(0, most);
    this.#rest = this.#rest.subarray(piece.length);
    return piece;
  }

  /** Exactly so many, or undefined when the archive ends before the first; rejects when it ends in between. */
  async exactly(size: number): Promise<Uint8Array | undefined> {
    const whole = new Uint8Array(size);
    for (let at = 0; at < size;) {
      const piece = await this.some(size - at);
      if (piece === undefined) {
        if (at === 0) return undefined;
        throw new Error("the archive ends in the middle of an entry");
      }
      whole.set(piece, at);
      at += piece.length;
    }
    return whole;
  }

  async skip(size: number): Promise<void> {
    for (let left = size; left > 0;) {
      const piece = await this.some(left);
      if (piece === undefined) throw new Error("the archive ends in the middle of an entry");
      left -= piece.length;
    }
  }

  async finish(): Promise<void> {
    while ((await this.some(BLOCK * 128)) !== undefined);
  }
}

export async function* tarEntries(source: AsyncIterable<Uint8Array>): AsyncGenerator<TarEntry> {
  const pieces = new Pieces(source);
  const further = new Map<string, string>();
  let count = 0;
  const small = async (size: number): Promise<Uint8Array> => {
    if (size > MAX_HEADER_BYTES) throw new Error(`a header has ${size} bytes, at most ${MAX_HEADER_BYTES} are read`);
    const bytes = (await pieces.exactly(size)) ?? new Uint8Array();
    await pieces.skip((BLOCK - (size % BLOCK)) % BLOCK);
    return bytes;
  };
  for (;;) {
    const block = await pieces.exactly(BLOCK);
    if (block === undefined) {
      if (count === 0) throw new Error("the archive is empty");
      return;
    }
    if (isZero(block)) {
      // Whoever sends it is read to the end, whatever follows the mark.
      await pieces.finish();
      return;
    }
    if ((count += 1) > MAX_ENTRIES) throw new Error(`the archive has more than ${MAX_ENTRIES} entries`);
    const header = parseHeader(block);
    if (!header.ok) throw new Error(header.error);
    const { type, size } = header.value;
    if (type === "pax" || type === "long_name" || type === "long_link" || type === "global") {
      const bytes = await small(size);
      const end = bytes.indexOf(0);
      const text = Buffer.from(end < 0 ? bytes : bytes.subarray(0, end)).toString("utf8");
      if (type === "long_name") further.set("path", text);
      if (type === "long_link") further.set("linkpath", text);
      if (type !== "pax") continue;
      const records = parsePax(bytes);
      if (!records.ok) throw new Error(records.error);
      for (const [key, value] of records.value) further.set(key, value);
      continue;
    }
    const raw = further.get("path") ?? header.value.path;
    const link = further.get("linkpath") ?? header.value.link;
    const declared = further.get("size");
    further.clear();
    const length = declared === undefined ? size : Number(declared);
    if (!Number.isSafeInteger(length) || length < 0) throw new Error(`${JSON.stringify(raw)} has an impossible size`);
    const path = plainPath(raw);
    if (path === undefined) {
      if (type === "directory" && length === 0) continue;
      throw new Error(`the entry ${JSON.stringify(raw.slice(0, 200))} leads out of the archive`);
    }
    let left = type === "file" ? length : 0;
    const body = async function* (): AsyncGenerator<Uint8Array> {
      while (left > 0) {
        const piece = await pieces.some(left);
        if (piece === undefined) throw new Error(`the archive ends in the middle of ${path}`);
        left -= piece.length;
        yield piece;
      }
    };
    yield { path, type, size: left, link, body: body() };
    await pieces.skip(left + ((BLOCK - ((type === "file" ? length : 0) % BLOCK)) % BLOCK));
  }
}

/** An archive as it is or compressed with gzip. Others are told to be unpacked first. */
export const plainArchive = async (source: AsyncIterable<Uint8Array>): Promise<AsyncIterable<Uint8Array>> => {
  const iterator = source[Symbol.asyncIterator]();
  let first: Uint8Array = new Uint8Array();
  while (first.length < 6) {
    const next = await iterator.next();
    if (next.done === true) break;
    first = first.length === 0 ? next.value : Buffer.concat([first, next.value]);
  }
  const whole = async function* (): AsyncGenerator<Uint8Array> {
    if (first.length > 0) yield first;
    for (let next = await iterator.next(); next.done !== true; next = await iterator.next()) yield next.value;
  };
  const [a, b, c, d] = first;
  if (a === 0x1f && b === 0x8b) {
    const input = Readable.from(whole(), { objectMode: false });
    const gunzip = createGunzip();
    input.once("error", (error) => gunzip.destroy(error));
    return input.pipe(gunzip);
  }
  const other =
    a === 0x28 && b === 0xb5 && c === 0x2f && d === 0xfd ? "zstd" : a === 0xfd && b === 0x37 ? "xz" : undefined;
  if (other !== undefined) throw new Error(`the archive is compressed with ${other}: unpack it to a plain tar first`);
  return whole();
};
