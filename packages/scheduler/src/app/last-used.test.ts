/** What is known of the uses of tokens, and how seldom that is written. */
import { expect, test } from "vitest";
import { createLastUsed, type LastUses } from "./last-used.ts";

test("is known at once, written once a minute at most and at the end, and forgotten with the token", async () => {
  let nowMs = 1_000;
  const written: LastUses[] = [];
  const lastUsed = createLastUsed({
    known: { old: 5, gone: 6 },
    write: async (uses) => void written.push(uses),
    clock: { nowMs: () => nowMs, monotonicMs: () => nowMs },
  });
  const keep = (now?: "now") => lastUsed.keep((id) => id !== "gone", now);
  expect([lastUsed.of("old"), lastUsed.of("ann")]).toEqual([5, null]);
  await keep("now");
  expect(written).toEqual([]);
  lastUsed.used("ann");
  await keep();
  expect(written).toEqual([{ old: 5, ann: 1_000 }]);
  for (nowMs = 2_000; nowMs < 61_000; nowMs += 1_000) {
    lastUsed.used("ann");
    await keep();
  }
  expect(written).toHaveLength(1);
  nowMs = 61_000;
  await keep();
  expect(written[1]).toEqual({ old: 5, ann: 60_000 });
  lastUsed.used("old");
  await keep("now");
  expect(written[2]).toEqual({ old: 61_000, ann: 60_000 });
});

test("what could not be written is written the next time, although nothing was used since", async () => {
  let isFull = true;
  const written: LastUses[] = [];
  const lastUsed = createLastUsed({
    known: {},
    write: async (uses) => {
      if (isFull) throw new Error("ENOSPC");
      written.push(uses);
    },
    clock: { nowMs: () => 7, monotonicMs: () => 7 },
  });
  lastUsed.used("ann");
  await expect(lastUsed.keep(() => true, "now")).rejects.toThrow("ENOSPC");
  isFull = false;
  await lastUsed.keep(() => true, "now");
  expect(written).toEqual([{ ann: 7 }]);
});
