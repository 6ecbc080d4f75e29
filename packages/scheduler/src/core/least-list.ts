/**
 * Numbers by position, of which the least is wanted again and again while a few of them change: above them stands the least of
 * each block, so that neither costs a look at all of them.
 */
const SHIFT = 6;
const BLOCK = 1 << SHIFT;
const NONE = Number.POSITIVE_INFINITY;

export class LeastList {
  readonly length: number;
  readonly #values: Float64Array;
  readonly #least: Float64Array;

  /** All of them infinite. */
  constructor(length: number) {
    this.length = length;
    this.#values = new Float64Array(length).fill(NONE);
    this.#least = new Float64Array(Math.ceil(length / BLOCK)).fill(NONE);
  }

  at(position: number): number {
    return this.#values[position] as number;
  }

  set(position: number, value: number): void {
    const before = this.#values[position] as number;
    if (value === before) return;
    this.#values[position] = value;
    const block = position >> SHIFT;
    const least = this.#least[block] as number;
    if (value <= least) this.#least[block] = value;
    else if (before === least) this.#least[block] = this.#leastOf(block);
  }

  #leastOf(block: number): number {
    let least = NONE;
    for (let at = block << SHIFT; at < Math.min((block + 1) << SHIFT, this.length); at += 1) {
      if ((this.#values[at] as number) < least) least = this.#values[at] as number;
    }
    return least;
  }

  /** The first position of the least number, or -1 when all are infinite. */
  first(): number {
    let [best, least] = [-1, NONE];
    for (let block = 0; block < this.#least.length; block += 1) {
      if ((this.#least[block] as number) < least) [best, least] = [block, this.#least[block] as number];
    }
    if (best < 0) return -1;
    let position = best << SHIFT;
    while (this.#values[position] !== least) position += 1;
    return position;
  }
}
