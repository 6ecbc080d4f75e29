import { expect, test } from "vitest";
import { taskOfBoth, volumeNameOf } from "./volume.ts";

test("two names are one volume for a task exactly when trying all of them finds one", () => {
  const parts = ["", "1", "0", "a", "11", "x-1"];
  const names = parts.flatMap((head) =>
    parts.flatMap((tail) => [head + tail, `${head}\${INDEX}${tail}`, `\${INDEX}${head}\${INDEX}${tail}`]),
  );
  const wrong: string[] = [];
  let clashes = 0;
  for (const count of [1, 13]) {
    const indexes = Array.from({ length: count }, (_, index) => index);
    const expanded = names.map((name) => indexes.map((index) => volumeNameOf(name, index)));
    for (const [first, one] of names.entries()) {
      for (const [second, other] of names.entries()) {
        const isBoth = (index: number) => expanded[first]?.[index] === expanded[second]?.[index];
        const told = taskOfBoth(one, other, count);
        const isRight = told === undefined ? !indexes.some(isBoth) : told < count && isBoth(told);
        if (!isRight) wrong.push(`${one} and ${other} of ${count}: ${told}`);
        if (told !== undefined && one !== other) clashes += 1;
      }
    }
  }
  expect(wrong).toEqual([]);
  expect(clashes).toBeGreaterThan(100);
});
