/** The real clock. */
import { randomBytes } from "node:crypto";
import type { Clock } from "../ports/clock.ts";

/** The longest delay a timer of Node takes; longer ones fire at once. */
const LONGEST_MS = 2 ** 31 - 1;

export const systemClock = (): Clock => ({
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  after: (delayMs, run) => {
    const timer = setTimeout(run, Math.min(LONGEST_MS, Math.max(0, delayMs)));
    timer.unref();
    return () => clearTimeout(timer);
  },
  randomBytes: (count) => randomBytes(count),
});
