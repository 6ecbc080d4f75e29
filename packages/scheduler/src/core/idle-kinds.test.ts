import { expect, it } from "vitest";
import type { HostId } from "@berth/schema";
import { createHostTable } from "./host-table.ts";
import { createIdleKinds } from "./idle-kinds.ts";
import { BASE, padded, STRIDE } from "./vector.ts";

/** Six hosts alike, but for a little memory, and one of another model. */
const cell = () => {
  const table = createHostTable(STRIDE, 3);
  const kinds = createIdleKinds(table);
  const guards = new Map<number, number>();
  const note = (slot: number, isIdle: boolean): void =>
    kinds.note(slot, isIdle, (which, guard) => void guards.set(which, guard));
  for (let at = 0; at < 7; at += 1) {
    const slot = table.slotOf(`h${at}` as HostId);
    table.setHost(
      slot,
      padded([1000, 1_000_000 - 317 * at, 100]),
      true,
      new Int32Array(STRIDE - BASE).fill(at === 6 ? 2 : 1),
    );
    note(slot, true);
  }
  return { note, guardOf: (slot: number) => guards.get(slot) ?? 0 };
};

it("guards the last few idle hosts of each kind, the last one most", () => {
  const { guardOf, note } = cell();
  const all = () => [0, 1, 2, 3, 4, 5].map(guardOf);
  expect(guardOf(6)).toBe(1);
  expect(all()).toEqual([0, 0, 0, 0, 0, 0]);
  note(0, false);
  expect(all()).toEqual([0, 0, 0, 0, 0, 0]);
  note(3, false);
  expect(all()).toEqual([0, 0.25, 0.25, 0, 0.25, 0.25]);
  for (const slot of [1, 2, 4]) note(slot, false);
  expect(all()).toEqual([0, 0, 0, 0, 0, 1]);
  // Twice the same is no news.
  note(5, true);
  expect(all()).toEqual([0, 0, 0, 0, 0, 1]);
  note(0, true);
  expect(all()).toEqual([0.5, 0, 0, 0, 0, 0.5]);
  for (const slot of [1, 2, 3]) note(slot, true);
  expect(all()).toEqual([0, 0, 0, 0, 0, 0]);
  expect(guardOf(6)).toBe(1);
});
