/** A few at a time, in the order of asking. Whoever gives up leaves the queue. Bounded by the callers. */
interface Waiting {
  readonly go: () => void;
}

/** Of whoever never gives up. */
export const NEVER: AbortSignal = new AbortController().signal;

export class Turns {
  readonly #most: number;
  readonly #queue = new Set<Waiting>();
  #taken = 0;

  constructor(most: number) {
    this.#most = most;
  }

  get taken(): number {
    return this.#taken;
  }

  /** Runs `work` when it is its turn. Rejects with the reason of `signal` when that comes while it waits. */
  async run<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    await this.#take(signal);
    try {
      return await work();
    } finally {
      this.#taken -= 1;
      const [next] = this.#queue;
      if (next !== undefined) {
        this.#queue.delete(next);
        next.go();
      }
    }
  }

  #take(signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.reject(reasonOf(signal));
    if (this.#taken < this.#most && this.#queue.size === 0) {
      this.#taken += 1;
      return Promise.resolve();
    }
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        this.#queue.delete(waiting);
        reject(reasonOf(signal));
      };
      const waiting: Waiting = {
        go: () => {
          signal.removeEventListener("abort", leave);
          this.#taken += 1;
          resolve();
        },
      };
      this.#queue.add(waiting);
      signal.addEventListener("abort", leave, { once: true });
    });
  }
}

export const reasonOf = (signal: AbortSignal): Error =>
  signal.reason instanceof Error ? signal.reason : new Error("it is not wanted any more");
