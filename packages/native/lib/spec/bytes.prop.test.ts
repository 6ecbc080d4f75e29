/** Specs lie one behind the other in memory that is shared: each keeps its bytes, however long it is and whatever comes next. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { SpecBytes, u64, type Ref } from "./bytes.ts";

const HEADER_BYTES = 24;

interface Written {
  readonly texts: readonly string[];
  /** Bytes in hexadecimal. */
  readonly value: string;
  readonly number: bigint;
}
const written: fc.Arbitrary<Written> = fc.record({
  texts: fc.array(fc.string({ unit: "grapheme", maxLength: 100, size: "max" }), { maxLength: 20 }),
  value: fc.nat({ max: 20_000 }).map((length) => Buffer.alloc(length, `${length}`).toString("hex")),
  number: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n }),
});

const write = ({ texts, value, number }: Written, first?: Uint8Array): Uint8Array => {
  const out = new SpecBytes(HEADER_BYTES, first);
  const refs: readonly Ref[] = [out.texts(texts), out.bytes(Buffer.from(value, "hex"))];
  const section = out.section([-1, u64(number)]);
  return out.finish([], [...refs, section]);
};

const read = (spec: Uint8Array): Written => {
  const bytes = Buffer.from(spec);
  const ref = (at: number): Ref => [bytes.readUInt32LE(at), bytes.readUInt32LE(at + 4)];
  const ended = ([offset, length]: Ref): Buffer => {
    expect(bytes[offset + length]).toBe(0);
    return bytes.subarray(offset, offset + length);
  };
  const [table, count] = ref(0);
  const [section, size] = ref(16);
  expect([table % 8, section % 8, size]).toEqual([0, 0, 12]);
  expect(bytes.readInt32LE(section)).toBe(-1);
  return {
    texts: Array.from({ length: count }, (_, i) => ended(ref(table + i * 8)).toString("utf8")),
    value: ended(ref(8)).toString("hex"),
    number: bytes.readBigUInt64LE(section + 4),
  };
};

test("each is read as it was written, when all others have been", () => {
  fc.assert(
    fc.property(fc.array(written, { minLength: 1, maxLength: 12 }), (all) => {
      const specs = all.map((one) => write(one));
      expect(specs.map(read)).toEqual(all.map((one) => ({ ...one, number: BigInt.asUintN(64, one.number) })));
    }),
    { numRuns: 60 },
  );
});

test("what one has behind its header is the beginning of another, which goes on behind it", () => {
  fc.assert(
    fc.property(written, written, (before, after) => {
      const out = new SpecBytes(HEADER_BYTES);
      const refs = [
        out.texts(before.texts),
        out.bytes(Buffer.from(before.value, "hex")),
        out.section([-1, u64(before.number)]),
      ];
      const first = out.behindHeader();
      const other = Buffer.from(write(after, first));
      expect(read(other)).toEqual({ ...after, number: BigInt.asUintN(64, after.number) });
      refs.flat().forEach((word, at) => other.writeUInt32LE(word, at * 4));
      expect(read(other)).toEqual({ ...before, number: BigInt.asUintN(64, before.number) });
    }),
    { numRuns: 60 },
  );
});

test("one that was given up leaves the memory to the next", () => {
  const given = { texts: ["a"], value: "01", number: 1n };
  const kept = write(given);
  new SpecBytes(HEADER_BYTES).text("given up".repeat(20_000));
  new SpecBytes(HEADER_BYTES).text("given up");
  expect([kept, write(given)].map(read)).toEqual([given, given]);
});

test("a header of another length is refused", () => {
  expect(() => new SpecBytes(HEADER_BYTES).finish([1], [[0, 0]])).toThrow("a header of 12 bytes");
});
