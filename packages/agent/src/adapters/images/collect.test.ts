/** Archives that one operation is done with and another needs. */
import { expect, test } from "vitest";
import { Turns } from "../../core/turns.ts";
import { removeArchive } from "./collect.ts";
import { ArchivePins, type Parts } from "./parts.ts";

test("an archive that somebody needs is not removed by who brought it, but when nobody needs it any more", async () => {
  const blobs = new Set(["sha256:a", "sha256:b"]);
  const archives = new ArchivePins();
  const parts = {
    archives,
    gate: new Turns(1),
    blobs: { has: async (digest: string) => blobs.has(digest), remove: async (digest: string) => blobs.delete(digest) },
    records: { list: async () => ({ images: [] }) },
  } as unknown as Parts;
  const [one, two] = [archives.add(["sha256:a"]), archives.add(["sha256:a"])];
  await removeArchive(parts, "sha256:a");
  await removeArchive(parts, "sha256:b");
  expect([...blobs]).toEqual(["sha256:a"]);
  one();
  expect(archives.due(["sha256:a"])).toEqual([]);
  two();
  expect(archives.due(["sha256:a", "sha256:b"])).toEqual(["sha256:a"]);
  expect(archives.due(["sha256:a"])).toEqual([]);
  await removeArchive(parts, "sha256:a");
  expect(blobs.size).toBe(0);
});
