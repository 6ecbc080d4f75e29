import { describe, expect, test } from "vitest";
import * as checks from "./checks.ts";

const files = (tree: Readonly<Record<string, string>>): checks.Files => new Map(Object.entries(tree));

describe("corePurity", () => {
  const core = (text: string) => checks.corePurity(files({ "packages/x/src/core/a.ts": text }));

  test.each([
    ["Date.now()", "export const a = () => Date.now();"],
    ["Math.random()", "export const a = Math.random();"],
    ["the process", "export const a = process.pid;"],
    ["a timer", "setTimeout(() => 1, 1);"],
    ["a node module", 'import { readFileSync } from "node:fs";'],
    ["a library", 'import { connect } from "nats";'],
    ["an outer layer", 'import { x } from "../adapters/x.ts";'],
  ])("%s is found", (_what, text) => expect(core(text)).toHaveLength(1));

  test("a comment that speaks of them is not", () => {
    expect(core("/** Never calls Date.now(). */\n// nor Math.random()\nexport const a = 1;")).toEqual([]);
  });

  test("itself and the schema are allowed", () => {
    expect(core('import { b } from "./b.ts";\nimport type { HostId } from "@berth/schema";')).toEqual([]);
    const nested = files({ "packages/x/src/core/score/a.ts": 'import { b } from "../b.ts";' });
    expect(checks.corePurity(nested)).toEqual([]);
  });

  test("tests of the core and other folders may do as they like", () => {
    expect(
      checks.corePurity(
        files({ "packages/x/src/core/a.test.ts": "Date.now()", "packages/x/src/app/a.ts": "Date.now()" }),
      ),
    ).toEqual([]);
  });
});

test("bundledTypebox: the schema asks for the bundle, and its tests may ask for what they like", () => {
  const schema = (path: string, name: string) =>
    checks.bundledTypebox(files({ [`packages/schema/src/${path}`]: `import Type from "${name}";` }));
  expect(schema("a.ts", "typebox")).toHaveLength(1);
  expect(schema("a.ts", "typebox/value")).toHaveLength(1);
  expect(schema("a.ts", "#typebox")).toEqual([]);
  expect(schema("a.test.ts", "typebox")).toEqual([]);
});

describe("orphans", () => {
  test("what is imported, included, built or started is none", () => {
    const tree = files({
      "packages/x/src/index.ts": 'export * from "./a.ts";\nconst w = new URL("./worker.ts", import.meta.url);',
      "packages/x/src/a.ts": "",
      "packages/x/src/worker.ts": "",
      "packages/x/src/a.test.ts": "",
      "packages/n/binding.gyp": "'sources': ['src/b.cc']",
      "packages/n/src/b.cc": '#include "b.h"',
      "packages/n/src/b.h": "",
      "packages/w/index.html": '<script src="/src/app.tsx">',
      "packages/w/src/app.tsx": 'import "./app.css";',
      "packages/w/src/app.css": "",
      "scripts/start.mjs": "",
    });
    expect(checks.orphans(tree)).toEqual([]);
  });

  test("a file that only its own test knows counts as used; one that nobody knows does not", () => {
    const tree = files({
      "packages/x/src/a.ts": "",
      "packages/x/src/b.ts": "",
      "packages/x/src/b.test.ts": 'import "./b.ts"',
    });
    expect(checks.orphans(tree)).toEqual(["packages/x/src/a.ts: nothing imports it; delete it or use it"]);
  });
});

test("todos need an issue", () => {
  const tree = files({ "a.ts": "// TODO later\n// TODO(#12) later\n// FIXME", "b.md": "TODO" });
  expect(checks.todos(tree).map((line) => line.split(": ")[0])).toEqual(["a.ts:1", "a.ts:3"]);
});

test("long files are named with their length, generated ones are left alone", () => {
  const long = "x\n".repeat(401);
  const tree = files({ "a.ts": long, "a.test.ts": long, "b.gen.ts": long, "c.ts": "x\n".repeat(400) });
  expect(checks.lengths(tree)).toEqual(["a.ts: 401 lines, more than 400; it wants to be a folder"]);
});

test("modules start with a comment", () => {
  const tree = files({
    "packages/x/src/a.ts": "/** Decides. */\nexport {};",
    "packages/x/src/b.ts": "export {};",
    "packages/x/src/b.test.ts": "",
    "packages/x/src/c.c": "/* Mounts. */",
    "packages/x/src/d.c": '#include "d.h"',
    "packages/x/src/d.h": "/* Mounts. */",
  });
  expect(checks.headers(tree)).toEqual([
    "packages/x/src/b.ts: the module does not say what it is: start it with a comment",
  ]);
});

test("registries and private places are found, ordinary paths are not", () => {
  const bad = [
    "https://registry.example.org/x",
    "from registry.example.com",
    "  tarball: https://x/y.tgz",
    'cd "/home/me/x"',
    "see /work/a/x",
  ];
  for (const text of bad) expect(checks.places(files({ "a.yaml": text }))).toHaveLength(1);
  for (const text of ["workdir: /work", "/homework/x", "/work/x", "/root"]) {
    expect(checks.places(files({ "a.yaml": text }))).toEqual([]);
  }
});

test("left-overs of debugging", () => {
  expect(
    checks.leftovers(files({ "a.test.ts": "test.only('x')", "b.ts": "debugger;", "c.ts": "// debugger;" })),
  ).toHaveLength(2);
});

describe("pages", () => {
  test("have one title, first", () => {
    const tree = files({
      "good.md": "# A\n\n```sh\n# comment\n```\n",
      "none.md": "A\n",
      "two.md": "# A\n# B\n",
      "late.md": "x\n# A\n",
    });
    expect(checks.titles(tree).map((line) => line.split(":")[0])).toEqual(["none.md", "two.md", "late.md"]);
  });

  test("have links that lead somewhere", () => {
    const tree = files({
      "docs/a.md": "# A\n[b](b.md) [c](../c.md#a-b-c) [web](https://x.invalid) [here](#a) [dir](sub)\n`[no](none.md)`",
      "docs/b.md": "# B",
      "c.md": "# C\n## A `b` (c)\n",
      "docs/sub/x.txt": "",
      "bad.md": "# Bad\n[x](nowhere.md) [y](c.md#nothing)\n```\n[z](never.md)\n```",
    });
    expect(checks.links(tree)).toEqual([
      "docs/a.md: link to none.md, which does not exist",
      "bad.md: link to nowhere.md, which does not exist",
      "bad.md: c.md has no heading #nothing",
    ]);
  });

  test("document every name", () => {
    const check = checks.documented("m.md", "the metric", checks.metricNames);
    const tree = { "packages/x/src/m.ts": '"berth_a_total", "berth_b"', "m.md": "`berth_a_total`" };
    expect(check(files(tree))).toEqual(["m.md: the metric `berth_b` is not documented"]);
  });
});
