// docs/reference/exit-codes.md promises exit statuses: it must say of every problem code what the code says.
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { Problems } from "@berth/schema";
import { Exit } from "./failure.ts";

const page = readFileSync(new URL("../../../docs/reference/exit-codes.md", import.meta.url), "utf8");
const rows = [...page.matchAll(/^\| `(\d+)` \| ([^|]+) \| ([^|]*) \|$/gm)].map(([, status, , codes]) => ({
  status: Number(status),
  codes: [...(codes ?? "").matchAll(/`([a-z_.]+)`/g)].map(([, code]) => code),
}));

test.each(Object.entries(Problems))("%s is listed under its status", (code, { exit }) => {
  expect(rows.filter((row) => row.codes.includes(code)).map((row) => row.status)).toEqual([exit]);
});

test("every status of the program has a row", () => {
  expect(rows.map((row) => row.status)).toEqual(expect.arrayContaining(Object.values(Exit)));
});

test("no row names a code that does not exist", () => {
  expect(rows.flatMap((row) => row.codes).filter((code) => !Object.hasOwn(Problems, code ?? ""))).toEqual([]);
});
