import { expect, test } from "vitest";
import type { JobKey } from "@berth/schema";
import type { Changes } from "../core/index.ts";
import { manualClock } from "../testing/manual-clock.ts";
import { createWaits } from "./waits.ts";

const job = "p/j" as JobKey;
const touching = (...jobs: JobKey[]): Changes =>
  ({
    jobs: new Set(jobs),
    removed: { jobs: new Map(), allocations: new Set(), hosts: new Set() },
  }) as unknown as Changes;
const never = new AbortController().signal;

test("a wait ends at the next change, at its time, or when the caller goes", async () => {
  const clock = manualClock();
  const waits = createWaits(clock);
  waits.folded(touching(job), 5);
  await waits.changed(job, 4, 1_000, never);

  const changed = waits.changed(job, 5, 1_000, never);
  waits.folded(touching("p/other" as JobKey), 6);
  waits.folded(touching(job), 7);
  await changed;
  expect(waits.revisionOf(job)).toBe(7);

  const timed = waits.changed(job, 7, 1_000, never);
  clock.advance(1_000);
  await timed;

  const gone = new AbortController();
  const left = waits.changed(job, 7, 1_000_000, gone.signal);
  gone.abort();
  await left;

  const closing = waits.changed(job, 7, 1_000_000, never);
  waits.close();
  await closing;
});
