/**
 * A stream that arrives in numbered pieces from elsewhere, as an iterable. Whoever writes is answered when its piece was
 * taken: so at most the pieces that are under way are in memory. Pieces may overtake each other a little; one that comes
 * again is not taken twice.
 */
const MAX_AHEAD = 8;

export class Inlet implements AsyncIterable<Uint8Array> {
  readonly #ahead = new Map<
    number,
    { readonly bytes: Uint8Array; readonly last: boolean; readonly taken: () => void }
  >();
  #offset = 0;
  #isStarved = false;
  #over = false;
  #failure: Error | undefined;
  #wake: () => void = () => undefined;

  /** Bytes that were taken. */
  get offset(): number {
    return this.#offset;
  }

  /** Whoever reads waits for a piece that has not come. */
  get isStarved(): boolean {
    return this.#isStarved;
  }

  /** Resolves when it was taken; to false when there is no room for it now. */
  async write(offset: number, bytes: Uint8Array, last: boolean): Promise<boolean> {
    if (this.#failure !== undefined) throw this.#failure;
    const end = offset + bytes.length;
    if (this.#over && (end > this.#offset || (last && end < this.#offset))) {
      throw new Error(`the archive ended with byte ${this.#offset}, and this piece of it ends with byte ${end}`);
    }
    if (this.#over || offset < this.#offset) return true;
    if (this.#ahead.has(offset)) return false;
    if (this.#ahead.size >= MAX_AHEAD || offset - this.#offset > MAX_AHEAD * 2 ** 20) return false;
    return new Promise((resolve, reject) => {
      this.#ahead.set(offset, {
        bytes,
        last,
        taken: () => (this.#failure === undefined ? resolve(true) : reject(this.#failure)),
      });
      this.#wake();
    });
  }

  /** Nothing more will come, or nobody takes it. */
  fail(error: Error): void {
    if (this.#over || this.#failure !== undefined) return;
    this.#failure = error;
    for (const { taken } of this.#ahead.values()) taken();
    this.#ahead.clear();
    this.#wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    while (!this.#over) {
      if (this.#failure !== undefined) throw this.#failure;
      const next = this.#ahead.get(this.#offset);
      if (next === undefined) {
        this.#isStarved = true;
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        this.#isStarved = false;
        continue;
      }
      // One that is being worked on is still here: it may come again.
      const at = this.#offset;
      if (next.bytes.length > 0) yield next.bytes;
      this.#offset += next.bytes.length;
      if (next.last) this.#over = true;
      this.#ahead.delete(at);
      next.taken();
    }
  }
}
