import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { parseJobDocument } from "./job-parse.ts";

const folder = new URL("../../../examples/", import.meta.url);
const files = readdirSync(folder).filter((name) => /\.(ya?ml|json)$/.test(name));

test("there are examples", () => {
  expect(files).toEqual(expect.arrayContaining(["hello.yaml", "checksums.yaml", "service.yaml"]));
});

test.each(files)("%s is a job document that can be run", (name) => {
  const parsed = parseJobDocument(parse(readFileSync(new URL(name, folder), "utf8")));
  expect(parsed).toMatchObject({ ok: true });
});
