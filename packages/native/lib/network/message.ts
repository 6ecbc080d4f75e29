/**
 * Netlink messages as bytes (netlink(7), rtnetlink(7)): a header, a fixed part, attributes that may hold attributes.
 * Pure; numbers are in the byte order of the host, which is little-endian wherever Berth runs.
 */

export const NLM = {
  request: 1,
  /** In an answer: links came or went while they were listed. */
  interrupted: 0x10,
  ack: 4,
  root: 0x100,
  match: 0x200,
  replace: 0x100,
  exclusive: 0x200,
  create: 0x400,
} as const;
export const NLMSG = { error: 2, done: 3 } as const;
const HEADER_BYTES = 16;

export type Attribute = readonly [type: number, value: Buffer | readonly Attribute[]];

export interface Request {
  readonly type: number;
  readonly flags: number;
  /** The fixed part that belongs to the type. */
  readonly fixed: Buffer;
  readonly attributes: readonly Attribute[];
}

export interface Reply {
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  readonly body: Buffer;
}

const align = (size: number): number => (size + 3) & ~3;

export const u8 = (value: number): Buffer => Buffer.from([value]);
export const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value >>> 0);
  return bytes;
};
export const u64 = (value: number): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
};
export const text = (value: string): Buffer => Buffer.from(`${value}\0`, "utf8");

const attributeBytes = ([type, value]: Attribute): Buffer => {
  const data = Buffer.isBuffer(value) ? value : Buffer.concat(value.map(attributeBytes));
  const bytes = Buffer.alloc(align(4 + data.length));
  bytes.writeUInt16LE(4 + data.length, 0);
  bytes.writeUInt16LE(type, 2);
  data.copy(bytes, 4);
  return bytes;
};

/** The first has sequence number 1. */
export const encodeMessages = (requests: readonly Request[]): Buffer =>
  Buffer.concat(
    requests.map((request, at) => {
      const fixed = Buffer.alloc(align(request.fixed.length));
      request.fixed.copy(fixed);
      const body = Buffer.concat([fixed, ...request.attributes.map(attributeBytes)]);
      const header = Buffer.alloc(HEADER_BYTES);
      header.writeUInt32LE(HEADER_BYTES + body.length, 0);
      header.writeUInt16LE(request.type, 4);
      header.writeUInt16LE(request.flags | NLM.request, 6);
      header.writeUInt32LE(at + 1, 8);
      return Buffer.concat([header, body]);
    }),
  );

/** What is cut off at the end is left out. */
export const decodeMessages = (bytes: Buffer): Reply[] => {
  const replies: Reply[] = [];
  for (let at = 0; at + HEADER_BYTES <= bytes.length;) {
    const length = bytes.readUInt32LE(at);
    if (length < HEADER_BYTES || at + length > bytes.length) break;
    replies.push({
      type: bytes.readUInt16LE(at + 4),
      flags: bytes.readUInt16LE(at + 6),
      sequence: bytes.readUInt32LE(at + 8),
      body: bytes.subarray(at + HEADER_BYTES, at + length),
    });
    at += align(length);
  }
  return replies;
};

/** The attributes behind `offset` bytes of fixed part; flags of their types removed. Of several the last counts. */
export const decodeAttributes = (bytes: Buffer, offset = 0): Map<number, Buffer> => {
  const found = new Map<number, Buffer>();
  for (let at = align(offset); at + 4 <= bytes.length;) {
    const length = bytes.readUInt16LE(at);
    if (length < 4 || at + length > bytes.length) break;
    found.set(bytes.readUInt16LE(at + 2) & 0x3fff, bytes.subarray(at + 4, at + length));
    at += align(length);
  }
  return found;
};

export const textOf = (bytes: Buffer | undefined): string => {
  if (bytes === undefined) return "";
  const end = bytes.indexOf(0);
  return bytes.toString("utf8", 0, end < 0 ? bytes.length : end);
};
export const u32Of = (bytes: Buffer | undefined): number | undefined =>
  bytes === undefined || bytes.length < 4 ? undefined : bytes.readUInt32LE(0);
