/** A copy of a layer for file systems whose mounts cannot map ids: the same tree, but for whose it is. */
import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { canMapIds, shiftTree } from "../../lib/index.ts";
import { testHost } from "../host.ts";
import { layerPlace } from "./layers.ts";
import { pax, tar } from "./tar.ts";

const place = layerPlace();
const BASE = 0x2345_0000;

const withFd = async <T>(path: string, work: (fd: number) => Promise<T>): Promise<T> => {
  const opened = await open(path, "r");
  try {
    return await work(opened.fd);
  } finally {
    await opened.close();
  }
};
const shifted = async (tree: string, idBase = BASE) => {
  const to = `${tree.replace(/tree-(\d+)$/, "tree-9$1")}`;
  mkdirSync(to);
  const result = await withFd(tree, (from) => withFd(to, (into) => shiftTree(from, into, idBase)));
  return { result, to };
};

/** All that a container could see of each file, and apart from that whose it is. */
const LOOK = `
import hashlib, json, os, stat, sys
seen, owners = {}, {}
def look(path, name):
    info = os.lstat(path)
    content = info.st_rdev
    if stat.S_ISREG(info.st_mode): content = hashlib.sha256(open(path, "rb").read()).hexdigest()
    if stat.S_ISLNK(info.st_mode): content = os.readlink(path)
    names = sorted(os.listxattr(path, follow_symlinks=False))
    xattrs = [(n, os.getxattr(path, n, follow_symlinks=False).hex()) for n in names]
    links = 0 if stat.S_ISDIR(info.st_mode) else info.st_nlink
    # That of a whiteout is nobody's.
    mtime = 0 if stat.S_ISCHR(info.st_mode) else info.st_mtime_ns
    seen[name] = [oct(info.st_mode), mtime, links, content, xattrs]
    owners[name] = [info.st_uid, info.st_gid]
    if stat.S_ISDIR(info.st_mode):
        for child in sorted(os.listdir(path)): look(path + "/" + child, name + "/" + child)
look(sys.argv[1], "")
print(json.dumps({"seen": seen, "owners": owners}))`;
interface Look {
  readonly seen: Readonly<Record<string, unknown>>;
  readonly owners: Readonly<Record<string, readonly [number, number]>>;
}
const look = (tree: string): Look => JSON.parse(execFileSync("python3", ["-c", LOOK, tree]).toString()) as Look;

describe("a shifted copy", () => {
  test("has every file, mode, time, link, whiteout and attribute, and the ids of one container", async () => {
    const { tree } = await place.unpack(
      tar([
        { name: "./", type: "5", mode: 0o711, uid: 3, gid: 4, mtime: 1_555_555_555 },
        { name: "etc/", type: "5", mode: 0o750, uid: 7, gid: 8, mtime: 1_600_000_000 },
        { name: "etc/motd", content: "hello\n", mode: 0o4755, uid: 1000, gid: 65_535, mtime: 1_500_000_000 },
        { name: "etc/link", type: "2", link: "/outside/absolute", uid: 5, gid: 6 },
        { name: "etc/same", type: "1", link: "etc/motd" },
        { name: "etc/.wh.gone" },
        pax({ "SCHILY.xattr.user.color": "red" }),
        { name: "etc/colored", content: "x".repeat(300_000) },
        { name: "run/", type: "5" },
        { name: "run/pipe", type: "6", mode: 0o600, uid: 9 },
        { name: "opaque/", type: "5" },
        { name: "opaque/.wh..wh..opq" },
        { name: "opaque/new", content: "new" },
      ]),
    );
    const { result, to } = await shifted(tree);
    expect(result).toMatchObject({ ok: true, devicesSkipped: 0, xattrsSkipped: 0 });
    const [was, is] = [look(tree), look(to)];
    expect(is.seen).toEqual(was.seen);
    expect(was.owners["/etc/motd"]).toEqual([1000, 65_535]);
    for (const [name, [uid, gid]] of Object.entries(was.owners)) {
      expect(is.owners[name], name).toEqual([uid + BASE, gid + BASE]);
    }
  });

  test("one that cannot be read is said, and nothing is called a copy", async () => {
    const { tree } = await place.unpack(tar([{ name: "a", content: "a" }]));
    const other = join(place.directory, "tree-777");
    mkdirSync(other);
    const file = join(tree, "a");
    const result = withFd(file, (from) => withFd(other, (into) => shiftTree(from, into, BASE)));
    await expect(result).rejects.toThrow(/pack/);
  });
});

describe("containers", () => {
  const host = testHost();

  test("see a copy as they see what their mounts map", async () => {
    const script = "stat -c '%u:%g %a %n' / /bin/sh /etc/passwd /root /tmp; ls /bin | wc -l";
    const mapped = await host.sh(script);
    const idBase = BASE + 2 ** 16;
    const copy = join(host.directory, "copy");
    mkdirSync(copy);
    const result = await withFd(host.image, (from) => withFd(copy, (into) => shiftTree(from, into, idBase)));
    expect(result.ok).toBe(true);
    const own = await host.sh(script, { layers: [copy], shiftedLayers: true, idBase });
    expect(own.stdout).toBe(mapped.stdout);
    expect(own.exit.code).toBe(0);
  });
});

test("which file systems can map ids is what the kernel says of them", async () => {
  expect(await withFd(place.directory, canMapIds)).toBe(true);
  // The kernel maps ids of no overlay.
  const at = (name: string): string => join(place.directory, `tree-88${name}`);
  for (const name of ["1", "2", "3", "4"]) mkdirSync(at(name));
  const options = `lowerdir=${at("1")},upperdir=${at("2")},workdir=${at("3")}`;
  execFileSync("mount", ["-t", "overlay", "overlay", "-o", options, at("4")]);
  try {
    expect(await withFd(at("4"), canMapIds)).toBe(false);
  } finally {
    execFileSync("umount", [at("4")]);
  }
});
