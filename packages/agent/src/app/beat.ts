/** What is done again and again, as often as the scheduler says in its welcome. */
import type { Clock } from "../ports/clock.ts";

export interface Beat {
  /** Now, and every `everyMs` from now on. */
  readonly beat: (everyMs: number) => void;
  /** Now, if it beats at all, and as often as before from now on. */
  readonly now: () => void;
  readonly close: () => void;
}

const LEAST_MS = 100;

export const createBeat = (getClock: () => Clock, onBeat: () => void): Beat => {
  let everyMs = 0;
  let cancel: () => void = () => undefined;
  const tick = (): void => {
    cancel = getClock().after(everyMs, tick);
    onBeat();
  };
  return {
    beat: (ms) => {
      everyMs = Math.max(LEAST_MS, ms);
      cancel();
      tick();
    },
    now: () => {
      if (everyMs === 0) return;
      cancel();
      tick();
    },
    close: () => {
      everyMs = 0;
      cancel();
    },
  };
};
