import { expect, test } from "vitest";
import { writeAll } from "./write-all.ts";

/** As the kernel does it: at most `most` at a time, and none once it is full. */
const fileOf = (most: number, room: number) => {
  const written: number[] = [];
  return {
    written,
    write: (bytes: Uint8Array, from: number, length: number, at: number) => {
      const taken = Math.min(most, length, room - at);
      if (taken <= 0) return Promise.reject(Object.assign(new Error("no space left"), { code: "ENOSPC" }));
      for (let one = 0; one < taken; one += 1) written[at + one] = bytes[from + one] as number;
      return Promise.resolve({ bytesWritten: taken, buffer: bytes });
    },
  };
};

test("what is taken in pieces is all there, in its place", async () => {
  const file = fileOf(3, 100);
  await writeAll(file as never, Uint8Array.from([1, 2, 3, 4, 5, 6, 7, 8]), 0);
  await writeAll(file as never, Uint8Array.from([9, 10]), 8);
  expect(file.written).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
});

test("a disk that becomes full in the middle of it fails it", async () => {
  const file = fileOf(100, 5);
  await expect(writeAll(file as never, new Uint8Array(8), 0)).rejects.toMatchObject({ code: "ENOSPC" });
});
