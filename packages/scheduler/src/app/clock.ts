/** The real clock. */
import { randomBytes } from "node:crypto";
import type { Clock } from "../ports/clock.ts";

/** The longest delay a timer of Node takes; longer ones fire at once. */
const LONGEST_MS = 2 ** 31 - 1;

/** What is asked for in small pieces, an id for every placement, is drawn in large ones. Longer pieces may be secrets. */
const SMALL_BYTES = 10;
const DRAWN_BYTES = 4_096;

const createDraw = (): ((count: number) => Uint8Array) => {
  let drawn = new Uint8Array(0);
  return (count) => {
    if (count > SMALL_BYTES) return randomBytes(count);
    if (drawn.length < count) drawn = randomBytes(DRAWN_BYTES);
    const piece = drawn.subarray(0, count);
    drawn = drawn.subarray(count);
    return piece;
  };
};

export const systemClock = (): Clock => ({
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  after: (delayMs, run) => {
    const timer = setTimeout(run, Math.min(LONGEST_MS, Math.max(0, delayMs)));
    timer.unref();
    return () => clearTimeout(timer);
  },
  randomBytes: createDraw(),
});
