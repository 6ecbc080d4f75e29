/**
 * Reads a tar archive as it comes, entry by entry, never more than a block in memory. Refuses what no tool writes: names
 * that lead out, headers without measure. The body of an entry is to be read before the next one is asked for; what was
 * not read is passed over.
 */
import { spawn } from "node:child_process";
import { access, open, rm } from "node:fs/promises";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGunzip } from "node:zlib";
import {
  BLOCK,
  isZero,
  MAX_HEADER_BYTES,
  parseHeader,
  parsePax,
  plainPath,
  type TarType,
} from "../../core/images/tar.ts";
import { writeAll } from "../files/write-all.ts";

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
export class Pieces {
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

export async function* tarEntries(
  source: AsyncIterable<Uint8Array>,
  maxEntries: number = MAX_ENTRIES,
): AsyncGenerator<TarEntry> {
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
    if ((count += 1) > maxEntries) throw new Error(`the archive has more than ${maxEntries} entries`);
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

const LOOK_BYTES = 65_536;
const LOOK_ENTRIES = 16;

export interface FirstEntries {
  readonly paths: readonly string[];
  readonly all: AsyncIterable<Uint8Array>;
  /** Lets go of what the archive comes from, also when not all of it was read. */
  readonly close: () => Promise<void>;
}

/** The paths of the first few entries, and the archive from its beginning. */
export const firstEntries = async (source: AsyncIterable<Uint8Array>): Promise<FirstEntries> => {
  const iterator = source[Symbol.asyncIterator]();
  const read: Uint8Array[] = [];
  for (let bytes = 0; bytes < LOOK_BYTES;) {
    const next = await iterator.next();
    if (next.done === true) break;
    read.push(next.value);
    bytes += next.value.length;
  }
  const paths: string[] = [];
  try {
    for await (const { path } of tarEntries(Readable.from(read))) {
      paths.push(path);
      if (paths.length === LOOK_ENTRIES) break;
    }
  } catch {
    /* It goes on beyond what was looked at; whoever reads it all says what is wrong. */
  }
  const all = async function* (): AsyncGenerator<Uint8Array> {
    yield* read;
    for (let next = await iterator.next(); next.done !== true; next = await iterator.next()) yield next.value;
  };
  return { paths, all: all(), close: async () => void (await iterator.return?.()) };
};

/** Read by a program without any rights, since the archive may be anybody's. */
const NOBODY = 65_534;
/** `source` is what it reads: a stream, or an open file. */
const throughProgram = (
  program: string,
  words: readonly string[],
  source: AsyncIterable<Uint8Array> | number,
): AsyncIterable<Uint8Array> => {
  const input = typeof source === "number" ? source : "pipe";
  const child = spawn(program, words, { stdio: [input, "pipe", "pipe"], uid: NOBODY, gid: NOBODY, env: {} });
  /* stdio as a tuple of literals would be needed for the types to know that these are there. */
  const { stderr, stdin, stdout } = child;
  if (stdout === null || stderr === null) throw new Error(`${program} has no output`);
  let said = "";
  stderr.on("data", (data: Buffer) => (said = (said + data.toString("utf8")).slice(-500)));
  const ended = new Promise<string | undefined>((resolve) => {
    child.once("error", (error) => resolve(`${program} cannot be started (install it on this host): ${error.message}`));
    child.once("close", (code) => resolve(code === 0 ? undefined : `${program}: ${said.trim() || "it was killed"}`));
  });
  /* What breaks off here shows in how the program ends. */
  const fed =
    typeof source === "number" || stdin === null
      ? undefined
      : pipeline(Readable.from(source, { objectMode: false }), stdin).catch((error: unknown) => {
          child.kill("SIGKILL");
          return error;
        });
  return (async function* (): AsyncGenerator<Uint8Array> {
    try {
      for await (const data of stdout) yield data as Uint8Array;
      const wrong = await ended;
      if (wrong !== undefined) throw new Error(wrong, { cause: await fed });
    } finally {
      child.kill("SIGKILL");
    }
  })();
};

const SQFS2TAR = "/usr/bin/sqfs2tar";
/** A squashfs is no stream: it is written to `file` first, which is gone again at the end. */
async function* fromSquashfs(source: AsyncIterable<Uint8Array>, { file, most }: Spool): AsyncGenerator<Uint8Array> {
  await access(SQFS2TAR).catch(() => {
    throw new Error(
      `this is a squashfs, and ${SQFS2TAR} is not on this host: apt-get install squashfs-tools-ng, or import a tar of it`,
    );
  });
  const handle = await open(file, "wx+", 0o600);
  try {
    await rm(file);
    let size = 0;
    for await (const data of source) {
      if (size + data.length > most) throw new Error(`the archive has more than ${most} bytes`);
      await writeAll(handle, data, size);
      size += data.length;
    }
    /* Its reader is nobody, and opens it anew. */
    await handle.chmod(0o444);
    yield* throughProgram(SQFS2TAR, ["/proc/self/fd/0"], handle.fd);
  } finally {
    await handle.close();
  }
}

/** Where what is no stream may lie for a moment. */
export interface Spool {
  readonly file: string;
  readonly most: number;
}

/** An archive as it is or compressed with gzip, zstd or xz, or a squashfs. */
export const plainArchive = async (
  source: AsyncIterable<Uint8Array>,
  spool: Spool,
): Promise<AsyncIterable<Uint8Array>> => {
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
  if (other !== undefined) return throughProgram(`/usr/bin/${other}`, ["-dc"], whole());
  if (Buffer.from(first.subarray(0, 4)).toString("latin1") === "hsqs") return fromSquashfs(whole(), spool);
  return whole();
};
