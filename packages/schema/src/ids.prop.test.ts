import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decoder } from "./decode.ts";
import { AllocationIdSchema, HostIdSchema, isLabel, makeId, parseTaskRef, taskName, type JobName } from "./ids.ts";

const time = fc.integer({ min: 0, max: 2 ** 48 - 1 });
const random = fc.uint8Array({ minLength: 10, maxLength: 10 });
const label = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/);

describe("made ids", () => {
  const isAllocationId = decoder(AllocationIdSchema);

  test("always fit their own schema", () => {
    fc.assert(
      fc.property(time, random, (now, bytes) => {
        expect(isAllocationId(makeId("alloc", now, bytes))).toMatchObject({ ok: true });
      }),
    );
  });

  test("sort by time as text, whatever their random part", () => {
    fc.assert(
      fc.property(time, time, random, random, (a, b, x, y) => {
        fc.pre(a !== b);
        expect(makeId("alloc", a, x) < makeId("alloc", b, y)).toBe(a < b);
      }),
    );
  });

  test("differ when 74 of their random bits differ, and are the same for the same input", () => {
    fc.assert(
      fc.property(
        time,
        random,
        fc.integer({ min: 2, max: 9 }),
        fc.integer({ min: 0, max: 5 }),
        (now, bytes, at, bit) => {
          const other = Uint8Array.from(bytes);
          other[at] = (other[at] ?? 0) ^ (1 << bit);
          expect(makeId("alloc", now, bytes)).toBe(makeId("alloc", now, bytes));
          expect(makeId("alloc", now, other)).not.toBe(makeId("alloc", now, bytes));
        },
      ),
    );
  });

  test("carry version 7 and the RFC variant", () => {
    const crockford = "0123456789abcdefghjkmnpqrstvwxyz";
    fc.assert(
      fc.property(time, random, (now, bytes) => {
        const text = makeId("eval", now, bytes).slice("eval_".length);
        let value = 0n;
        for (const letter of text) value = (value << 5n) | BigInt(crockford.indexOf(letter));
        expect([(value >> 76n) & 15n, (value >> 62n) & 3n, value >> 80n]).toEqual([7n, 2n, BigInt(now)]);
        const tail = bytes.slice(2).reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
        expect((value >> 64n) & 0xfffn).toBe(BigInt(((bytes[0] ?? 0) << 4) | ((bytes[1] ?? 0) & 15)));
        expect(value & (2n ** 62n - 1n)).toBe(tail & (2n ** 62n - 1n));
      }),
    );
  });
});

describe("labels", () => {
  const isHost = decoder(HostIdSchema);

  test.each(["a", "h-01", "0", "a".repeat(63)])("%s is one", (text) => expect(isLabel(text)).toBe(true));
  test.each(["", "-a", "a-", "A", "a.b", "a*", ">", "a/b", "a b", "ü", "a".repeat(64), "a\n", "a_b"])(
    "%j is none",
    (text) => expect(isLabel(text)).toBe(false),
  );

  test("what the test accepts, the schema accepts, and nothing else", () => {
    fc.assert(
      fc.property(fc.oneof(label, fc.string({ maxLength: 70 })), (text) => {
        expect(isHost(text).ok).toBe(isLabel(text));
      }),
    );
  });
});

describe("task references", () => {
  test("a task's name is read back", () => {
    fc.assert(
      fc.property(label, label, fc.integer({ min: 0, max: 9_999_999 }), (project, job, index) => {
        expect(parseTaskRef(taskName(job as JobName, index))).toEqual({ project: undefined, job, index });
        expect(parseTaskRef(`${project}/${job}[${index}]`)).toEqual({ project, job, index });
      }),
    );
  });

  test("a bare job name means its first task", () => {
    expect(parseTaskRef("thumbs")).toEqual({ project: undefined, job: "thumbs", index: 0 });
  });

  test.each(["", "[1]", "a[", "a[]", "a[-1]", "a[1", "a[1]x", "a/b/c", "/a", "A[1]", "a[12345678]"])(
    "%j is none",
    (text) => expect(parseTaskRef(text)).toBeUndefined(),
  );

  test("no text at all throws", () => {
    fc.assert(fc.property(fc.string(), (text) => void parseTaskRef(text)));
  });
});
