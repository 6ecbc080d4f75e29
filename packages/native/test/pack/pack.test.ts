/** What a tree becomes as an archive: told by tar(1), and by our own unpacking, which gives the same tree again. */
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  closeSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, expect, test } from "vitest";
import { packTree, syncTree, unpackLayer, type PackOptions, type PackReport } from "../../lib/index.ts";

const BASE = 600_000_000;
const directory = mkdtempSync(join(tmpdir(), "berth-pack-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));
let count = 0;
let upper: string;
beforeEach(() => {
  upper = join(directory, `upper-${(count += 1)}`);
  mkdirSync(upper);
  chownSync(upper, BASE, BASE);
});

interface Packed {
  readonly file: string;
  readonly report: PackReport;
  /** As `tar -tv` says it: mode, owner, size, name and where links lead. */
  readonly lines: readonly string[];
}

const pack = async (kind: PackOptions["kind"], more: Partial<PackOptions> = {}): Promise<Packed> => {
  const file = join(directory, `archive-${(count += 1)}.tar`);
  const tree = openSync(upper, "r");
  const parts: Buffer[] = [];
  try {
    const pieces = packTree({ kind, tree, idBase: BASE, mostBytes: 2 ** 30, ...more });
    for (;;) {
      const next = await pieces.next();
      if (next.done === true) {
        writeFileSync(file, Buffer.concat(parts));
        const told = execFileSync("tar", ["--numeric-owner", "-tvf", file], { encoding: "utf8" });
        const lines = told.split("\n").filter((line) => line !== "");
        const short = (line: string): string => line.replace(/ +/g, " ").replace(/\d{4}-\d\d-\d\d \d\d:\d\d /, "");
        return { file, report: next.value, lines: lines.map(short) };
      }
      parts.push(Buffer.from(next.value));
    }
  } finally {
    closeSync(tree);
  }
};

const python = (script: string, path: string): string =>
  execFileSync(
    "python3",
    ["-S", "-c", `import os,socket,stat,sys\nat=lambda name: os.path.join(sys.argv[1],name)\n${script}`, path],
    {
      encoding: "utf8",
    },
  ).trim();

/** As overlayfs leaves it when a container has written, deleted and replaced. */
const fill = (): void => {
  for (const name of ["bin", "bin/sub", "replaced"]) mkdirSync(join(upper, name));
  writeFileSync(join(upper, "bin/tool"), "program");
  chownSync(join(upper, "bin/tool"), BASE + 1000, BASE + 65_535);
  chmodSync(join(upper, "bin/tool"), 0o4755);
  linkSync(join(upper, "bin/tool"), join(upper, "bin/sub/same"));
  symlinkSync("/nowhere/outside", join(upper, "bin/way"));
  python(
    `os.mkfifo(at("pipe"), 0o644)
os.mknod(at("bin/gone"), 0o600 | stat.S_IFCHR, os.makedev(0, 0))
os.setxattr(at("replaced"), "trusted.overlay.opaque", b"y")
os.setxattr(at("replaced"), "trusted.overlay.origin", b"x")
os.setxattr(at("bin/tool"), "user.note", b"kept")
socket.socket(socket.AF_UNIX).bind(at("socket"))`,
    upper,
  );
  for (const name of ["bin", "bin/sub", "replaced", "pipe"]) chownSync(join(upper, name), BASE, BASE);
  for (const name of ["bin/tool", "bin/sub", "bin", "replaced"])
    utimesSync(join(upper, name), 1_500_000_000, 1_500_000_000);
};

test("a layer: ids as inside, deletions and replaced directories as OCI says them, hard links, no sockets", async () => {
  fill();
  const { file, report, lines } = await pack("layer");
  expect(lines).toEqual([
    "drwxr-xr-x 0/0 0 bin/",
    "-rw------- 0/0 0 bin/.wh.gone",
    "drwxr-xr-x 0/0 0 bin/sub/",
    "-rwsr-xr-x 1000/65535 7 bin/sub/same",
    "hrwsr-xr-x 1000/65535 0 bin/tool link to bin/sub/same",
    "lrwxrwxrwx 0/0 0 bin/way -> /nowhere/outside",
    "prw-r--r-- 0/0 0 pipe",
    "drwxr-xr-x 0/0 0 replaced/",
    "-rw------- 0/0 0 replaced/.wh..wh..opq",
  ]);
  expect(report).toMatchObject({ entries: 9, bytes: 7, devicesSkipped: 1, xattrsSkipped: 0 });
  const tree = join(directory, "tree");
  mkdirSync(tree);
  const [blob, into] = [openSync(file, "r"), openSync(tree, "r")];
  try {
    expect(await unpackLayer(blob, into)).toMatchObject({ ok: true });
  } finally {
    closeSync(blob);
    closeSync(into);
  }
  expect(statSync(join(tree, "bin/tool"))).toMatchObject({
    uid: 1000,
    gid: 65_535,
    nlink: 2,
    mtimeMs: 1_500_000_000_000,
  });
  const marks =
    'print(os.getxattr(at("bin/tool"), "user.note"), os.getxattr(at("replaced"), "trusted.overlay.opaque"))';
  expect(python(marks, tree)).toBe("b'kept' b'y'");
  expect([lstatSync(join(tree, "bin/gone")).isCharacterDevice(), lstatSync(join(tree, "bin/gone")).rdev]).toEqual([
    true,
    0,
  ]);
});

test("the same tree is the same archive", async () => {
  fill();
  const [one, two] = [await pack("layer"), await pack("layer")];
  expect(execFileSync("cmp", [one.file, two.file]).toString()).toBe("");
});

test("a root: what the container saw over its image, without what it deleted or hid", async () => {
  fill();
  const layer = join(directory, "layer");
  for (const name of ["", "bin", "replaced", "etc"]) mkdirSync(join(layer, name));
  for (const name of ["bin/gone", "bin/stays", "replaced/hidden", "etc/motd"]) writeFileSync(join(layer, name), name);
  chownSync(join(layer, "etc/motd"), 7, 8);
  const { lines } = await pack("root", { layers: [layer] });
  const names = lines.map((line) => line.split(" ").slice(1).join(" "));
  expect(names).toEqual([
    "0/0 0 bin/",
    "0/0 9 bin/stays",
    "0/0 0 bin/sub/",
    "1000/65535 7 bin/sub/same",
    "1000/65535 0 bin/tool link to bin/sub/same",
    "0/0 0 bin/way -> /nowhere/outside",
    "0/0 0 etc/",
    "7/8 8 etc/motd",
    "0/0 0 pipe",
    "0/0 0 replaced/",
  ]);
});

test("names that are no text, and long ones, come back as they were", async () => {
  const odd = Buffer.concat([Buffer.from(`${upper}/`), Buffer.from([0xff, 0x0a, 0x20, 0x5c])]);
  writeFileSync(odd, "odd");
  const long = join(upper, "d".repeat(200), "e".repeat(200));
  mkdirSync(long, { recursive: true });
  writeFileSync(join(long, "ä".repeat(100)), "long");
  const { file } = await pack("layer");
  const tree = join(directory, "odd");
  mkdirSync(tree);
  execFileSync("tar", ["-xf", file, "-C", tree]);
  const left = execFileSync("diff", ["-r", upper, tree]).toString();
  expect(left).toBe("");
  expect(readdirSync(tree, { encoding: "buffer" }).map((name) => name.toString("latin1"))).toContain("\xff\n \\");
});

test("more than it may have, a name that means something in a layer, and a reader who leaves: each ends, and says so", async () => {
  writeFileSync(join(upper, "large"), "");
  truncateSync(join(upper, "large"), 2 ** 24);
  await expect(pack("layer", { mostBytes: 2 ** 20 })).rejects.toThrow("large: the archive has more than 1048576 bytes");
  const tree = openSync(upper, "r");
  try {
    for await (const piece of packTree({ kind: "layer", tree, idBase: BASE, mostBytes: 2 ** 30 })) {
      expect(piece.length).toBeGreaterThan(0);
      break;
    }
    const stop = new AbortController();
    const pieces = packTree({ kind: "layer", tree, idBase: BASE, mostBytes: 2 ** 30, signal: stop.signal });
    await pieces.next();
    stop.abort(new Error("it was cancelled"));
    await expect(
      (async () => {
        while ((await pieces.next()).done !== true);
      })(),
    ).rejects.toThrow("it was cancelled");
    await syncTree(tree);
  } finally {
    closeSync(tree);
  }
  writeFileSync(join(upper, ".wh.trick"), "");
  await expect(pack("layer")).rejects.toThrow(".wh.trick: in a layer, a name that begins with .wh. deletes");
  expect((await pack("plain")).lines.map((line) => line.split(" ").at(-1))).toEqual(["./", ".wh.trick", "large"]);
});
