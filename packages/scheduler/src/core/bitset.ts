/** A set of small integers that is walked in order: one bit each, so that an array of 100,000 tasks costs 12.5 kB. */
export interface Bitset {
  readonly size: number;
  readonly has: (at: number) => boolean;
  readonly add: (at: number) => void;
  readonly delete: (at: number) => void;
  /** The smallest member ≥ `from`, or -1. */
  readonly next: (from: number) => number;
}

/** Members are 0 … `capacity` - 1. */
export const createBitset = (capacity: number): Bitset => {
  const words = new Uint32Array(Math.ceil(capacity / 32));
  let size = 0;
  // No member lies below this word: a long array whose first half is done is not walked from its beginning.
  let firstWord = 0;
  const has = (at: number): boolean => (((words[at >>> 5] ?? 0) >>> (at & 31)) & 1) === 1;
  return {
    get size() {
      return size;
    },
    has,
    add: (at) => {
      if (at < 0 || at >= capacity || has(at)) return;
      const word = at >>> 5;
      words[word] = (words[word] ?? 0) | (1 << (at & 31));
      size += 1;
      firstWord = Math.min(firstWord, word);
    },
    delete: (at) => {
      if (at < 0 || at >= capacity || !has(at)) return;
      const word = at >>> 5;
      words[word] = (words[word] ?? 0) & ~(1 << (at & 31));
      size -= 1;
      while (firstWord < words.length && words[firstWord] === 0) firstWord += 1;
    },
    next: (from) => {
      const start = Math.max(0, from);
      for (let word = Math.max(start >>> 5, firstWord); word < words.length; word += 1) {
        let bits = words[word] ?? 0;
        if (word === start >>> 5) bits &= -1 << (start & 31);
        if (bits !== 0) return (word << 5) + 31 - Math.clz32(bits & -bits);
      }
      return -1;
    },
  };
};
