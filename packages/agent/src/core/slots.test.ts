import { expect, test } from "vitest";
import { DEFAULT_ID_BASE, DEFAULT_ID_COUNT, idBaseOf, idRange, withoutBuilds } from "./slots.ts";

test("a range of ids is checked", () => {
  expect(idRange(DEFAULT_ID_BASE, DEFAULT_ID_COUNT)).toEqual({ ok: true, value: { base: 0x2000_0000, slots: 4096 } });
  expect(idRange(1_000_000, 131_072 + 5)).toEqual({ ok: true, value: { base: 1_000_000, slots: 2 } });
  for (const [base, count] of [
    [0, 65_536],
    [1000, 65_536],
    [1_000_000, 65_535],
    [4_294_900_000, 65_536 * 4],
    [1.5e6 + 0.5, 65_536],
    [1_000_000, Number.NaN],
  ] as const) {
    expect(idRange(base, count).ok, `${base} ${count}`).toBe(false);
  }
});

test("a build has ids that no container gets, unless there is only one range", () => {
  const { buildBase, containers } = withoutBuilds({ base: 1_000_000, slots: 3 });
  expect(containers).toEqual({ base: 1_000_000, slots: 2 });
  expect(buildBase).toBe(idBaseOf(containers, 2));
  expect(withoutBuilds({ base: 1_000_000, slots: 1 })).toEqual({
    containers: { base: 1_000_000, slots: 1 },
    buildBase: 1_000_000,
  });
});
