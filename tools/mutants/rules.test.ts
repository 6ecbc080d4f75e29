/** The page about the security rules names tests and files: all of them exist. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { mutants } from "./mutants.ts";
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
    const groups = [...row.tests.matchAll(/`([\w/.-]+\.test\.ts)`: ((?:"[^"]+"(?:, )?)+)/g)];
    expect(groups.length, row.tests).toBeGreaterThan(0);
    for (const [, file = "", names = ""] of groups) {
      const path = join(root, "packages", file);
      expect(existsSync(path), file).toBe(true);
      const text = readFileSync(path, "utf8");
      for (const [, name = ""] of names.matchAll(/"([^"]+)"/g))
        expect(text.includes(name), `${file}: ${name}`).toBe(true);
    }
  });

  test("names sources that exist", () => {
    for (const [, file = ""] of row.how.matchAll(/`((?:src|lib)\/[\w/.-]+)`/g))
      expect(existsSync(join(root, "packages/native", file)), file).toBe(true);
  });
});

test("every mutant belongs to a rule whose row names its test", () => {
  for (const { rule, file, test: name } of mutants) {
    const row = rows.find((one) => one.rule === rule);
    expect(row?.tests, `rule ${rule}`).toContain(`native/test/${file}`);
    expect(readFileSync(join(root, "packages/native/test", file), "utf8").includes(name), `rule ${rule}: ${name}`).toBe(
      true,
    );
  }
});

test("what the probe may find is on the page", () => {
  for (const { detail } of accepted) {
    const names = detail.source.replace(/^\^\\\/proc\\\/\((.*)\)\$$/, "$1").split("|");
    expect(names.length).toBeGreaterThan(1);
    for (const name of names.filter((one) => one !== "version_signature"))
      expect(page, name).toContain(`\`${name.replaceAll("\\", "")}\``);
  }
});
