/** Archives of plain files as they come: told by packTree, taken by unpackFiles, whole or not at all. */
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, expect, test } from "vitest";
import { packTree, UNPACK_LIMITS, unpackFiles, type UnpackLimits } from "../../lib/index.ts";
import { tar } from "./tar.ts";

const folder = mkdtempSync(join(tmpdir(), "berth-files-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let count = 0;

const take = async (archive: AsyncIterable<Uint8Array>, limits: Partial<UnpackLimits> = {}, signal?: AbortSignal) => {
  const tree = join(folder, `tree-${(count += 1)}`);
  mkdirSync(tree);
  const fd = openSync(tree, "r");
  try {
    const result = await unpackFiles(archive, fd, { ...UNPACK_LIMITS, ...limits }, signal);
    return { tree, result, refusal: result.ok ? "" : result.error.detail };
  } finally {
    closeSync(fd);
  }
};
async function* inPieces(bytes: Uint8Array, size = 1000): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}
/** Everything that can be seen of a tree, times by the second. */
const told = (tree: string): string =>
  execFileSync(
    "sh",
    [
      "-c",
      "find . -printf '%p %y %m %U:%G %s %l %T@\\n' | sed 's/[.][0-9]*$//' | sort; find . -type f | sort | xargs sha256sum",
    ],
    {
      cwd: tree,
      encoding: "utf8",
    },
  );

test("what is packed is the same tree again, with the owner of the top and names that delete nothing", async () => {
  const from = join(folder, "from");
  mkdirSync(join(from, "deep", "er"), { recursive: true });
  writeFileSync(join(from, "deep", ".wh.kept"), "a name like any");
  writeFileSync(join(from, "deep", ".wh..wh..opq"), "");
  writeFileSync(join(from, "big"), Buffer.alloc(3_000_000, 7));
  execFileSync("sh", ["-c", "ln big same; ln -s ../nowhere soft; mkfifo pipe; chmod 4755 same"], { cwd: from });
  chownSync(from, 999, 998);
  chmodSync(from, 0o2770);
  const fd = openSync(from, "r");
  try {
    const archive = packTree({ kind: "plain", tree: fd, idBase: 0, mostBytes: 2 ** 30 });
    const { result, tree } = await take(archive);
    expect(result).toMatchObject({ ok: true, seal: "" });
    expect(told(tree)).toBe(told(from));
  } finally {
    closeSync(fd);
  }
});

test("compressed ones are taken as well; hostile and oversized ones are refused with the entry's name", async () => {
  const fine = gzipSync(tar([{ name: "a/b", content: "x" }]));
  expect((await take(inPieces(fine))).result).toMatchObject({ ok: true, bytes: 1 });
  const up = await take(
    inPieces(
      tar([
        { name: "fine", content: "x" },
        { name: "../evil", content: "x" },
      ]),
    ),
  );
  expect(up.refusal).toBe("../evil: its name leads upwards");
  const large = await take(inPieces(tar([{ name: "large", content: Buffer.alloc(5000) }])), { bytes: 4999 });
  expect(large.refusal).toBe("large: all files together have more than 4999 bytes");
});

test("whoever takes an archive and refuses it does not wait for the rest of it", async () => {
  async function* endless(): AsyncGenerator<Uint8Array> {
    yield Buffer.concat([tar([{ name: "/etc/passwd", content: "x" }]), Buffer.alloc(2 ** 18)]);
    await new Promise(() => undefined);
  }
  expect((await take(endless())).refusal).toBe("/etc/passwd: its name is absolute");
});

test("one that breaks off between two entries is not taken for a whole one", async () => {
  const whole = tar([{ name: "first", content: "x" }]);
  async function* broken(): AsyncGenerator<Uint8Array> {
    yield whole.subarray(0, 1024);
    throw new Error("the line broke");
  }
  await expect(take(broken())).rejects.toThrow("the line broke");
});

test("one that is not wanted any more is given up at once", async () => {
  const stop = new AbortController();
  async function* slow(): AsyncGenerator<Uint8Array> {
    yield tar([{ name: "first", content: "x" }]).subarray(0, 1024);
    stop.abort();
    await new Promise(() => undefined);
  }
  const { result, tree } = await take(slow(), {}, stop.signal);
  expect(result).toMatchObject({ ok: false, error: { detail: "the unpacking program was killed" } });
  expect(readdirSync(tree).length).toBeLessThanOrEqual(1);
});
