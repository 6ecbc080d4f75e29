/**
 * A set of small integers that is walked in order: one bit each, so that an array of 100,000 tasks costs 12.5 kB. A class, since
 * every job has one: literals with a getter are of a shape each, and whoever meets many of them looks each property up by name.
 */
export class Bitset {
  readonly #capacity: number;
  readonly #words: Uint32Array;
  #size = 0;
  /** No member lies below this word: a long array whose first half is done is not walked from its beginning. */
  #firstWord = 0;

  /** Members are 0 … `capacity` - 1. */
  constructor(capacity: number) {
    this.#capacity = capacity;
    this.#words = new Uint32Array(Math.ceil(capacity / 32));
  }

  get size(): number {
    return this.#size;
  }

  has(at: number): boolean {
    return (((this.#words[at >>> 5] ?? 0) >>> (at & 31)) & 1) === 1;
  }

  add(at: number): void {
    if (at < 0 || at >= this.#capacity || this.has(at)) return;
    const word = at >>> 5;
    this.#words[word] = (this.#words[word] ?? 0) | (1 << (at & 31));
    this.#size += 1;
    this.#firstWord = Math.min(this.#firstWord, word);
  }

  delete(at: number): void {
    if (at < 0 || at >= this.#capacity || !this.has(at)) return;
    const words = this.#words;
    const word = at >>> 5;
    words[word] = (words[word] ?? 0) & ~(1 << (at & 31));
    this.#size -= 1;
    while (this.#firstWord < words.length && words[this.#firstWord] === 0) this.#firstWord += 1;
  }

  /** The smallest member ≥ `from`, or -1. */
  next(from: number): number {
    const words = this.#words;
    const start = Math.max(0, from);
    for (let word = Math.max(start >>> 5, this.#firstWord); word < words.length; word += 1) {
      let bits = words[word] ?? 0;
      if (word === start >>> 5) bits &= -1 << (start & 31);
      if (bits !== 0) return (word << 5) + 31 - Math.clz32(bits & -bits);
    }
    return -1;
  }
}
