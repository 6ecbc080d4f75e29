/** The reader on directories as crashes and rotation leave them; what it must find is known from how they were made. */
import { mkdtemp, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { BLOCK_BYTES, readBlock, type LogRecord } from "./log-format.ts";
import { openLog } from "./log.ts";

const BLOCK_HEADER = 48;
const RECORD_HEADER = 16;

interface Written {
  readonly stream: 0 | 1;
  readonly bytes: Buffer;
}

const recordBytes = ({ stream, bytes }: Written): Buffer => {
  const record = Buffer.concat([Buffer.alloc(RECORD_HEADER), bytes]);
  record.writeUInt16LE(bytes.length, 4);
  record.writeUInt8(stream, 6);
  record.writeBigUInt64LE(1_700_000_000_000n, 8);
  record.writeUInt32LE(crc32(record.subarray(4)), 0);
  return record;
};

/** As src/supervisor/log.c does it: a record that does not fit begins the next block, or the next file. */
const writeLog = (written: readonly Written[], blocksPerFile: number, keep: number): Map<number, Buffer> => {
  const files = new Map<number, Buffer[]>();
  const offsets = [0, 0];
  let [file, index, used] = [0, blocksPerFile, BLOCK_BYTES];
  for (const one of written) {
    const record = recordBytes(one);
    if (used + record.length > BLOCK_BYTES) {
      files.get(file)?.push(Buffer.alloc(BLOCK_BYTES - used));
      index += 1;
      if (index >= blocksPerFile) {
        [file, index] = [file + 1, 0];
        files.set(file, []);
        files.delete(file - keep);
      }
      const header = Buffer.alloc(BLOCK_HEADER);
      header.write("BLOG", 0);
      header.writeUInt16LE(1, 8);
      [file, index, ...offsets].forEach((value, i) => header.writeBigUInt64LE(BigInt(value), 16 + i * 8));
      header.writeUInt32LE(crc32(header.subarray(8)), 4);
      files.get(file)?.push(header);
      used = BLOCK_HEADER;
    }
    files.get(file)?.push(record);
    used += record.length;
    offsets[one.stream] = (offsets[one.stream] ?? 0) + one.bytes.length;
  }
  return new Map([...files].map(([number, parts]) => [number, Buffer.concat(parts)]));
};

const written = fc.array(
  fc.record({
    stream: fc.constantFrom<0 | 1>(0, 1),
    bytes: fc
      .tuple(fc.integer({ min: 1, max: 40_000 }), fc.integer({ min: 0, max: 255 }))
      .map(([length, seed]) => Buffer.from(Array.from({ length }, (_, i) => (i * 31 + seed) & 255))),
  }),
  { minLength: 1, maxLength: 40 },
);

let directory = "";
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "berth-log-"));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const put = async (files: ReadonlyMap<number, Buffer>): Promise<void> => {
  await rm(directory, { recursive: true, force: true });
  directory = await mkdtemp(join(tmpdir(), "berth-log-"));
  for (const [number, bytes] of files) await writeFile(join(directory, String(number)), bytes);
};
const streamOf = (list: readonly Written[], stream: 0 | 1): Buffer =>
  Buffer.concat(list.filter((one) => one.stream === stream).map((one) => one.bytes));
const all = async (records: AsyncIterable<LogRecord>): Promise<LogRecord[]> => {
  const list: LogRecord[] = [];
  for await (const record of records) list.push(record);
  return list;
};

describe("a whole log", () => {
  test("is read from any offset, in pieces of any size", async () => {
    await fc.assert(
      fc.asyncProperty(written, fc.nat(), fc.integer({ min: 1, max: 100_000 }), async (list, from, size) => {
        await put(writeLog(list, 2, 1000));
        const log = openLog(directory);
        for (const [i, name] of (["stdout", "stderr"] as const).entries()) {
          const whole = streamOf(list, i as 0 | 1);
          expect(await log.range(name)).toEqual({ start: 0, end: whole.length });
          const offset = from % (whole.length + 1);
          const { data } = await log.read(name, offset, size);
          expect(data.equals(whole.subarray(offset, offset + size))).toBe(true);
        }
      }),
      { numRuns: 40 },
    );
  });

  test("that was rotated begins where its oldest file does", async () => {
    await fc.assert(
      fc.asyncProperty(written, async (list) => {
        await put(writeLog(list, 1, 2));
        const log = openLog(directory);
        const whole = streamOf(list, 0);
        const { start, end } = await log.range("stdout");
        const piece = await log.read("stdout", 0, whole.length + 1);
        expect(end).toBe(whole.length);
        expect(piece.data.equals(whole.subarray(start))).toBe(true);
        if (piece.data.length > 0) expect(piece.offset).toBe(start);
      }),
      { numRuns: 40 },
    );
  });

  test("its tail begins with the record that holds it", async () => {
    const list: Written[] = Array.from({ length: 30 }, (_, i) => ({
      stream: 0,
      bytes: Buffer.from(`line ${i}\n`.repeat(1000)),
    }));
    await put(writeLog(list, 2, 1000));
    const records = await all(openLog(directory).records({ tailBytes: 10 }));
    expect(records.map((record) => record.data.toString())).toEqual(["line 29\n".repeat(1000)]);
  });
});

