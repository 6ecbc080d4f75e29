/** What honest archives become: content, owners, modes, times, links, whiteouts, digests. */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { layerPlace } from "./layers.ts";
import { pax, tar } from "./tar.ts";

const place = layerPlace();
const sha256 = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex");
const READ_OPAQUE = `
import os,sys
try: print(os.getxattr(sys.argv[1],"trusted.overlay.opaque").decode())
except OSError: print("")`;
const opaque = (path: string): boolean => execFileSync("python3", ["-c", READ_OPAQUE, path]).toString().trim() === "y";

describe("a layer", () => {
  test("files, directories, links and pipes with owner, mode and time", async () => {
    const { result, tree } = await place.unpack(
      tar([
        { name: "./", type: "5", mode: 0o711 },
        { name: "./etc/", type: "5", mode: 0o750, uid: 7, gid: 8, mtime: 1_600_000_000 },
        { name: "./etc/motd", content: "hello\n", mode: 0o4755, uid: 1000, gid: 65_535, mtime: 1_500_000_000 },
        { name: "etc/link", type: "2", link: "/outside/absolute", uid: 5 },
        { name: "etc/same", type: "1", link: "etc/motd" },
        { name: "run/pipe", type: "6", mode: 0o600 },
      ]),
    );
    expect(result).toMatchObject({ ok: true, entries: 6, bytes: 6, devicesSkipped: 0 });
    expect(statSync(tree).mode & 0o7777).toBe(0o711);
    const etc = statSync(join(tree, "etc"));
    expect([etc.mode & 0o7777, etc.uid, etc.gid, etc.mtimeMs]).toEqual([0o750, 7, 8, 1_600_000_000_000]);
    const motd = statSync(join(tree, "etc/motd"));
    expect([motd.mode & 0o7777, motd.uid, motd.gid, motd.nlink]).toEqual([0o4755, 1000, 65_535, 2]);
    expect(motd.mtimeMs).toBe(1_500_000_000_000);
    expect(readFileSync(join(tree, "etc/same"), "utf8")).toBe("hello\n");
    expect(readlinkSync(join(tree, "etc/link"))).toBe("/outside/absolute");
    expect(lstatSync(join(tree, "etc/link")).uid).toBe(5);
    expect(lstatSync(join(tree, "run/pipe")).isFIFO()).toBe(true);
  });

  test("the digest is that of the plain archive, whatever follows its end", async () => {
    const plain = Buffer.concat([tar([{ name: "a", content: "x".repeat(100_000) }]), Buffer.alloc(9000)]);
    const [raw, zipped] = [await place.unpack(plain), await place.unpack(gzipSync(plain))];
    expect(raw.result).toMatchObject({ ok: true, digest: sha256(plain) });
    expect(zipped.result).toMatchObject({ ok: true, digest: sha256(plain) });
  });

  test.each(["zstd", "xz"])("%s", async (program) => {
    const plain = tar([{ name: "a", content: "b" }]);
    const { result } = await place.unpack(execFileSync(program, ["-c"], { input: plain }));
    expect(result).toMatchObject({ ok: true, digest: sha256(plain) });
  });

  test("an empty layer", async () => {
    const plain = tar([]);
    const { result, tree } = await place.unpack(gzipSync(plain));
    expect(result).toMatchObject({ ok: true, entries: 0, digest: sha256(plain) });
    expect(readdirSync(tree)).toEqual([]);
  });

  test("long names by pax, names that are no UTF-8, content with holes", async () => {
    const long = `${"d".repeat(200)}/${"e".repeat(200)}`;
    const { result, tree } = await place.unpack(
      tar([
        pax({ path: long }),
        { name: "short", content: "1" },
        { name: Buffer.from([0x61, 0xff, 0x62]), content: "2" },
      ]),
    );
    expect(result).toMatchObject({ ok: true });
    expect(readFileSync(join(tree, long), "utf8")).toBe("1");
    expect(readFileSync(Buffer.concat([Buffer.from(`${tree}/`), Buffer.from([0x61, 0xff, 0x62])]), "utf8")).toBe("2");

    const source = join(tree, "sparse");
    mkdirSync(source);
    execFileSync("truncate", ["-s", "16M", join(source, "disk")]);
    const sparse = await place.unpack(execFileSync("tar", ["-C", source, "-S", "-cf", "-", "disk"]));
    expect(sparse.result).toMatchObject({ ok: true, bytes: 16 * 2 ** 20 });
    const disk = statSync(join(sparse.tree, "disk"));
    expect([disk.size, disk.blocks]).toEqual([16 * 2 ** 20, 0]);
  });

  test("a later entry replaces an earlier one", async () => {
    const { result, tree } = await place.unpack(
      tar([
        { name: "a", content: "first" },
        { name: "a", content: "second" },
        { name: "b", type: "2", link: "a" },
        { name: "b", content: "third" },
        { name: "empty/", type: "5" },
        { name: "empty", content: "now a file" },
      ]),
    );
    expect(result).toMatchObject({ ok: true });
    expect(readFileSync(join(tree, "a"), "utf8")).toBe("second");
    expect(readFileSync(join(tree, "b"), "utf8")).toBe("third");
    expect(readFileSync(join(tree, "empty"), "utf8")).toBe("now a file");
  });

  test("devices and privileged attributes are left out and counted", async () => {
    const { result, tree } = await place.unpack(
      tar([
        { name: "dev/sda", type: "4" },
        { name: "dev/null", type: "3" },
        pax({ "SCHILY.xattr.security.capability": "x", "SCHILY.xattr.user.note": "kept" }),
        { name: "file", content: "" },
      ]),
    );
    expect(result).toMatchObject({ ok: true, devicesSkipped: 2, xattrsSkipped: 1 });
    expect(readdirSync(tree)).toEqual(["file"]);
    const note = "import os,sys; print(os.listxattr(sys.argv[1]))";
    expect(execFileSync("python3", ["-c", note, join(tree, "file")]).toString()).toContain("['user.note']");
  });
});

describe("whiteouts", () => {
  test("a name becomes overlayfs's whiteout, a directory opaque", async () => {
    const { tree } = await place.unpack(
      tar([{ name: "a/.wh.gone" }, { name: "b/.wh..wh..opq" }, { name: "b/new", content: "1" }]),
    );
    const gone = lstatSync(join(tree, "a/gone"));
    expect([gone.isCharacterDevice(), gone.rdev]).toEqual([true, 0]);
    expect([opaque(join(tree, "a")), opaque(join(tree, "b"))]).toEqual([false, true]);
    expect(readdirSync(join(tree, "b"))).toEqual(["new"]);
  });

  test.each([
    ["before", [{ name: ".wh.d" }, { name: "d/x", content: "1" }]],
    ["after", [{ name: "d/", type: "5" }, { name: "d/x", content: "1" }, { name: ".wh.d" }]],
  ])("of a directory that this very layer makes, %s it", async (_, entries) => {
    const { result, tree } = await place.unpack(tar(entries));
    expect(result).toMatchObject({ ok: true });
    expect(readdirSync(join(tree, "d"))).toEqual(["x"]);
    expect(opaque(join(tree, "d"))).toBe(true);
  });

  test("of a file that this very layer makes", async () => {
    const { tree } = await place.unpack(tar([{ name: "f", content: "1" }, { name: ".wh.f" }]));
    expect(readFileSync(join(tree, "f"), "utf8")).toBe("1");
  });
});
