/** Pieces of at most so many bytes from a source of any; the last one is kept in case its answer was lost. */
export class Outlet {
  readonly #source: AsyncIterator<Uint8Array>;
  readonly #most: number;
  #rest: Uint8Array = new Uint8Array();
  #next = 0;
  #last: { readonly at: number; readonly data: Uint8Array; readonly done: boolean } | undefined;
  #reading: Promise<unknown> = Promise.resolve();

  constructor(source: AsyncIterable<Uint8Array>, most: number) {
    this.#source = source[Symbol.asyncIterator]();
    this.#most = most;
  }

  /** Undefined for an offset that is neither the next nor the last. */
  read(offset: number): Promise<{ readonly data: Uint8Array; readonly done: boolean } | undefined> {
    const turn = this.#reading.then(() => this.#read(offset));
    this.#reading = turn.catch(() => undefined);
    return turn;
  }

  async #read(offset: number) {
    if (this.#last?.at === offset) return this.#last;
    if (offset !== this.#next || this.#last?.done === true) return undefined;
    const parts = [this.#rest];
    let size = this.#rest.length;
    let done = false;
    while (size < this.#most && !done) {
      const next = await this.#source.next();
      if (next.done === true) done = true;
      else {
        parts.push(next.value);
        size += next.value.length;
      }
    }
    const all = Buffer.concat(parts);
    const data = all.subarray(0, this.#most);
    this.#rest = all.subarray(data.length);
    this.#last = { at: offset, data, done: done && this.#rest.length === 0 };
    this.#next = offset + data.length;
    return this.#last;
  }

  async close(): Promise<void> {
    await this.#source.return?.(undefined);
  }
}
