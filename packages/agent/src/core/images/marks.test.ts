import { expect, test } from "vitest";
import { DEFAULT_MARKS, excessOf, parseMarks, removable } from "./marks.ts";

const GIB = 2 ** 30;

test("marks are shares or sizes, both alike, the low one below the high one", () => {
  expect(parseMarks(undefined, undefined)).toEqual({ ok: true, value: DEFAULT_MARKS });
  expect(parseMarks("90%", "70%")).toEqual({ ok: true, value: { unit: "percent", high: 90, low: 70 } });
  expect(parseMarks("40Gi", "30Gi")).toEqual({ ok: true, value: { unit: "bytes", high: 40 * GIB, low: 30 * GIB } });
  expect(parseMarks("50%", undefined)).toEqual({ ok: true, value: { unit: "percent", high: 50, low: 40 } });
});

test.each([
  [undefined, "80%", "lowWater means nothing without highWater"],
  ["0%", undefined, "0% leaves no room for anything"],
  ["much", undefined, '"much": write 85% of the disk, or a size like 40Gi'],
  ["90%", "10Gi", "both are shares of the disk, or both are sizes"],
  ["80%", "80%", "lowWater must be below highWater"],
])("high %s, low %s: %s", (high, low, reason) => {
  expect(parseMarks(high, low)).toEqual({ ok: false, error: reason });
});

test("nothing is freed up to the high mark; above it, down to the low one", () => {
  const percent = { unit: "percent", high: 85, low: 80 } as const;
  const fill = (usedBytes: number) => ({ usedBytes, totalBytes: 1000, storeBytes: 0 });
  expect(excessOf(percent, fill(850))).toBe(0);
  expect(excessOf(percent, fill(851))).toBe(51);
  const bytes = { unit: "bytes", high: 100, low: 60 } as const;
  const store = (storeBytes: number) => ({ usedBytes: 999, totalBytes: 1000, storeBytes });
  expect(excessOf(bytes, store(100))).toBe(0);
  expect(excessOf(bytes, store(101))).toBe(41);
});

test("only what nobody uses and what can come again is removed, the longest unused first", () => {
  const image = (name: string, source: "registry" | "import" | "cluster", uses: number, usedAtMs: number) => ({
    ...{ name, source, uses, usedAtMs },
  });
  const chosen = removable([
    image("new", "registry", 0, 9),
    image("used", "registry", 1, 1),
    image("own", "import", 0, 0),
    image("old", "cluster", 0, 2),
    image("b", "registry", 0, 5),
    image("a", "registry", 0, 5),
  ]);
  expect(chosen.map(({ name }) => name)).toEqual(["old", "a", "b", "new"]);
});
