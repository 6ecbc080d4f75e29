/** docs/reference/container-parts.md names, for each part of a container, tests that exist. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { missingTests, rowsOf } from "./named-tests.ts";

const page = readFileSync(new URL("../../docs/reference/container-parts.md", import.meta.url), "utf8");
const rows = rowsOf(page).filter(([part]) => part !== "part");

test("the page has its rows", () => {
  expect(rows.length).toBeGreaterThan(25);
});

describe.each(rows)("%s", (_part, asked, tests) => {
  test("names a field and tests that exist", () => {
    expect(asked).not.toBe("");
    expect(missingTests(tests ?? "")).toEqual([]);
  });
});

test("what is not there is found", () => {
  expect(missingTests("nothing at all")).toHaveLength(1);
  expect(missingTests('`native/test/exit.test.ts`: "no such name"')).toEqual([
    "native/test/exit.test.ts: no such name",
  ]);
  expect(missingTests('`native/test/none.test.ts`: "x"')).toEqual(["native/test/none.test.ts"]);
});
