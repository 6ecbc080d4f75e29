/**
 * Deletes the directories of containers that left nothing but empty ones: those are nobody's any more and take no room,
 * but a disk may be asked and waited for with each. One job of the pool at a time, for all that came within a moment, so
 * that no start waits and a burst is not disturbed.
 *
 * What is not deleted when the agent ends, or cannot be, is found by the next `adopt`.
 */
import type { Binding } from "./binding.ts";

const MOMENT_MS = 20;
/** So many may lie about before who removes another waits. */
const MOST_WAITING = 64;

export class Sweeper {
  readonly #binding: Binding;
  readonly #stateRoot: number;
  #names: string[] = [];
  #later: NodeJS.Timeout | undefined;
  #sweeping: Promise<void> | undefined;

  constructor(binding: Binding, stateRoot: number) {
    this.#binding = binding;
    this.#stateRoot = stateRoot;
  }

  /** Resolves at once, unless too many wait. */
  async add(name: string): Promise<void> {
    this.#names.push(name);
    if (this.#names.length >= MOST_WAITING) await this.done();
    else if (this.#sweeping === undefined)
      this.#later ??= setTimeout(() => {
        void this.done();
      }, MOMENT_MS).unref();
  }

  /** Resolves when all that was added is deleted. */
  async done(): Promise<void> {
    clearTimeout(this.#later);
    this.#later = undefined;
    this.#sweeping ??= this.#sweep().finally(() => (this.#sweeping = undefined));
    await this.#sweeping;
  }

  async #sweep(): Promise<void> {
    while (this.#names.length > 0) await this.#binding.sweep(this.#stateRoot, this.#names.splice(0));
  }
}
