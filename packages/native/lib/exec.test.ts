/** A request to execute meets supervisors of every level since there was one: each gets a spec of the version it reads. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { encodeExec } from "./exec.ts";

const defined = (file: string, name: string): number => {
  const text = readFileSync(new URL(`../include/${file}`, import.meta.url), "utf8");
  const found = new RegExp(`^#define ${name} (\\d+)u$`, "m").exec(text)?.[1];
  if (found === undefined) throw new Error(`${file} has no ${name}`);
  return Number(found);
};
const versionFor = (level?: number): number => {
  const encoded = encodeExec({ command: ["true"], env: { A: "b" } }, level);
  if (!encoded.ok) throw new Error(encoded.error.detail);
  return Buffer.from(encoded.value).readUInt32LE(4);
};

test("a supervisor gets the version of its level; one of today, of tomorrow or of no known level that of today", () => {
  const current = defined("control.h", "BERTH_CONTROL_LEVEL");
  const versions = Array.from({ length: current - 1 }, (_, at) => versionFor(at + 2));
  /* A new version of the spec is a new level: the former one keeps its version. */
  expect(versions).toEqual([2, 2, 3, 4, 4]);
  expect(versions.at(-1)).toBe(defined("spec.h", "BERTH_SPEC_VERSION"));
  expect([versionFor(), versionFor(current + 1)]).toEqual([versions.at(-1), versions.at(-1)]);
});
