/** The archive of a directory in an archive, as it comes; never more than a piece of it in memory. */
import { Buffer } from "node:buffer";
import { BLOCK, isZero, MAX_HEADER_BYTES, parseHeader, plainPath, TAR_END } from "../../core/images/tar.ts";
import { below, movedHeader, splitPax } from "../../core/images/subtree.ts";
import { Pieces } from "./tar-entries.ts";

export interface SubtreeOptions {
  /** A directory of the archive, which it must have. */
  readonly root: string;
  /** Paths below the root that are passed over. */
  readonly isLeftOut: (path: string) => boolean;
  /** A plain file that lies elsewhere: undefined to pass it over, or the most that it may have, to get it whole. */
  readonly wanted: (path: string) => number | undefined;
  readonly file: (path: string, content: Uint8Array) => void;
  readonly maxEntries: number;
}

const padded = (size: number): number => Math.ceil(size / BLOCK) * BLOCK;

export async function* subtree(source: AsyncIterable<Uint8Array>, options: SubtreeOptions): AsyncGenerator<Uint8Array> {
  const { root } = options;
  const pieces = new Pieces(source);
  let records = new Map<string, Uint8Array>();
  let count = 0;
  let found = false;
  for (;;) {
    const block = await pieces.exactly(BLOCK);
    if (block === undefined || isZero(block)) break;
    if ((count += 1) > options.maxEntries) throw new Error(`the archive has more than ${options.maxEntries} entries`);
    const parsed = parseHeader(block);
    if (!parsed.ok) throw new Error(parsed.error);
    const header = parsed.value;
    const { type } = header;
    if (type === "pax" || type === "global" || type === "long_name" || type === "long_link") {
      if (header.size > MAX_HEADER_BYTES) throw new Error(`a header has ${header.size} bytes`);
      const body = ((await pieces.exactly(padded(header.size))) ?? new Uint8Array()).subarray(0, header.size);
      if (type === "pax") {
        const split = splitPax(body);
        if (split === undefined) throw new Error("an extended header is damaged");
        for (const [key, value] of split) records.set(key, value);
      } else if (type !== "global") {
        const end = body.indexOf(0);
        records.set(type === "long_name" ? "path" : "linkpath", end < 0 ? body : body.subarray(0, end));
      }
      continue;
    }
    const said = (key: string): string | undefined => {
      const value = records.get(key);
      return value === undefined ? undefined : Buffer.from(value).toString("utf8");
    };
    const raw = said("path") ?? header.path;
    const size = Number(said("size") ?? header.size);
    if (!Number.isSafeInteger(size) || size < 0) throw new Error(`${JSON.stringify(raw)} has an impossible size`);
    if (block[156] === 0x53) throw new Error(`${raw} is sparse in GNU's old form: make the archive with --format=pax`);
    const own = records;
    records = new Map();
    const body = type === "file" || type === "other" ? size : 0;
    const path = plainPath(raw);
    const inside = path === undefined ? undefined : below(root, path);
    if (path === undefined && type !== "directory") {
      throw new Error(`the entry ${JSON.stringify(raw.slice(0, 200))} leads out of the archive`);
    }
    if (inside === "" && type !== "directory") throw new Error(`${root} is no directory in this archive`);
    if (inside === undefined || options.isLeftOut(inside)) {
      const most = path === undefined || inside !== undefined || type !== "file" ? undefined : options.wanted(path);
      if (most === undefined) await pieces.skip(padded(body));
      else {
        if (size > most) throw new Error(`${path} has ${size} bytes, which is too much for it`);
        options.file(path ?? "", ((await pieces.exactly(padded(size))) ?? new Uint8Array()).subarray(0, size));
      }
      continue;
    }
    found = true;
    const moved = movedHeader(root, { block, header, records: own, path: inside });
    if (!moved.ok) throw new Error(moved.error);
    yield moved.value;
    for (let left = padded(body); left > 0;) {
      const piece = await pieces.some(left);
      if (piece === undefined) throw new Error(`the archive ends in the middle of ${raw}`);
      left -= piece.length;
      yield piece;
    }
  }
  await pieces.finish();
  if (!found) throw new Error(`the archive has nothing in ${root}/`);
  yield TAR_END;
}
