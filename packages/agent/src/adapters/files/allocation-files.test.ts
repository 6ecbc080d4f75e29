/** Files of allocations on a real disk, with contents that a hostile program could have left. */
import { execFileSync } from "node:child_process";
import { chmod, link, mkdir, mkdtemp, rename, rm, stat, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { AllocationId } from "@berth/schema";
import { quietLog } from "../../testing/fake-agent.ts";
import { allocationId } from "../../testing/fake-scheduler.ts";
import type { AllocationFiles } from "../../ports/files.ts";
import { openAllocationFiles } from "./allocation-files.ts";
import { openBeneath } from "./beneath.ts";
import { openJournal } from "./journal.ts";
import { layoutOf, type Layout } from "./layout.ts";

let layout: Layout;
let files: AllocationFiles;
let id: AllocationId;
beforeEach(async () => {
  layout = layoutOf(await mkdtemp(join(tmpdir(), "berth-files-")));
  await openJournal(layout, quietLog());
  files = openAllocationFiles(layout, { files: 10, entries: 20, bytes: 1_000_000, depth: 4 });
  id = allocationId();
  await mkdir(layout.allocation(id));
});
afterEach(() => rm(layout.root, { recursive: true, force: true }));

const out = async (): Promise<string> => join(await files.prepareOutputs(id, ["/out", "/out/deep", "/var/log"]), "out");
const text = async (path: string): Promise<string | undefined> => {
  const file = await files.openOutput(id, path);
  if (file === undefined) return undefined;
  const { data } = await file.read(0, 1000);
  await file.close();
  return Buffer.from(data).toString();
};

describe("outputs", () => {
  test("are moved at once and listed by path; doing it again changes nothing", async () => {
    const folder = await out();
    await writeFile(join(folder, "b"), "bee");
    await writeFile(join(folder, "deep", "a"), "ay");
    expect(await files.listOutputs(id, 0)).toEqual({ files: [], next: null });
    expect(await files.collectOutputs(id, ["/out"])).toEqual({ ok: true, value: 5 });
    expect(await files.collectOutputs(id, ["/out"])).toEqual({ ok: true, value: 5 });
    expect(await openAllocationFiles(layout).listOutputs(id, 0)).toEqual({
      files: [
        { path: "out/b", sizeBytes: 3 },
        { path: "out/deep/a", sizeBytes: 2 },
      ],
      next: null,
    });
    expect(await text("out/deep/a")).toBe("ay");
    await expect(stat(layout.livingOutputs(id))).rejects.toThrow();
  });

  test("are regular files only: links, FIFOs, sockets and directories cannot be read", async () => {
    const folder = await out();
    const secret = join(layout.root, "secret");
    await writeFile(secret, "secret");
    await symlink(secret, join(folder, "link"));
    await symlink(layout.root, join(folder, "deep", "dir"));
    execFileSync("mkfifo", [join(folder, "fifo")]);
    const server = createServer().listen(join(folder, "socket"));
    await writeFile(join(folder, "closed"), "root reads it all the same");
    await chmod(join(folder, "closed"), 0);
    expect(await files.collectOutputs(id, ["/out"])).toMatchObject({ ok: true });
    expect((await files.listOutputs(id, 0)).files.map((file) => file.path)).toEqual(["out/closed"]);
    for (const path of [
      "out/link",
      "out/deep/dir/secret",
      "out/fifo",
      "out/socket",
      "out",
      "out/deep",
      "",
      "/",
      "..",
      "../secret",
      "out/../../../secret",
      "out//closed",
      "./out/closed",
      "out/closed/",
      "out/closed\0",
    ]) {
      expect(await text(path), JSON.stringify(path)).toBeUndefined();
    }
    expect(await text("out/closed")).toBe("root reads it all the same");
    await new Promise((resolve) => server.close(resolve));
  });

  test.each<[string, RegExp, (folder: string) => Promise<void>]>([
    [
      "too many files",
      /more than 10 files/,
      async (folder) =>
        void (await Promise.all(Array.from({ length: 11 }, (_, at) => writeFile(join(folder, `f${at}`), "")))),
    ],
    [
      "too many entries",
      /more than 20 files and directories/,
      async (folder) => void (await Promise.all(Array.from({ length: 21 }, (_, at) => mkdir(join(folder, `d${at}`))))),
    ],
    [
      "too many bytes, though sparse",
      /more than 1000000 bytes/,
      (folder) => Promise.resolve(void execFileSync("truncate", ["-s", "2T", join(folder, "sparse")])),
    ],
    [
      "too deep",
      /nested deeper than 4/,
      async (folder) => void (await mkdir(join(folder, "1/2/3/4/5"), { recursive: true })),
    ],
    [
      "a name that is not UTF-8",
      /not valid UTF-8/,
      (folder) => writeFile(Buffer.concat([Buffer.from(`${folder}/`), Buffer.from([0xff, 0xfe])]), ""),
    ],
  ])("are refused with a sentence: %s", async (_, sentence, make) => {
    await make(await out());
    const result = await files.collectOutputs(id, ["/out"]);
    expect(result.ok ? "" : result.error).toMatch(sentence);
    expect((await files.listOutputs(id, 0)).files).toEqual([]);
  });

  test("a hard link inside the outputs is a file like any other", async () => {
    const folder = await out();
    await writeFile(join(folder, "a"), "same");
    await link(join(folder, "a"), join(folder, "b"));
    await files.collectOutputs(id, ["/out"]);
    expect(await text("out/b")).toBe("same");
  });

  test("come in pages", async () => {
    const many = openAllocationFiles(layout);
    const folder = await out();
    for (let at = 0; at < 1005; at += 1) await writeFile(join(folder, String(at).padStart(5, "0")), "");
    await many.collectOutputs(id, ["/out"]);
    const first = await many.listOutputs(id, 0);
    expect([first.files.length, first.next]).toEqual([1000, 1000]);
    const second = await many.listOutputs(id, 1000);
    expect([second.files.length, second.next, second.files[4]?.path]).toEqual([5, null, "out/01004"]);
    expect(await many.listOutputs(id, 99_999)).toEqual({ files: [], next: null });
  });

  test("that were wanted but are gone are an error, those that never were are none", async () => {
    expect(await files.collectOutputs(id, ["/out"])).toMatchObject({ ok: false });
    expect(await files.collectOutputs(id, [])).toEqual({ ok: true, value: 0 });
  });
});

test("a path that is exchanged for a link while it is opened never leads outside", async () => {
  const folder = await out();
  await writeFile(join(layout.root, "file"), "outside");
  await mkdir(join(folder, "real"));
  await writeFile(join(folder, "real", "file"), "inside");
  await symlink(layout.root, join(folder, "evil"));
  const swap = join(folder, "swap");
  await rename(join(folder, "real"), swap);
  let swapping = true;
  const swapper = (async () => {
    while (swapping) {
      await rename(swap, join(folder, "real"));
      await rename(join(folder, "evil"), swap);
      await rename(swap, join(folder, "evil"));
      await rename(join(folder, "real"), swap);
    }
  })();
  for (let at = 0; at < 500; at += 1) {
    const file = await openBeneath(folder, "swap/file");
    if (file === undefined) continue;
    expect((await file.readFile()).toString()).toBe("inside");
    await file.close();
  }
  swapping = false;
  await swapper;
});

/** One block of one record, as a supervisor writes it. */
const writeLog = async (directory: string, text: string): Promise<void> => {
  const record = Buffer.alloc(16 + text.length);
  record.writeUInt16LE(text.length, 4);
  record.write(text, 16);
  record.writeUInt32LE(crc32(record.subarray(4)), 0);
  const header = Buffer.alloc(48);
  header.write("BLOG", 0);
  header.writeUInt16LE(1, 8);
  header.writeBigUInt64LE(1n, 16);
  header.writeUInt32LE(crc32(header.subarray(8)), 4);
  await mkdir(directory);
  await writeFile(join(directory, "1"), Buffer.concat([header, record]));
};

describe("logs", () => {
  test("are read where the container writes them, and afterwards where they are kept", async () => {
    const path = join(layout.root, "runtime-log");
    await writeLog(path, "hello");
    const open = await files.openLog(id, "stdout", path);
    const bytes = await files.keepLogs(id, path);
    expect(bytes).toBe(48 + 16 + 5);
    expect(await files.keepLogs(id, path)).toBe(bytes);
    const kept = await files.openLog(id, "stdout", path);
    for (const file of [open, kept]) {
      expect(await file?.size()).toBe(5);
      const piece = await file?.read(1, 100);
      expect([piece?.offset, Buffer.from(piece?.data ?? []).toString()]).toEqual([1, "ello"]);
      await file?.close();
    }
    expect(await files.openLog(allocationId(), "stdout", undefined)).toBeUndefined();
  });
});

test("a volume has to be there", async () => {
  expect(await files.checkVolume(layout.root)).toBeUndefined();
  expect(await files.checkVolume(join(layout.root, "nothing"))).toMatch(/does not exist on this host/);
  await symlink("loop", join(layout.root, "loop"));
  expect(await files.checkVolume(join(layout.root, "loop"))).toMatch(/ELOOP/);
});
