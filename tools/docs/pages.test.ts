import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { pages } from "./pages.ts";

describe.each([...pages])("docs/reference/%s", (name, render) => {
  test("says what the code says (pnpm docs:reference)", () => {
    expect(readFileSync(new URL(`../../docs/reference/${name}`, import.meta.url), "utf8")).toBe(render());
  });

  test("has one title, and tables whose rows are as wide as their heads", () => {
    const text = render().replace(/^```[\s\S]*?^```/gm, "");
    expect(text.split("\n").filter((line) => line.startsWith("# "))).toHaveLength(1);
    let width: number | undefined;
    for (const line of text.split("\n")) {
      const cells = line.startsWith("|") ? line.split(/(?<!\\)\|/).length : undefined;
      if (cells !== undefined && width !== undefined) expect({ line, cells }).toEqual({ line, cells: width });
      width = cells;
    }
  });
});
