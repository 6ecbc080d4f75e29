/**
 * Work that several callers want at once is done once. Each caller may give up for itself; the work is aborted only when
 * the last of them has. Bounded by the callers.
 */
import { reasonOf } from "./turns.ts";

interface Running<T> {
  readonly outcome: Promise<T>;
  readonly stop: AbortController;
  waiting: number;
}

export class SharedWork<T> {
  readonly #running = new Map<string, Running<T>>();

  /** Rejects with the reason of `signal` when that comes first. */
  run(key: string, signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    if (signal.aborted) return Promise.reject(reasonOf(signal));
    const running = this.#running.get(key) ?? this.#begin(key, work);
    running.waiting += 1;
    return new Promise<T>((resolve, reject) => {
      const leave = (): void => {
        running.waiting -= 1;
        if (running.waiting === 0) {
          /* Whoever comes next begins anew instead of inheriting an abort. */
          if (this.#running.get(key) === running) this.#running.delete(key);
          running.stop.abort();
        }
        reject(reasonOf(signal));
      };
      signal.addEventListener("abort", leave, { once: true });
      running.outcome.then(resolve, reject).finally(() => signal.removeEventListener("abort", leave));
    });
  }

  #begin(key: string, work: (signal: AbortSignal) => Promise<T>): Running<T> {
    const stop = new AbortController();
    const outcome = work(stop.signal).finally(() => {
      if (this.#running.get(key) === running) this.#running.delete(key);
    });
    const running: Running<T> = { outcome, stop, waiting: 0 };
    this.#running.set(key, running);
    return running;
  }
}
