/**
 * Values by the id that each of them has, in the order in which they came. There may be a million, scattered over memory, and
 * each is looked for a few times in its life: a Map follows several keys to the right one, all of them somewhere else. Here
 * the hash of an id and where its value stands lie side by side in one flat table, so that a look costs one line of memory
 * and the value itself. A value that is not there costs no more. Whoever walks over them may delete, and must not add.
 */
import { closeGap } from "./close-gap.ts";

export class IdMap<K extends string, V extends { readonly id: K }> implements ReadonlyMap<K, V> {
  /** Hash, and position + 1, side by side; 0: nobody's place. At most half full. */
  #pairs = new Int32Array(FIRST_PLACES * 2);
  /** As they came, with a gap for each that is gone; and the hash of each id, so that nobody is looked at to move him. */
  #values: (V | undefined)[] = [];
  #hashes = new Int32Array(FIRST_PLACES / 2);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Where the value of this id stands in the table, or would. */
  #find(id: K, hash: number): number {
    const pairs = this.#pairs;
    const last = pairs.length - 1;
    let at = (hash << 1) & last;
    for (let position = pairs[at + 1] as number; position !== 0; position = pairs[at + 1] as number) {
      if (pairs[at] === hash && this.#values[position - 1]?.id === id) break;
      at = (at + 2) & last;
    }
    return at;
  }

  get(id: K): V | undefined {
    const position = this.#pairs[this.#find(id, hashOf(id)) + 1] as number;
    return position === 0 ? undefined : this.#values[position - 1];
  }

  has(id: K): boolean {
    return this.#pairs[this.#find(id, hashOf(id)) + 1] !== 0;
  }

  /** In the place of whoever has the same id. */
  add(value: V): void {
    const hash = hashOf(value.id);
    let at = this.#find(value.id, hash);
    const known = this.#pairs[at + 1] as number;
    if (known !== 0) {
      this.#values[known - 1] = value;
      return;
    }
    if (4 * (this.#values.length + 1) > this.#pairs.length) {
      this.#rebuild();
      at = this.#find(value.id, hash);
    }
    this.#hashes[this.#values.length] = hash;
    this.#values.push(value);
    this.#pairs[at] = hash;
    this.#pairs[at + 1] = this.#values.length;
    this.#size += 1;
  }

  delete(id: K): boolean {
    const at = this.#find(id, hashOf(id));
    const position = this.#pairs[at + 1] as number;
    if (position === 0) return false;
    this.#values[position - 1] = undefined;
    this.#size -= 1;
    const last = this.#pairs.length - 1;
    closeGap(this.#pairs, at, (first) => (first << 1) & last);
    return true;
  }

  /** Without gaps, and with room for as many again. */
  #rebuild(): void {
    let places = FIRST_PLACES;
    while (places < 4 * (this.#size + 1)) places *= 2;
    const pairs = new Int32Array(2 * places);
    const hashes = new Int32Array(places / 2);
    const values: V[] = [];
    const last = pairs.length - 1;
    for (let position = 0; position < this.#values.length; position += 1) {
      const value = this.#values[position];
      if (value === undefined) continue;
      const hash = this.#hashes[position] as number;
      hashes[values.length] = hash;
      values.push(value);
      let at = (hash << 1) & last;
      while (pairs[at + 1] !== 0) at = (at + 2) & last;
      pairs[at] = hash;
      pairs[at + 1] = values.length;
    }
    [this.#values, this.#hashes, this.#pairs] = [values, hashes, pairs];
  }

  *values(): MapIterator<V> {
    const values = this.#values;
    for (let at = 0; at < values.length; at += 1) {
      const value = values[at];
      if (value !== undefined) yield value;
    }
  }

  *keys(): MapIterator<K> {
    for (const { id } of this.values()) yield id;
  }

  *entries(): MapIterator<[K, V]> {
    for (const value of this.values()) yield [value.id, value];
  }

  [Symbol.iterator](): MapIterator<[K, V]> {
    return this.entries();
  }

  forEach(visit: (value: V, key: K, map: ReadonlyMap<K, V>) => void): void {
    for (const value of this.values()) visit(value, value.id, this);
  }
}

const FIRST_PLACES = 16;
/** Ids that Berth makes differ at their ends. */
const HASHED = 16;

const hashOf = (id: string): number => {
  let hash = id.length;
  for (let at = Math.max(0, id.length - HASHED); at < id.length; at += 1) {
    hash = Math.imul(hash ^ id.charCodeAt(at), 0x01000193);
  }
  // The low bits say where to look first: all others count in them.
  hash ^= hash >>> 15;
  hash = Math.imul(hash, 0x2c1b3c6d);
  return hash ^ (hash >>> 13);
};
