/**
 * Headers of tar archives (POSIX.1-2017 pax interchange format, and the GNU forms that tools write), for the outer archive
 * of an image: a handful of plain files. What is inside a layer is never read here, but by the jailed unpacker.
 */
import { err, ok, type Result } from "@berth/schema";

export const BLOCK = 512;
/** Of a pax header or a long name; more is an attack on our memory. */
export const MAX_HEADER_BYTES = 65_536;

export type TarType =
  | "file"
  | "directory"
  | "symlink"
  | "hardlink"
  | "pax"
  | "global"
  | "long_name"
  | "long_link"
  | "other";

export interface TarHeader {
  readonly path: string;
  readonly type: TarType;
  readonly size: number;
  readonly link: string;
}

const types: Readonly<Record<string, TarType>> = {
  "0": "file",
  "\0": "file",
  "7": "file",
  "1": "hardlink",
  "2": "symlink",
  "5": "directory",
  x: "pax",
  g: "global",
  L: "long_name",
  K: "long_link",
};

const textOf = (bytes: Uint8Array): string => {
  const end = bytes.indexOf(0);
  return Buffer.from(end < 0 ? bytes : bytes.subarray(0, end)).toString("utf8");
};

/** Octal text, or GNU's binary form of large numbers (first bit set). */
const numberOf = (bytes: Uint8Array): number | undefined => {
  if (((bytes[0] ?? 0) & 0x80) !== 0) {
    let value = BigInt((bytes[0] ?? 0) & 0x7f);
    for (const byte of bytes.subarray(1)) value = (value << 8n) | BigInt(byte);
    return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : undefined;
  }
  const text = textOf(bytes).trim();
  if (text === "") return 0;
  return /^[0-7]{1,17}$/.test(text) ? Number.parseInt(text, 8) : undefined;
};

export const isZero = (block: Uint8Array): boolean => block.every((byte) => byte === 0);

/** One block of 512 bytes that is not all zero. */
export const parseHeader = (block: Uint8Array): Result<TarHeader, string> => {
  const sum = numberOf(block.subarray(148, 156));
  let unsigned = 0;
  for (const [at, byte] of block.entries()) unsigned += at >= 148 && at < 156 ? 32 : byte;
  if (sum !== unsigned) return err("a header has a wrong checksum: this is no tar archive, or it is damaged");
  const name = textOf(block.subarray(0, 100));
  const size = numberOf(block.subarray(124, 136));
  if (size === undefined) return err(`the entry ${JSON.stringify(name.slice(0, 100))} has an impossible size`);
  const isUstar = Buffer.from(block.subarray(257, 262)).toString("latin1") === "ustar" && block[262] === 0;
  const prefix = isUstar ? textOf(block.subarray(345, 500)) : "";
  return ok({
    path: prefix === "" ? name : `${prefix}/${name}`,
    type: types[String.fromCharCode(block[156] ?? 0)] ?? "other",
    size,
    link: textOf(block.subarray(157, 257)),
  });
};

/** Records of a pax header, `length key=value\n` each. */
export const parsePax = (bytes: Uint8Array): Result<ReadonlyMap<string, string>, string> => {
  const found = new Map<string, string>();
  for (let at = 0; at < bytes.length;) {
    const space = bytes.indexOf(32, at);
    const length = space < 0 ? Number.NaN : Number(Buffer.from(bytes.subarray(at, space)).toString("latin1"));
    if (!Number.isSafeInteger(length) || length < 5 || at + length > bytes.length || bytes[at + length - 1] !== 10) {
      return err("an extended header is damaged");
    }
    const record = Buffer.from(bytes.subarray(space + 1, at + length - 1)).toString("utf8");
    const equals = record.indexOf("=");
    if (equals < 1) return err("an extended header is damaged");
    found.set(record.slice(0, equals), record.slice(equals + 1));
    at += length;
  }
  return ok(found);
};

/** `./a//b` → `a/b`; undefined for what is absolute, leads upwards or is empty. */
export const plainPath = (path: string): string | undefined => {
  if (path.startsWith("/") || path.includes("\0")) return undefined;
  const parts = path.split("/").filter((part) => part !== "" && part !== ".");
  return parts.length === 0 || parts.includes("..") ? undefined : parts.join("/");
};

const octal = (value: number, digits: number): string => `${value.toString(8).padStart(digits, "0")}\0`;

/** The header of a plain file or directory with a short name, the same bytes at every call (ustar). */
export const tarHeader = (path: string, size: number, type: "file" | "directory" = "file"): Uint8Array => {
  const block = Buffer.alloc(BLOCK);
  if (Buffer.byteLength(path) > 100) throw new Error(`${path} is too long for a plain header`);
  block.write(path, 0);
  block.write(octal(type === "file" ? 0o644 : 0o755, 7), 100);
  block.write(octal(0, 7), 108);
  block.write(octal(0, 7), 116);
  if (size <= 0o77777777777) block.write(octal(size, 11), 124);
  else {
    block.writeBigUInt64BE(BigInt(size), 128);
    block[124] = 0x80;
  }
  block.write(octal(0, 11), 136);
  block.fill(32, 148, 156);
  block.write(type === "file" ? "0" : "5", 156);
  block.write("ustar\u000000", 257);
  let sum = 0;
  for (const byte of block) sum += byte;
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  return block;
};

/** What follows a file's content up to the next block. */
export const tarPadding = (size: number): Uint8Array => new Uint8Array((BLOCK - (size % BLOCK)) % BLOCK);
export const TAR_END = new Uint8Array(2 * BLOCK);
