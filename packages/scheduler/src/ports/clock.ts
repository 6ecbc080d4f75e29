/**
 * Time and chance as parameters. `nowMs` is for people and for backoff; everything that judges silence or leadership
 * reads `monotonicMs`, which no operator and no NTP daemon can set back.
 */
export interface Clock {
  readonly nowMs: () => number;
  readonly monotonicMs: () => number;
  /** Calls `run` once after `delayMs`; the returned function cancels it. Never keeps the process alive. */
  readonly after: (delayMs: number, run: () => void) => () => void;
  readonly randomBytes: (count: number) => Uint8Array;
}
