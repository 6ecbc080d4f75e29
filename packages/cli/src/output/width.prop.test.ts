import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { cut, pad, widthOf } from "./width.ts";

describe("widths in a terminal", () => {
  test.each([
    ["", 0],
    ["abc", 3],
    ["é", 1],
    ["e\u0301", 1],
    ["日本", 4],
    ["👩‍👩‍👧", 2],
  ])("%j takes %i cells", (text, width) => {
    expect(widthOf(text)).toBe(width);
  });

  test("a text that is cut fits, begins like the original, and says that it was cut", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), fc.integer({ min: 1, max: 40 }), (text, width) => {
        const short = cut(text, width);
        expect(widthOf(short)).toBeLessThanOrEqual(width);
        if (short !== text) {
          expect(short.endsWith("…")).toBe(true);
          expect(text.startsWith(short.slice(0, -1))).toBe(true);
        }
      }),
    );
  });

  test("a padded text is as wide as asked, or as it is", () => {
    fc.assert(
      fc.property(
        fc.string({ unit: "grapheme" }),
        fc.integer({ min: 0, max: 40 }),
        fc.constantFrom("left", "right"),
        (text, width, align) => {
          expect(widthOf(pad(text, width, align))).toBe(Math.max(width, widthOf(text)));
        },
      ),
    );
  });
});
