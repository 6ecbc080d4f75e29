/**
 * Deletes the directories of containers that left nothing but empty ones: those are nobody's any more and take no room,
 * but a disk may be asked and waited for with each. One job of the pool at a time, once none came for a moment or many
 * have, so that no start waits and a burst is not disturbed.
 *
 * What cannot be deleted is tried again, after longer and longer pauses. What is there when the agent ends is found by
 * the next `adopt`.
 */
import type { Binding } from "./binding.ts";

const MOMENT_MS = 20;
/** Of a burst that goes on for longer. */
const MANY = 32;
/** So many may lie about before who removes another waits. */
const MOST_WAITING = 64;
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 60_000;

export class Sweeper {
  readonly #binding: Binding;
  readonly #stateRoot: number;
  #names: string[] = [];
  #later: NodeJS.Timeout | undefined;
  #sweeping: Promise<void> | undefined;
  /** Could not be deleted. */
  #left: string[] = [];
  #again: NodeJS.Timeout | undefined;
  #pauseMs = FIRST_PAUSE_MS;
  #closed = false;

  constructor(binding: Binding, stateRoot: number) {
    this.#binding = binding;
    this.#stateRoot = stateRoot;
  }

  /** Resolves at once, unless too many wait. */
  async add(name: string): Promise<void> {
    if (this.#closed) return;
    this.#names.push(name);
    if (this.#names.length >= MANY) {
      const turn = this.#turn();
      if (this.#names.length >= MOST_WAITING) await turn;
    } else this.#later = this.#later?.refresh() ?? setTimeout(() => void this.#turn(), MOMENT_MS).unref();
  }

  /** Resolves when all that was added is deleted, or cannot be. The directory is not touched any more then. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#later);
    clearTimeout(this.#again);
    await this.#sweeping;
    this.#names = this.#names.concat(this.#left.splice(0));
    await this.#sweep();
  }

  async #turn(): Promise<void> {
    this.#sweeping ??= this.#sweep().finally(() => (this.#sweeping = undefined));
    await this.#sweeping;
  }

  async #sweep(): Promise<void> {
    while (this.#names.length > 0) {
      const left = await this.#binding.sweep(this.#stateRoot, this.#names.splice(0));
      this.#left = this.#left.concat(left);
    }
    if (this.#left.length === 0) this.#pauseMs = FIRST_PAUSE_MS;
    else if (!this.#closed) this.#again ??= setTimeout(() => this.#retry(), this.#pauseMs).unref();
  }

  #retry(): void {
    this.#again = undefined;
    this.#pauseMs = Math.min(this.#pauseMs * 2, LONGEST_PAUSE_MS);
    this.#names = this.#names.concat(this.#left.splice(0));
    void this.#turn();
  }
}
