import { statfsSync } from "node:fs";
import { tmpdir } from "node:os";
import { expect, test } from "vitest";
import { bookableDisk } from "./disk.ts";

test("what is free is bookable but for a part, and what volumes hold already counts as bookable", async () => {
  const { bavail, blocks, bsize } = statfsSync(tmpdir());
  const empty = await bookableDisk(tmpdir(), 0);
  expect(empty).toBeGreaterThanOrEqual(0);
  // Others write to the same disk meanwhile.
  expect(Math.abs(empty - Math.max(0, (bavail - blocks / 20) * bsize))).toBeLessThan(2 ** 31);
  expect(await bookableDisk(tmpdir(), 2 ** 50)).toBeGreaterThan(2 ** 49);
  await expect(bookableDisk("/no/such/directory", 0)).rejects.toThrow("ENOENT");
});