describe("a damaged log", () => {
  test("cut anywhere in its last file gives what is whole before the cut", async () => {
    await fc.assert(
      fc.asyncProperty(written, fc.double({ min: 0, max: 1, noNaN: true }), async (list, part) => {
        const files = writeLog(list, 2, 1000);
        await put(files);
        const [last, bytes] = [...files].at(-1)!;
        await truncate(join(directory, String(last)), Math.floor(bytes.length * part));
        const log = openLog(directory);
        for (const [i, name] of (["stdout", "stderr"] as const).entries()) {
          const { start, end } = await log.range(name);
          const { data } = await log.read(name, 0, 10_000_000);
          expect([start, data.length]).toEqual([0, end]);
          expect(
            streamOf(list, i as 0 | 1)
              .subarray(0, end)
              .equals(data),
          ).toBe(true);
        }
      }),
      { numRuns: 60 },
    );
  });

  test("loses the rest of a block with a flipped byte, and nothing after it", async () => {
    const list: Written[] = Array.from({ length: 64 }, (_, i) => ({ stream: 0, bytes: Buffer.alloc(10_000, i + 1) }));
    const files = writeLog(list, 4, 1000);
    const first = files.get(1)!;
    first[BLOCK_BYTES + BLOCK_HEADER + 2 * (RECORD_HEADER + 10_000) + 500]! ^= 1;
    await put(files);
    const log = openLog(directory);
    const whole = streamOf(list, 0);
    const before = await log.read("stdout", 0, whole.length);
    expect(before.data.equals(whole.subarray(0, 80_000))).toBe(true);
    const after = await log.read("stdout", 80_000, whole.length);
    expect(after.offset).toBe(120_000);
    expect(after.data.equals(whole.subarray(120_000))).toBe(true);
    expect((await all(log.records())).length).toBe(60);
  });

  test("any bytes give records or none, and nothing throws", async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), fc.uint8Array({ maxLength: 300 }), async (a, b) => {
        await put(
          new Map([
            [3, Buffer.from(a)],
            [5, Buffer.from(b)],
          ]),
        );
        const log = openLog(directory);
        expect(await log.range("stderr")).toEqual({ start: 0, end: 0 });
        expect((await log.read("stdout", 0, 10)).data.length).toBe(0);
        expect(await all(log.records({ tailBytes: 5 }))).toEqual([]);
      }),
      { numRuns: 30 },
    );
  });

  test("a header that was changed anywhere is none", () => {
    const bytes = [...writeLog([{ stream: 0, bytes: Buffer.from("x") }], 1, 1).values()][0]!;
    expect(readBlock(bytes, 1, 0)?.records.length).toBe(1);
    for (let i = 0; i < BLOCK_HEADER; i += 1) {
      const changed = Buffer.from(bytes);
      changed[i]! ^= 0x10;
      expect(readBlock(changed, 1, 0), `byte ${i}`).toBeUndefined();
    }
  });

  test("a directory that is not there is a log without bytes; other files in it are none of ours", async () => {
    expect(await openLog(join(directory, "nothing")).range("stdout")).toEqual({ start: 0, end: 0 });
    await writeFile(join(directory, "README"), "hello");
    await writeFile(join(directory, "01"), "hello");
    expect(await openLog(directory).read("stdout", 7, 10)).toEqual({ offset: 7, data: Buffer.alloc(0) });
  });
});

test("a reader that lives as long as its container remembers only files that are there", async () => {
  const directory = await mkdtemp(join(tmpdir(), "berth-log-"));
  const starts = new Map<number, readonly [number, number]>();
  const reader = openLog(directory, starts);
  try {
    /* One file of one block for each record, of which three are kept. */
    const lines = Array.from({ length: 40 }, () => ({ stream: 0 as const, bytes: Buffer.alloc(40_000, "x") }));
    for (let count = 1; count <= lines.length; count += 1) {
      const files = writeLog(lines.slice(0, count), 1, 3);
      for (const [number, bytes] of files) await writeFile(join(directory, String(number)), bytes);
      await rm(join(directory, String(count - 3)), { force: true });
      const { start, end } = await reader.range("stdout");
      expect([start, end]).toEqual([Math.max(0, count - 3) * 40_000, count * 40_000]);
      expect((await reader.read("stdout", start, 10)).offset).toBe(start);
      expect([...starts.keys()].every((number) => files.has(number))).toBe(true);
    }
    expect(starts.size).toBeGreaterThan(0);
  } finally {
    await rm(directory, { recursive: true });
  }
});
