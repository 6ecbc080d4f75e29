import fc from "fast-check";
import { expect, test } from "vitest";
import { pageOf } from "./pages.ts";

test("following the pages visits every key once, in order, whatever the order they come in", () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.string({ minLength: 1, maxLength: 8 })),
      fc.integer({ min: 1, max: 7 }),
      (keys, limit) => {
        const seen: string[] = [];
        let cursor: string | undefined;
        for (let pages = 0; pages <= keys.length; pages += 1) {
          const page = pageOf(keys, { limit, cursor });
          if (!page.ok) throw new Error(page.error.detail);
          expect(page.value.keys.length).toBeLessThanOrEqual(limit);
          seen.push(...page.value.keys);
          if (page.value.next === null) break;
          cursor = page.value.next;
        }
        expect(seen).toEqual([...keys].sort((a, b) => (a < b ? -1 : 1)));
      },
    ),
  );
});

test("a cursor that no answer held is refused", () => {
  for (const cursor of ["", "%%%", "a b", "ä"]) {
    expect(pageOf(["a"], { limit: 1, cursor })).toMatchObject({ ok: false, error: { code: "request.invalid" } });
  }
});
