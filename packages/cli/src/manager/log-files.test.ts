import { closeSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { logSize, openLog, readTail, tailOf } from "./log-files.ts";

describe("the end of a log, for a person", () => {
  test("is the warnings and errors, in words", () => {
    const log = [
      '{"level":30,"time":1,"msg":"starting"}',
      '{"level":50,"time":2,"msg":"cannot listen","err":{"message":"EADDRINUSE 127.0.0.1:8640","stack":"…"}}',
      '{"level":40,"event":"line.connect_failed"}',
      "",
    ].join("\n");
    expect(tailOf(log, 5)).toEqual(["cannot listen: EADDRINUSE 127.0.0.1:8640", "line.connect_failed"]);
  });

  test("is what there is when nothing is grave", () => {
    expect(tailOf('{"level":30,"msg":"a"}\n{"level":"info","msg":"b"}\n', 1)).toEqual(["b"]);
  });

  test("holds lines that are not JSON, harmless", () => {
    expect(tailOf("berth-agent: no \u001b[31msuch\u001b[0m file\n[1,2]\nnull\n", 5)).toEqual([
      "berth-agent: no ␛[31msuch␛[0m file",
      "[1,2]",
      "null",
    ]);
  });
});

describe("a log file", () => {
  let directory: string;
  beforeEach(() => (directory = mkdtempSync(join(tmpdir(), "berth-log-"))));
  afterEach(() => rmSync(directory, { recursive: true }));

  test("that is small is continued; a start reads only its own part", () => {
    const path = join(directory, "x.log");
    writeFileSync(path, "of an earlier start\n");
    const fd = openLog(path);
    const offset = logSize(fd);
    writeFileSync(fd, "of this one\n");
    closeSync(fd);
    expect(readTail(path, offset, 5)).toEqual(["of this one"]);
    expect(readFileSync(path, "utf8")).toBe("of an earlier start\nof this one\n");
  });

  test("that has grown is put aside, and replaces the one before", () => {
    const path = join(directory, "x.log");
    writeFileSync(`${path}.1`, "oldest");
    writeFileSync(path, "old");
    truncateSync(path, 9 * 2 ** 20);
    const fd = openLog(path);
    expect(logSize(fd)).toBe(0);
    closeSync(fd);
    expect(readFileSync(`${path}.1`, "utf8").slice(0, 3)).toBe("old");
    expect(readFileSync(`${path}.1`)).toHaveLength(9 * 2 ** 20);
  });

  test("that is not there has no end", () => {
    expect(readTail(join(directory, "none.log"), 0, 5)).toEqual([]);
  });
});
