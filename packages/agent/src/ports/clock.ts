/**
 * Time and chance as parameters. `nowMs` is for people and for records; every wait and every timeout is judged by
 * `monotonicMs`, which no operator and no NTP daemon can set.
 */
export interface Clock {
  readonly nowMs: () => number;
  readonly monotonicMs: () => number;
  /** Goes on while the machine sleeps (CLOCK_BOOTTIME): for what others count on meanwhile. */
  readonly boottimeMs: () => number;
  /** Calls `run` once after `delayMs`; the returned function cancels it. */
  readonly after: (delayMs: number, run: () => void) => () => void;
  /** In [0, 1). */
  readonly random: () => number;
}
