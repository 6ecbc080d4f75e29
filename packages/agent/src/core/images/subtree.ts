/**
 * One entry of a tar archive as an entry of the archive of a directory in it: `rootfs/etc/passwd` becomes `etc/passwd`, and
 * so does what hard links lead to. Everything else of its header stays as it was. Pure; adapters/images/subtree.ts streams.
 */
import { err, ok, type Result } from "@berth/schema";
import { BLOCK, plainPath, tarPadding, type TarHeader } from "./tar.ts";

const NAME = { at: 0, size: 100 } as const;
const LINK = { at: 157, size: 100 } as const;

/** Records of a pax header as they are: values may be no text (extended attributes). Undefined when it is damaged. */
export const splitPax = (bytes: Uint8Array): Map<string, Uint8Array> | undefined => {
  const found = new Map<string, Uint8Array>();
  const all = Buffer.from(bytes);
  for (let at = 0; at < all.length;) {
    const space = all.indexOf(32, at);
    const length = space < 0 ? Number.NaN : Number(all.toString("latin1", at, space));
    const equals = all.indexOf("=", space);
    const end = at + length - 1;
    if (!Number.isSafeInteger(length) || end >= all.length || equals < 0 || equals >= end || all[end] !== 10) {
      return undefined;
    }
    found.set(all.toString("utf8", space + 1, equals), all.subarray(equals + 1, end));
    at = end + 1;
  }
  return found;
};

/** `length key=value\n`, where the length counts its own digits. */
const paxRecord = (key: string, value: Uint8Array): Buffer => {
  const rest = Buffer.concat([Buffer.from(` ${key}=`), value, Buffer.from("\n")]);
  let length = rest.length + 1;
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length;
  return Buffer.concat([Buffer.from(String(length)), rest]);
};

const seal = (block: Buffer): Buffer => {
  block.fill(32, 148, 156);
  let sum = 0;
  for (const byte of block) sum += byte;
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  return block;
};

const paxHeader = (records: ReadonlyMap<string, Uint8Array>): Uint8Array => {
  const body = Buffer.concat([...records].map(([key, value]) => paxRecord(key, value)));
  const block = Buffer.alloc(BLOCK);
  block.write("pax", 0);
  block.write(
    "0000644\0" + "0000000\0" + "0000000\0" + `${body.length.toString(8).padStart(11, "0")}\0` + "00000000000\0",
    100,
  );
  block.write("x", 156);
  block.write("ustar\u000000", 257);
  return Buffer.concat([seal(block), body, tarPadding(body.length)]);
};

/** Where a path of the archive lies below `root`: empty for root itself, undefined elsewhere. */
export const below = (root: string, path: string): string | undefined => {
  if (path === root) return "";
  return path.startsWith(`${root}/`) ? path.slice(root.length + 1) : undefined;
};

export interface Entry {
  readonly block: Uint8Array;
  readonly header: TarHeader;
  /** What extended headers said of it. */
  readonly records: ReadonlyMap<string, Uint8Array>;
  /** Below the root. */
  readonly path: string;
}

/** The header of the entry in the new archive, extended ones included. The error names what is wrong with it. */
export const movedHeader = (root: string, { block, header, path, records }: Entry): Result<Uint8Array, string> => {
  const moved = Buffer.from(block);
  const kept = new Map(records);
  kept.delete("path");
  const put = ({ at, size }: { readonly at: number; readonly size: number }, record: string, text: string): void => {
    const bytes = Buffer.from(text);
    moved.fill(0, at, at + size);
    bytes.copy(moved, at, 0, Math.min(size, bytes.length));
    if (bytes.length > size) kept.set(record, bytes);
  };
  put(NAME, "path", path === "" ? "./" : path);
  /* The other half of a name, in POSIX's form; GNU's has times there. */
  if (moved.toString("latin1", 257, 263) === "ustar\0") moved.fill(0, 345, 500);
  if (header.type === "hardlink") {
    kept.delete("linkpath");
    const target = plainPath(Buffer.from(records.get("linkpath") ?? Buffer.from(header.link)).toString("utf8"));
    const link = target === undefined ? undefined : below(root, target);
    if (link === undefined || link === "") return err(`${path} is a link to something outside of ${root}/`);
    put(LINK, "linkpath", link);
  }
  const sparse = records.get("GNU.sparse.name");
  if (sparse !== undefined) {
    const name = below(root, plainPath(Buffer.from(sparse).toString("utf8")) ?? "");
    if (name === undefined) return err(`${path} is called something else in its extended header`);
    kept.set("GNU.sparse.name", Buffer.from(name));
  }
  return ok(kept.size === 0 ? seal(moved) : Buffer.concat([paxHeader(kept), seal(moved)]));
};
