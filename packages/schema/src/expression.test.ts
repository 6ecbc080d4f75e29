import * as fc from "fast-check";
import { expect, it } from "vitest";
import { holds, parseExpression, type Value } from "./expression.ts";

const host: Readonly<Record<string, Value>> = {
  "host.arch": "x64",
  "host.cpuCount": 8,
  "host.labels.gen": "4",
  "host.labels.rack": "r1",
};

const isTrue = (source: string): boolean => {
  const parsed = parseExpression(source);
  if (!parsed.ok) throw new Error(parsed.error);
  return holds(parsed.value, (path) => host[path]);
};

it.each([
  ['host.arch == "x64"', true],
  ["host.arch != 'x64'", false],
  ["host.labels.gen >= 4 && host.cpuCount < 9", true],
  ["host.labels.gen == 4", true],
  ["host.labels.gen > 10", false],
  ["host.labels.absent == 'a'", false],
  ["host.labels.absent != 'a'", true],
  ["host.labels.rack > 3", false],
  ["has(host.labels.rack) && !has(host.labels.absent)", true],
  ['host.labels.rack in ["r1", "r2"]', true],
  ["host.cpuCount in [2, 4]", false],
  ["host.arch == 'arm64' || (host.labels.gen >= 3 && !(host.cpuCount == 4))", true],
  ["true && !false", true],
])("%s is %s", (source, expected) => {
  expect(isTrue(source)).toBe(expected);
});

it.each([
  ["host.arhc == 'x64'", 1],
  ["host.arch == 4", 14],
  ["host.arch < 'y'", 11],
  ["host.arch == 'x64", 14],
  ["host.arch", 1],
  ["host.arch == 'x64' host.os == 'linux'", 20],
  ["host.labels.gen >=", 19],
  ["(host.arch == 'x64'", 20],
  ["host.arch = 'x64'", 11],
  ["host.cpuCount in ['a']", 19],
  ["toString == 'x'", 1],
  ["", 1],
  [`${"!".repeat(40)}true`, 34],
])("an error in %s points at column %i", (source, column) => {
  const parsed = parseExpression(source);
  expect(parsed.ok ? "it parsed" : parsed.error).toMatch(new RegExp(`^column ${column}: `));
});

it("never throws, whatever is written", () => {
  const piece = fc.constantFrom(
    "host.arch",
    "==",
    "<",
    "'a'",
    "1",
    "(",
    ")",
    "!",
    "&&",
    "||",
    "in",
    "[",
    "]",
    ",",
    "has",
    " ",
    "§",
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
      const parsed = parseExpression(pieces.join(" "));
      if (parsed.ok) expect(typeof holds(parsed.value, (path) => host[path])).toBe("boolean");
      else expect(parsed.error).toMatch(/^column \d+: /);
    }),
  );
});

it("names a character that means nothing as a whole", () => {
  expect(parseExpression("😀 == 3")).toEqual({ ok: false, error: 'column 1: "😀" means nothing here' });
});
