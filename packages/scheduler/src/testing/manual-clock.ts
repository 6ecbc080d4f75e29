/** A clock that a test moves by hand. Timers fire in order of their time. */
import type { Clock } from "../ports/clock.ts";

export interface ManualClock extends Clock {
  readonly advance: (ms: number) => void;
}

export const manualClock = (): ManualClock => {
  let now = 1_000;
  let timers: { readonly atMs: number; readonly run: () => void }[] = [];
  return {
    nowMs: () => 1_700_000_000_000 + now,
    monotonicMs: () => now,
    randomBytes: (count) => new Uint8Array(count),
    after: (delayMs, run) => {
      const timer = { atMs: now + delayMs, run };
      timers.push(timer);
      return () => {
        timers = timers.filter((other) => other !== timer);
      };
    },
    advance: (ms) => {
      const until = now + ms;
      for (;;) {
        const next = timers.filter((timer) => timer.atMs <= until).sort((a, b) => a.atMs - b.atMs)[0];
        if (next === undefined) break;
        timers = timers.filter((timer) => timer !== next);
        now = Math.max(now, next.atMs);
        next.run();
      }
      now = until;
    },
  };
};
