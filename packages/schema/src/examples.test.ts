import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { parseJobDocument } from "./job-parse.ts";

const root = new URL("../../../", import.meta.url);
const folder = new URL("examples/", root);
const files = readdirSync(folder).filter((name) => /\.(ya?ml|json)$/.test(name));

test("there are examples", () => {
  expect(files).toEqual(expect.arrayContaining(["hello.yaml", "checksums.yaml", "service.yaml"]));
});

test.each(files)("%s is a job document that can be run", (name) => {
  const parsed = parseJobDocument(parse(readFileSync(new URL(name, folder), "utf8")));
  expect(parsed).toMatchObject({ ok: true });
});

const pages = [
  "README.md",
  ...readdirSync(new URL("docs/", root), { recursive: true, encoding: "utf8" }).map((name) => `docs/${name}`),
].filter((name) => name.endsWith(".md"));

test.each(pages)("the job documents on %s can be run", (name) => {
  const blocks = [...readFileSync(new URL(name, root), "utf8").matchAll(/^```yaml\n([\s\S]*?)^```/gm)];
  for (const [, text = ""] of blocks.filter(([, body = ""]) => /^kind:/m.test(body))) {
    expect(parseJobDocument(parse(text))).toMatchObject({ ok: true });
  }
});
