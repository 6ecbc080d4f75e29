// The store on a real directory: what a kill at any point leaves, and what is asked of it all at once.
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import {
  chmod,
  chown,
  link,
  mkdir,
  readFile,
  readlink,
  rename,
  stat,
  statfs,
  symlink,
  utimes,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Volumes } from "../../ports/volumes.ts";
import { eventually } from "../../testing/eventually.ts";
import { openVolumes } from "./volume-store.ts";

let directory: string;
beforeEach(() => {
  directory = join(mkdtempSync(join(tmpdir(), "berth-volumes-")), "volumes");
});
afterEach(() => rmSync(join(directory, ".."), { recursive: true, force: true }));

const id = "media.data-0.17";
const used = { id, mustExist: true };
const wanted = { name: "data-0", id, mustExist: false };

test("a volume is made once, keeps what is in it, and is gone after it was removed", async () => {
  const volumes = await openVolumes(directory);
  const made = await Promise.all(Array.from({ length: 8 }, () => volumes.ensure(wanted, { writes: true })));
  expect(new Set(made.map((one) => (one.ok ? one.value : one.error)))).toEqual(new Set([join(directory, id, "data")]));
  await writeFile(join(directory, id, "data", "kept"), "yes");
  const again = await openVolumes(directory);
  expect(await again.ensure({ ...wanted, mustExist: true }, { writes: true })).toMatchObject({ ok: true });
  expect(await readFile(join(directory, id, "data", "kept"), "utf8")).toBe("yes");
  await again.remove(id);
  expect(existsSync(join(directory, id))).toBe(false);
  await again.remove(id);
  await eventually("its files are deleted", () => readdirSync(directory).length === 0);
});

test("one that has been used is never made anew without a word", async () => {
  const volumes = await openVolumes(directory);
  expect(await volumes.ensure({ ...wanted, mustExist: true }, { writes: true })).toMatchObject({
    ok: false,
    error: expect.stringContaining("berth volume rm data-0 gives it up"),
  });
  expect(readdirSync(directory)).toEqual([]);
});

test("what a kill left half made or half deleted is swept, whole ones stay", async () => {
  for (const name of [`.new-${id}`, ".gone-media.old.3", "media.whole.4"]) {
    await mkdir(join(directory, name, "data"), { recursive: true });
    writeFileSync(join(directory, name, "data", "file"), "x");
  }
  const volumes = await openVolumes(directory);
  expect(readdirSync(directory)).toEqual(["media.whole.4"]);
  expect(await volumes.stat("media.whole.4")).toMatchObject({ entries: 1, usedBytes: expect.any(Number) });
  expect(await volumes.stat(id)).toBeUndefined();
});

test("what somebody still writes into, and so cannot be swept, keeps nothing from opening and is in no copy's way", async () => {
  const left = `.new-${id}`;
  await mkdir(join(directory, left, "data"), { recursive: true });
  writeFileSync(join(directory, left, "data", "late"), "x");
  const full = Object.assign(new Error("ENOTEMPTY: directory not empty"), { code: "ENOTEMPTY" });
  const volumes = await openVolumes(directory, () => Promise.reject(full));
  expect(await volumes.ensure(wanted, { writes: true })).toMatchObject({ ok: true });
  expect(readdirSync(join(directory, id, "data"))).toEqual([]);
  expect((await stat(join(directory, id))).mode & 0o777).toBe(0o755);
  expect(existsSync(join(directory, left, "data", "late"))).toBe(true);
});

test("a copy has everything of the other one, and nothing of it is there before all of it is", async () => {
  const volumes = await openVolumes(directory);
  const to = "media.copy.18";
  await volumes.ensure(wanted, { writes: true });
  const data = join(directory, id, "data");
  await writeFile(join(data, "file"), "content");
  await link(join(data, "file"), join(data, "hard"));
  await symlink("/nowhere", join(data, "soft"));
  await chown(join(data, "file"), 1234, 4321);
  await chmod(join(data, "file"), 0o4751);
  await utimes(join(data, "file"), 1, 2);
  await chmod(data, 0o1777);
  expect(await volumes.fill(to, used)).toEqual({ state: "copying", error: null });
  await eventually("the copy is complete", async () => (await volumes.fill(to, used)).state === "ready");
  const copy = join(directory, to, "data");
  const [file, hard] = await Promise.all(["file", "hard"].map((name) => stat(join(copy, name))));
  expect(file).toMatchObject({ uid: 1234, gid: 4321, mode: 0o104751, mtimeMs: 2000, nlink: 2, ino: hard?.ino });
  expect(await readlink(join(copy, "soft"))).toBe("/nowhere");
  expect((await stat(copy)).mode & 0o7777).toBe(0o1777);
  await writeFile(join(copy, "file"), "changed");
  expect(await readFile(join(data, "file"), "utf8")).toBe("content");
  expect(readdirSync(directory).toSorted()).toEqual([to, id].toSorted());
});

test("a copy of one that nobody has used is empty, and one that fails leaves nothing and says why, once", async () => {
  const volumes = await openVolumes(directory);
  const unused = { id: "media.unused.1", mustExist: false };
  await volumes.fill("media.empty.2", unused);
  await eventually("it is there", async () => (await volumes.fill("media.empty.2", unused)).state === "ready");
  await volumes.ensure(wanted, { writes: true });
  const path = process.env["PATH"];
  process.env["PATH"] = "/nowhere";
  try {
    await volumes.fill("media.bad.3", used);
    const failed = await eventually("it has failed", async () => {
      const told = await volumes.fill("media.bad.3", used);
      return told.state === "failed" ? told : undefined;
    });
    expect(failed.error).toContain("cp");
    expect(readdirSync(directory).toSorted()).toEqual(["media.empty.2", id].toSorted());
  } finally {
    process.env["PATH"] = path;
  }
  await volumes.fill("media.bad.3", used);
  await eventually("the next one works", async () => (await volumes.fill("media.bad.3", used)).state === "ready");
});

