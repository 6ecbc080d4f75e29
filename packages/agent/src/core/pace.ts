/**
 * No more than so many bytes a second, all askers together, with a second's worth saved up. Pure: time is a parameter.
 * Says how long to wait before the next bytes may come; the caller waits.
 */
export class Pace {
  #dueMs = 0;

  /** `bytes` have come at `nowMs`. Milliseconds until more may. */
  take(bytes: number, bytesPerSecond: number, nowMs: number): number {
    /* What was not used is saved up for one second at most. */
    this.#dueMs = Math.max(this.#dueMs, nowMs - 1000) + (bytes * 1000) / bytesPerSecond;
    return Math.max(0, this.#dueMs - nowMs);
  }
}
