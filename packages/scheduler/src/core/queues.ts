/**
 * Jobs that want something, by class and priority. Those that no host could take even if it were empty rest apart: until hosts
 * have other sizes a plan does not meet them, so however many they are, they cost whoever else comes nothing.
 */
import type { ClassQueue } from "./state.ts";

export class Queues {
  readonly #all = new Map<string, ClassQueue>();
  readonly #awake = new Map<string, ClassQueue>();
  /** With hosts of these sizes (`sizes` of the index) whoever rests is too large for all of them. */
  #sizes = -1;

  get(key: string): ClassQueue | undefined {
    return this.#all.get(key);
  }

  add(key: string, queue: ClassQueue): void {
    this.#all.set(key, queue);
    this.#awake.set(key, queue);
  }

  delete(key: string): void {
    this.#all.delete(key);
    this.#awake.delete(key);
  }

  all(): ReadonlyMap<string, ClassQueue> {
    return this.#all;
  }

  /** All but those that rest. */
  awake(sizes: number): ReadonlyMap<string, ClassQueue> {
    if (sizes !== this.#sizes) this.wake();
    this.#sizes = sizes;
    return this.#awake;
  }

  /** Nobody rests any more. */
  wake(): void {
    if (this.#awake.size === this.#all.size) return;
    for (const [key, queue] of this.#all) this.#awake.set(key, queue);
  }

  /** No host of these sizes could take this one; it may be said while `awake` is gone through. */
  rest(key: string): void {
    this.#awake.delete(key);
  }
}
