/** Archives as no tool would make them: every field of a header as the test wants it. */
export interface TarEntry {
  readonly name: string | Buffer;
  readonly type?: string;
  readonly content?: string | Buffer;
  readonly link?: string;
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly mtime?: number;
  /** What the header says, when it is not the length of the content. */
  readonly size?: number;
  /** A wrong checksum. */
  readonly broken?: boolean;
}

const BLOCK = 512;

const octal = (value: number, width: number): string => `${value.toString(8).padStart(width - 1, "0")}\0`;

/** Numbers beyond octal digits in base 256, as GNU tar writes them. */
const number = (header: Buffer, value: number, at: number, width: number): void => {
  if (value >= 0 && value < 8 ** (width - 1)) {
    header.write(octal(value, width), at, "latin1");
    return;
  }
  const bytes = Buffer.alloc(width, value < 0 ? 0xff : 0);
  bytes.writeBigInt64BE(BigInt(value), width - 8);
  bytes[0] = value < 0 ? 0xff : 0x80;
  bytes.copy(header, at);
};

export const tarEntry = (entry: TarEntry): Buffer => {
  const content = Buffer.from(entry.content ?? "");
  const header = Buffer.alloc(BLOCK);
  const name = Buffer.isBuffer(entry.name) ? entry.name : Buffer.from(entry.name);
  name.copy(header, 0, 0, 100);
  number(header, entry.mode ?? (entry.type === "5" ? 0o755 : 0o644), 100, 8);
  number(header, entry.uid ?? 0, 108, 8);
  number(header, entry.gid ?? 0, 116, 8);
  number(header, entry.size ?? content.length, 124, 12);
  number(header, entry.mtime ?? 1_700_000_000, 136, 12);
  header.write(" ".repeat(8), 148, "latin1");
  header.write(entry.type ?? "0", 156, "latin1");
  header.write(entry.link ?? "", 157, 100);
  header.write("ustar\0" + "00", 257, "latin1");
  let sum = entry.broken === true ? 7 : 0;
  for (const byte of header) sum += byte;
  header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  const padding = (BLOCK - (content.length % BLOCK)) % BLOCK;
  return Buffer.concat([header, content, Buffer.alloc(padding)]);
};

/** A pax header for the entry that follows. */
export const pax = (records: Readonly<Record<string, string | Buffer>>): Buffer => {
  const lines = Object.entries(records).map(([key, value]) => {
    const tail = Buffer.concat([Buffer.from(` ${key}=`), Buffer.from(value), Buffer.from("\n")]);
    let length = tail.length + 1;
    while (String(length).length + tail.length !== length) length = String(length).length + tail.length;
    return Buffer.concat([Buffer.from(String(length)), tail]);
  });
  return tarEntry({ name: "pax", type: "x", content: Buffer.concat(lines) });
};

export const tar = (entries: readonly (TarEntry | Buffer)[]): Buffer =>
  Buffer.concat([
    ...entries.map((entry) => (Buffer.isBuffer(entry) ? entry : tarEntry(entry))),
    Buffer.alloc(2 * BLOCK),
  ]);
