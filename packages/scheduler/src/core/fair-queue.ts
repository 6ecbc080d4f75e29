/**
 * Whose turn it is, kept as a heap, so that thousands of projects that wait cost each turn a few comparisons: the highest
 * standing, of those the smallest share, of those whoever came first. An entry whose owner has changed since is passed over.
 */
export interface Turn<T> {
  readonly owner: T;
  readonly standing: number;
  readonly share: number;
  readonly order: number;
}

interface Entry<T> extends Turn<T> {
  readonly version: number;
}

export const goesBefore = (a: Omit<Turn<unknown>, "owner">, b: Omit<Turn<unknown>, "owner">): boolean =>
  a.standing === b.standing ? a.share < b.share || (a.share === b.share && a.order < b.order) : a.standing > b.standing;

export class FairQueue<T extends object> {
  readonly #heap: Entry<T>[] = [];
  readonly #versions = new Map<T, number>();

  /** Its turn is this one from here on. */
  set(turn: Turn<T>): void {
    const version = (this.#versions.get(turn.owner) ?? 0) + 1;
    this.#versions.set(turn.owner, version);
    const entry = { ...turn, version };
    const heap = this.#heap;
    let at = heap.length;
    while (at > 0) {
      const above = (at - 1) >> 1;
      if (!goesBefore(entry, heap[above] as Entry<T>)) break;
      heap[at] = heap[above] as Entry<T>;
      at = above;
    }
    heap[at] = entry;
  }

  /** It waits for nothing any more. */
  remove(owner: T): void {
    this.#versions.set(owner, (this.#versions.get(owner) ?? 0) + 1);
  }

  first(): T | undefined {
    for (let top = this.#heap[0]; top !== undefined; top = this.#heap[0]) {
      if (this.#versions.get(top.owner) === top.version) return top.owner;
      this.#pop();
    }
    return undefined;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let at = 0;
    for (let below = 1; below < heap.length; below = 2 * at + 1) {
      const right = heap[below + 1];
      if (right !== undefined && goesBefore(right, heap[below] as Entry<T>)) below += 1;
      if (!goesBefore(heap[below] as Entry<T>, last)) break;
      heap[at] = heap[below] as Entry<T>;
      at = below;
    }
    heap[at] = last;
  }
}
