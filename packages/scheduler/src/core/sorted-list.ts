/**
 * A list kept in ascending order of a number, without duplicates of it. Finding costs a binary search; inserting and
 * removing move the tail, which for the few thousand entries it holds is one short memory move.
 */
export class SortedList<T> {
  readonly #orderOf: (item: T) => number;
  readonly #items: T[] = [];

  constructor(orderOf: (item: T) => number) {
    this.#orderOf = orderOf;
  }

  get length(): number {
    return this.#items.length;
  }

  at(position: number): T | undefined {
    return this.#items[position];
  }

  has(item: T): boolean {
    const order = this.#orderOf(item);
    return this.#holds(this.#position(order), order);
  }

  /** How many come before it. */
  positionOf(item: T): number {
    return this.#position(this.#orderOf(item));
  }

  /** The first that does not come before this one, which need not be in the list. */
  from(item: T): T | undefined {
    return this.#items[this.positionOf(item)];
  }

  insert(item: T): void {
    const order = this.#orderOf(item);
    const at = this.#position(order);
    if (at === this.#items.length) this.#items.push(item);
    else if (!this.#holds(at, order)) this.#items.splice(at, 0, item);
  }

  remove(item: T): void {
    const order = this.#orderOf(item);
    const at = this.#position(order);
    if (!this.#holds(at, order)) return;
    if (at === 0) this.#items.shift();
    else this.#items.splice(at, 1);
  }

  /** Position of the first item whose order is not below `order`. */
  #position(order: number): number {
    let low = 0;
    let high = this.#items.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#orderOf(this.#items[middle] as T) < order) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #holds(at: number, order: number): boolean {
    return at < this.#items.length && this.#orderOf(this.#items[at] as T) === order;
  }
}
