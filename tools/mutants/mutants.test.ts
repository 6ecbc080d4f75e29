import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { mutants, testPathOf } from "./mutants.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const text = (path: string): string => (existsSync(join(root, path)) ? readFileSync(join(root, path), "utf8") : "");

describe.each(mutants)("rule $rule without $without", (mutant) => {
  test.each(mutant.edits)("$file holds what is changed exactly once", ({ file: source, find, replace }) => {
    expect(text(source).split(find).length - 1).toBe(1);
    expect(replace).not.toBe(find);
  });

  test("the test that must notice exists", () => {
    expect(text(testPathOf(mutant))).toContain(mutant.test);
  });
});
