/** Archives that want something outside of their tree, or too much of everything: refused with the entry's name. */
import { execFileSync } from "node:child_process";
import { closeSync, lstatSync, mkdirSync, openSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { unpackLayer } from "../../lib/index.ts";
import { eventually, statusField } from "../host.ts";
import { layerPlace } from "./layers.ts";
import { pax, tar, tarEntry, type TarEntry } from "./tar.ts";

const place = layerPlace();
const refusal = async (...entries: (TarEntry | Buffer)[]): Promise<string> =>
  (await place.unpack(tar(entries))).refusal;

describe("names", () => {
  test.each(["../outside/file", "a/../../outside/x", "..", "a/..", "./../x", "a/b/../../../outside/file"])(
    "%s leads upwards",
    async (name) => {
      expect(await refusal({ name, content: "evil" })).toBe(`unpack.entry: ${name}: its name leads upwards`);
    },
  );

  test.each(["/etc/passwd", "//etc", "/"])("%s is absolute", async (name) => {
    expect(await refusal({ name, content: "evil" })).toBe(`unpack.entry: ${name}: its name is absolute`);
  });

  test("too long, too deep, none at all", async () => {
    expect(await refusal(pax({ path: "x".repeat(256) }), { name: "s" })).toMatch(/its name is too long$/);
    expect(await refusal(pax({ path: `${"d/".repeat(257)}f` }), { name: "s" })).toMatch(
      /more than 256 directories deep$/,
    );
    expect(await refusal({ name: "." })).toMatch(/it has no name$/);
  });
});

describe("links", () => {
  test("a symbolic link on the way leads inside, wherever it points", async () => {
    const { result, tree } = await place.unpack(
      tar([
        { name: "outside/", type: "5" },
        { name: "up", type: "2", link: "../../outside" },
        { name: "up/file", content: "inside" },
      ]),
    );
    expect(result.ok).toBe(true);
    expect(readFileSync(join(tree, "outside/file"), "utf8")).toBe("inside");
  });

  test("a symbolic link to what only the host has leads nowhere", async () => {
    expect(await refusal({ name: "l", type: "2", link: place.outside }, { name: "l/file", content: "evil" })).toBe(
      "unpack.entry: l/file: the directory it is in",
    );
    expect(await refusal({ name: "p", type: "2", link: "/proc/self/fd/0" }, { name: "p/x", content: "evil" })).toBe(
      "unpack.entry: p/x: the directory it is in",
    );
  });

  test("a symbolic link as the last component is replaced, never written through", async () => {
    const { tree } = await place.unpack(
      tar([
        { name: "file", type: "2", link: join(place.outside, "file") },
        { name: "file", content: "mine" },
      ]),
    );
    expect(lstatSync(join(tree, "file")).isFile()).toBe(true);
  });

  test("a loop of symbolic links", async () => {
    expect(
      await refusal(
        { name: "a", type: "2", link: "b" },
        { name: "b", type: "2", link: "a" },
        { name: "a/x", content: "" },
      ),
    ).toBe("unpack.entry: a/x: the directory it is in");
  });

  test("hard links lead to entries of this archive only", async () => {
    expect(await refusal({ name: "h", type: "1", link: "/etc/passwd" })).toMatch(
      /the target of its hard link is absolute$/,
    );
    expect(await refusal({ name: "h", type: "1", link: "../outside/file" })).toMatch(/leads upwards$/);
    expect(await refusal({ name: "h", type: "1", link: "nothing" })).toMatch(/hard link to nothing$/);
    expect(await refusal({ name: "d/", type: "5" }, { name: "h", type: "1", link: "d" })).toMatch(/which is no file$/);
    expect(await refusal({ name: "l", type: "2", link: place.outside }, { name: "h", type: "1", link: "l/file" })).toBe(
      "unpack.entry: l/file: the directory it is in",
    );
  });

  test("a hard link to a symbolic link is the link itself", async () => {
    const { tree } = await place.unpack(
      tar([
        { name: "l", type: "2", link: join(place.outside, "file") },
        { name: "h", type: "1", link: "l" },
      ]),
    );
    expect(readlinkSync(join(tree, "h"))).toBe(join(place.outside, "file"));
  });
});

describe("owners, whiteouts, kinds", () => {
  test.each([65_536, 4_294_967_295, -1])("owner %d", async (uid) => {
    expect(await refusal({ name: "f", uid })).toMatch(/^unpack\.entry: f: owner -?\d+:0 is not in 0\.\.65535$/);
  });

  test.each([".wh.", ".wh...", ".wh..", "a/.wh..wh.x"])("a whiteout of nothing: %s", async (name) => {
    expect(await refusal({ name })).toMatch(/a whiteout of nothing$/);
  });

  test("a file in the place of a directory that is not empty", async () => {
    expect(await refusal({ name: "d/f", content: "1" }, { name: "d", content: "2" })).toBe(
      "unpack.entry: d: replaces a directory that is not empty",
    );
  });
});

describe("too much", () => {
  test("bytes, told before they are written", async () => {
    const { refusal: said, result } = await place.unpack(tar([{ name: "big", size: 2 ** 41 }]));
    expect(said).toMatch(/^unpack\.limit: big: all files together have more than \d+ bytes$/);
    expect(result).toMatchObject({ ok: false, entry: "big" });
    const sparse = tar([
      pax({
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.name": "hole",
        "GNU.sparse.realsize": "9000000000000",
      }),
      { name: "hole", content: "1\n8999999999999\n1\n".padEnd(513, "\0") },
    ]);
    expect((await place.unpack(sparse)).refusal).toMatch(/^unpack\.limit: /);
  });

  test("entries", async () => {
    const many = Array.from({ length: 12 }, (_, index) => ({ name: `f${index}` }));
    expect((await place.unpack(tar(many), { entries: 10 })).refusal).toBe("unpack.limit: f10: more than 10 entries");
  });

  test("a bomb", async () => {
    const bomb = gzipSync(tar([{ name: "zeros", content: Buffer.alloc(70 * 2 ** 20) }]));
    expect((await place.unpack(bomb)).refusal).toMatch(
      /^unpack\.limit: zeros: the archive unpacks to more than \d+ bytes$/,
    );
  });
});

/** Processes below this one that are called `name`, parents first. */
const below = (name: string): { readonly pid: number; readonly parent: number }[] =>
  readdirSync("/proc").flatMap((entry) => {
    try {
      const status = /^\d+$/.test(entry) ? readFileSync(`/proc/${entry}/status`, "utf8") : "";
      return status.startsWith(`Name:\t${name}\n`)
        ? [{ pid: Number(entry), parent: Number(/^PPid:\t(\d+)/m.exec(status)?.[1]) }]
        : [];
    } catch {
      return [];
    }
  });

test("whoever reads an archive owns nothing, and its death is the archive's failure alone", async () => {
  /* An archive that never comes: its reader waits. */
  const pipe = join(place.directory, "blob-9000");
  execFileSync("mkfifo", [pipe]);
  const blob = openSync(pipe, "r+");
  for (const [turn, victim] of ["reader", "program"].entries()) {
    const tree = join(place.directory, `tree-${9000 + turn}`);
    mkdirSync(tree);
    const treeFd = openSync(tree, "r");
    const unpacking = unpackLayer(blob, treeFd);
    let [outer, inner] = [0, 0];
    await eventually(() => {
      const found = below("berth-unpack");
      outer = found.find(({ parent }) => parent === process.pid)?.pid ?? 0;
      inner = found.find(({ parent }) => outer !== 0 && parent === outer)?.pid ?? 0;
      return inner !== 0 && statusField(inner, "Seccomp") === "2";
    });
    if (victim === "reader") {
      /* chown, dac_override, fowner, fsetid: what makes files as the archive wants them, in its own range of ids. */
      expect([statusField(inner, "CapEff"), statusField(inner, "CapPrm")]).toEqual(Array(2).fill("000000000000001b"));
      expect(statusField(inner, "NoNewPrivs")).toBe("1");
      expect(readlinkSync(`/proc/${inner}/root`)).toBe(tree);
      for (const name of ["user", "mnt", "pid", "net", "ipc", "uts"])
        expect(readlinkSync(`/proc/${inner}/ns/${name}`), name).not.toBe(readlinkSync(`/proc/self/ns/${name}`));
      const limits = readFileSync(`/proc/${inner}/limits`, "utf8");
      expect(limits).toMatch(/^Max open files +64 +64 /m);
      expect(limits).toMatch(/^Max core file size +0 +0 /m);
      expect(limits).toMatch(/^Max data size +536870912 +536870912 /m);
      expect(limits).toMatch(/^Max file size +68719476736 +68719476736 /m);
    }
    process.kill(victim === "reader" ? inner : outer, "SIGKILL");
    expect(await unpacking).toMatchObject({
      ok: false,
      error: { stage: "unpack", detail: expect.stringMatching(/killed$/) },
    });
    expect(readdirSync(tree)).toEqual([]);
    closeSync(treeFd);
  }
  closeSync(blob);
  expect((await place.unpack(tar([{ name: "next", content: "works" }]))).result).toMatchObject({ ok: true });
});

describe("damage", () => {
  test.each([
    ["nothing", Buffer.alloc(0)],
    ["text", Buffer.from("this is no archive at all, only a sentence that goes on for a while")],
    ["a wrong checksum", tar([{ name: "a", content: "1", broken: true }])],
    ["half a header", tar([{ name: "a" }]).subarray(0, 300)],
    ["half a file", tarEntry({ name: "a", content: "x".repeat(5000) }).subarray(0, 2000)],
    ["half a stream", gzipSync(tar([{ name: "a", content: Buffer.alloc(5000, 7) }])).subarray(0, 60)],
  ])("%s", async (_, blob) => {
    const { refusal: said } = await place.unpack(blob);
    expect(said).toMatch(/^unpack\.read: ./);
  });

  test("any byte may be wrong", async () => {
    const good = tar([
      { name: "d/", type: "5" },
      { name: "d/f", content: "text" },
      { name: "d/l", type: "2", link: "f" },
      { name: "d/h", type: "1", link: "d/f" },
      { name: "d/.wh.x" },
    ]);
    await fc.assert(
      fc.asyncProperty(fc.nat({ max: good.length - 1025 }), fc.integer({ min: 1, max: 255 }), async (at, change) => {
        const bad = Buffer.from(good);
        bad[at] = bad[at]! ^ change;
        const { result } = await place.unpack(bad);
        expect(result.ok || result.error.stage.startsWith("unpack.")).toBe(true);
      }),
      { numRuns: 40 },
    );
  });
});
