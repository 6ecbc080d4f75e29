/** A clock that stands still until it is told to go on. */
import type { Clock } from "../ports/clock.ts";

export class FakeClock implements Clock {
  #nowMs = 1_000_000;
  #setForwardMs = 0;
  #next = 0;
  readonly #timers = new Map<number, { readonly atMs: number; readonly run: () => void }>();
  readonly #random: () => number;

  constructor(random: () => number = () => 0.5) {
    this.#random = random;
  }

  readonly nowMs = (): number => 1_700_000_000_000 + this.#setForwardMs + this.#nowMs;

  /** Somebody sets the wall clock. */
  set(forwardMs: number): void {
    this.#setForwardMs += forwardMs;
  }

  readonly monotonicMs = (): number => this.#nowMs;
  readonly boottimeMs = (): number => this.#nowMs;
  readonly random = (): number => this.#random();

  readonly after = (delayMs: number, run: () => void): (() => void) => {
    this.#next += 1;
    const id = this.#next;
    this.#timers.set(id, { atMs: this.#nowMs + Math.max(0, delayMs), run });
    return () => this.#timers.delete(id);
  };

  /** Lets `ms` pass, running what becomes due in its order, with time for promises in between. */
  async advance(ms: number): Promise<void> {
    const endMs = this.#nowMs + ms;
    for (;;) {
      const due = [...this.#timers]
        .filter(([, timer]) => timer.atMs <= endMs)
        .toSorted(([a, x], [b, y]) => x.atMs - y.atMs || a - b)[0];
      if (due === undefined) break;
      const [id, timer] = due;
      this.#timers.delete(id);
      this.#nowMs = Math.max(this.#nowMs, timer.atMs);
      timer.run();
      await turns(3);
    }
    this.#nowMs = endMs;
    await turns(3);
  }
}

/** Lets everything that is ready run, `count` times round the event loop. */
export const turns = async (count: number): Promise<void> => {
  for (let turn = 0; turn < count; turn += 1) await new Promise<void>((resolve) => setImmediate(resolve));
};
