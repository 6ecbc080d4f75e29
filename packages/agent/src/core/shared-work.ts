/**
 * Work that several callers want at once is done once. Each caller may give up for itself; the work is aborted only when
 * the last of them has, who then waits for it to clear away what it had half made. Bounded by the callers.
 */
import { reasonOf } from "./turns.ts";

interface Running<T> {
  readonly outcome: Promise<T>;
  readonly stop: AbortController;
  waiting: number;
}

export class SharedWork<T> {
  readonly #running = new Map<string, Running<T>>();

  /**
   * Rejects with the reason of `signal` when that comes first: at once while others want the work, else once it has ended.
   * Whoever comes after that begins anew, and never beside what is still ending.
   */
  run(key: string, signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    if (signal.aborted) return Promise.reject(reasonOf(signal));
    const found = this.#running.get(key);
    const isUsable = found !== undefined && !found.stop.signal.aborted;
    const running = isUsable ? found : this.#begin(key, work, found?.outcome);
    running.waiting += 1;
    return new Promise<T>((resolve, reject) => {
      const leave = (): void => {
        running.waiting -= 1;
        if (running.waiting > 0) reject(reasonOf(signal));
        else running.stop.abort(reasonOf(signal));
      };
      signal.addEventListener("abort", leave, { once: true });
      running.outcome
        .finally(() => {
          signal.removeEventListener("abort", leave);
          if (signal.aborted) throw reasonOf(signal);
        })
        .then(resolve, reject);
    });
  }

  #begin(key: string, work: (signal: AbortSignal) => Promise<T>, before?: Promise<T>): Running<T> {
    const stop = new AbortController();
    const { signal } = stop;
    const begin = (): Promise<T> => (signal.aborted ? Promise.reject(reasonOf(signal)) : work(signal));
    const outcome = (before === undefined ? begin() : before.then(begin, begin)).finally(() => {
      if (this.#running.get(key) === running) this.#running.delete(key);
    });
    const running: Running<T> = { outcome, stop, waiting: 0 };
    this.#running.set(key, running);
    return running;
  }
}
