import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { expect, onTestFinished, test } from "vitest";
import { BLOCK, parseHeader, parsePax, plainPath, TAR_END, tarHeader, tarPadding } from "./tar.ts";

test("what we write, tar(1) reads", () => {
  const directory = mkdtempSync(join(tmpdir(), "berth-tar-"));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  const file = join(directory, "made.tar");
  const content = Buffer.from("hello");
  writeFileSync(
    file,
    Buffer.concat([tarHeader("blobs", 0, "directory"), tarHeader("blobs/a", 5), content, tarPadding(5), TAR_END]),
  );
  expect(execFileSync("tar", ["-tf", file], { encoding: "utf8" })).toBe("blobs\nblobs/a\n");
  expect(execFileSync("tar", ["-xOf", file, "blobs/a"], { encoding: "utf8" })).toBe("hello");
});

test("what we write, we read, however large it is", () => {
  for (const size of [0, 1, 0o77777777777, 0o77777777777 + 1, Number.MAX_SAFE_INTEGER]) {
    expect(parseHeader(tarHeader("some/file", size))).toMatchObject({
      value: { path: "some/file", size, type: "file" },
    });
  }
  expect(() => tarHeader("x".repeat(101), 1)).toThrow("too long");
});

test("a header with a wrong checksum or an impossible size is refused", () => {
  const broken = Buffer.from(tarHeader("file", 1));
  broken[0] = 7;
  expect(parseHeader(broken)).toMatchObject({ error: expect.stringContaining("wrong checksum") });
  const huge = Buffer.from(tarHeader("file", 1));
  huge.fill(0xff, 124, 136);
  huge.fill(32, 148, 156);
  const sum = huge.reduce((total, byte) => total + byte, 0);
  huge.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  expect(parseHeader(huge)).toMatchObject({ error: 'the entry "file" has an impossible size' });
});

test("records of a pax header are read by their length, and damage is seen", () => {
  const found = parsePax(Buffer.from("11 path=ab\n18 comment=a=b c\n\n".replace("18", "17").replace("\n\n", "\n")));
  expect(found).toEqual({
    ok: true,
    value: new Map([
      ["path", "ab"],
      ["comment", "a=b c"],
    ]),
  });
  for (const text of ["99 path=ab\n", "x path=ab\n", "10 path=ab\n", "7 =abc\n", "path"]) {
    expect(parsePax(Buffer.from(text)), text).toMatchObject({ error: "an extended header is damaged" });
  }
});

test("no path leads out, and none is absolute", () => {
  expect(plainPath("./a//b/.")).toBe("a/b");
  for (const path of ["/a", "../a", "a/../b", "", ".", "a\0b"]) expect(plainPath(path), path).toBeUndefined();
  fc.assert(
    fc.property(fc.string(), (text) => {
      const path = plainPath(text);
      return (
        path === undefined || (!path.startsWith("/") && !path.split("/").some((part) => [".", "..", ""].includes(part)))
      );
    }),
  );
});

test("any block is a header or a reason, never an exception", () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: BLOCK, maxLength: BLOCK }), (block) => {
      const parsed = parseHeader(block);
      return parsed.ok ? parsed.value.size >= 0 : parsed.error !== "";
    }),
  );
});
