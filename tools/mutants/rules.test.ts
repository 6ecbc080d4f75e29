/** The page about the security rules names tests and files: all of them exist. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { mutants, testPathOf } from "./mutants.ts";
import { missingTests } from "../docs/named-tests.ts";
import { accepted } from "../../packages/native/test/security/accepted.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const page = readFileSync(join(root, "docs/explanation/security-rules.md"), "utf8");

interface Row {
  readonly rule: number;
  readonly how: string;
  readonly tests: string;
}

const rows: readonly Row[] = [...page.matchAll(/^\| (\d+) \| [^|]+ \| ([^|]+) \| ([^|]*)\|$/gm)].map(
  ([, rule, how = "", tests = ""]) => ({ rule: Number(rule), how, tests }),
);
const isNotYet = ({ how }: Row): boolean => how.startsWith("not applicable yet: ");

test("there are 42 rules, in order", () => {
  expect(rows.map(({ rule }) => rule)).toEqual(Array.from({ length: 42 }, (_, at) => at + 1));
});

describe.each(rows)("rule $rule", (row) => {
  test("names tests that exist, or says what it waits for", () => {
    if (isNotYet(row)) {
      expect(row.tests.trim()).toBe("");
      return;
    }
    expect(missingTests(row.tests)).toEqual([]);
  });

  test("names sources that exist", () => {
    for (const [, file = ""] of row.how.matchAll(/`((?:src|lib)\/[\w/.-]+)`/g))
      expect(existsSync(join(root, "packages/native", file)), file).toBe(true);
  });
});

test("every mutant belongs to a rule whose row names its test", () => {
  for (const mutant of mutants) {
    const { rule, test: name } = mutant;
    const row = rows.find((one) => one.rule === rule);
    const path = testPathOf(mutant);
    expect(row?.tests, `rule ${rule}`).toContain(path.slice("packages/".length));
    expect(readFileSync(join(root, path), "utf8").includes(name), `rule ${rule}: ${name}`).toBe(true);
  }
});

test("for every rule there is a mutant: a test fails when it is removed", () => {
  const rules = new Set(mutants.map(({ rule }) => rule));
  expect(rows.map(({ rule }) => rule).filter((rule) => !rules.has(rule))).toEqual([]);
});

test("what the probe may find is on the page", () => {
  for (const { detail } of accepted) {
    const names = detail.source.replace(/^\^\\\/proc\\\/\((.*)\)\$$/, "$1").split("|");
    expect(names.length).toBeGreaterThan(1);
    for (const name of names.filter((one) => one !== "version_signature"))
      expect(page, name).toContain(`\`${name.replaceAll("\\", "")}\``);
  }
});