test("one that was used and is gone is neither copied nor archived as one with nothing in it", async () => {
  const volumes = await openVolumes(directory);
  const lost = "the volume data-0 has been used and is not on this host any more, so its data is lost";
  await volumes.fill("media.twin.18", used);
  const failed = await eventually("it has failed", async () => {
    const told = await volumes.fill("media.twin.18", used);
    return told.state === "failed" ? told : undefined;
  });
  expect(failed.error).toContain(lost);
  expect(readdirSync(directory)).toEqual([]);
  const never = new AbortController().signal;
  const all = async (mustExist: boolean): Promise<Uint8Array[]> => {
    const pieces: Uint8Array[] = [];
    for await (const piece of volumes.give({ id, mustExist }, never)) pieces.push(piece);
    return pieces;
  };
  await expect(all(true)).rejects.toThrow(lost);
  expect(volumes.isGiven(id)).toBe(false);
  expect(await all(false)).toEqual([new Uint8Array(1024)]);
});

test("counting never follows a link out of the volume, and counts names that are no text", async () => {
  const volumes = await openVolumes(directory);
  await volumes.ensure(wanted, { writes: true });
  const data = join(directory, id, "data");
  await symlink("/usr", join(data, "elsewhere"));
  await writeFile(Buffer.concat([Buffer.from(`${data}/`), Buffer.from([0xff, 0xfe])]), Buffer.alloc(100_000, 1));
  expect(await volumes.stat(id)).toMatchObject({ entries: 2 });
  expect((await volumes.stat(id))?.usedBytes).toBeGreaterThanOrEqual(100_000);
});

test.each(["../x", "media.data", "a.b.c", "a/b.c.1", "", "media.data.1/.."])("%j is no id", async (wrong) => {
  const volumes = await openVolumes(directory);
  await expect((async () => volumes.ensure({ ...wanted, id: wrong }, { writes: true }))()).rejects.toThrow(
    "is no id of a volume",
  );
  await expect((async () => volumes.remove(wrong))()).rejects.toThrow("is no id of a volume");
});

describe("a size", () => {
  const MiB = 2 ** 20;
  /** A tar of one file of so many bytes. */
  async function* archiveOf(bytes: number): AsyncGenerator<Uint8Array> {
    const from = join(directory, "..", "from");
    await mkdir(from, { recursive: true });
    await writeFile(join(from, "large"), Buffer.alloc(bytes, 1));
    yield execFileSync("tar", ["-c", "-C", from, "large"], { maxBuffer: 2 ** 26 });
  }
  const signal = new AbortController().signal;
  const copied = async (volumes: Volumes, to: string, sizeBytes: number) =>
    await eventually("the copy has ended", async () => {
      const told = await volumes.fill(to, used, sizeBytes);
      return told.state === "copying" ? undefined : told;
    });

  test("of a volume that is made holds whatever is brought, where the file system can, and nothing is left that does not fit", async () => {
    const volumes = await openVolumes(directory);
    // The disk of the machine of `pnpm test:v2` can.
    if (process.env["BERTH_VM"] !== undefined) expect(volumes.enforcesSizes).toBe(true);
    await volumes.ensure(wanted, { writes: true });
    await writeFile(join(directory, id, "data", "file"), Buffer.alloc(3 * MiB, 1));
    expect(await copied(volumes, "media.roomy.18", 4 * MiB)).toEqual({ state: "ready", error: null });
    expect(await copied(volumes, "media.tight.19", 2 * MiB)).toEqual(
      volumes.enforcesSizes
        ? { state: "failed", error: expect.stringMatching(/^it does not fit into its size: it holds 3\d{6} bytes/) }
        : { state: "ready", error: null },
    );
    // Its directory takes room as well, which the bytes of its files do not say.
    const exact = volumes.take("media.exact.20", archiveOf(2 * MiB), { mostBytes: 2 * MiB, signal });
    if (volumes.enforcesSizes)
      await expect(exact).rejects.toThrow("it does not fit into its size: large: write (EDQUOT)");
    else expect(await exact).toMatchObject({ bytes: 2 * MiB });
    await volumes.take("media.more.21", archiveOf(2 * MiB), { mostBytes: 3 * MiB, signal });
    const there = readdirSync(directory).toSorted();
    expect(there).toEqual(
      [
        "media.roomy.18",
        "media.more.21",
        id,
        ...(volumes.enforcesSizes ? [] : ["media.tight.19", "media.exact.20"]),
      ].toSorted(),
    );
  });

  test("is that of the first time: one that was made without stays as it is, and what is in it can be renamed", async () => {
    await (await openVolumes(directory)).ensure(wanted, { writes: true });
    const data = join(directory, id, "data");
    await writeFile(join(data, "old"), Buffer.alloc(2 * MiB, 1));
    const again = await openVolumes(directory);
    expect(await again.ensure({ ...wanted, mustExist: true, sizeBytes: MiB }, { writes: true })).toMatchObject({
      ok: true,
    });
    await rename(join(data, "old"), join(data, "new"));
    await writeFile(join(data, "more"), Buffer.alloc(2 * MiB, 1));
    const other = { ...wanted, id: "media.data-0.99", sizeBytes: 2 * MiB };
    await again.ensure(other, { writes: true });
    const { blocks, bsize } = await statfs(join(directory, other.id, "data"));
    if (again.enforcesSizes) expect(blocks * bsize).toBe(2 * MiB);
  });
});
