/** The real clock. */
import { uptime } from "node:os";
import { performance } from "node:perf_hooks";
import type { Clock } from "../ports/clock.ts";

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  boottimeMs: () => uptime() * 1000,
  after: (delayMs, run) => {
    // setTimeout takes 31 bits and fires at once beyond them.
    const timer = setTimeout(run, Math.min(Math.max(0, delayMs), 0x7fff_ffff));
    return () => clearTimeout(timer);
  },
  random: () => Math.random(),
};
