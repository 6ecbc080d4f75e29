/** The flat buffer of include/spec.h while it is being written: a header, and what it refers to behind. */
import { WIDEST } from "./check.ts";

/** Two words of 32 bits. */
export type Pair = readonly [number, number];
/** Offset from the start of the buffer, and a length in bytes or a number of items. */
export type Ref = Pair;
export const NOTHING: Ref = [0, 0];

/** One C struct: its words, in the order of the struct, padding included. A negative one is two's complement. */
export type Row = readonly (number | Pair)[];

const HALF = 2 ** 32;

export const u64 = (value: bigint | number): Pair => {
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0)
    return [value % HALF, Math.floor(value / HALF)];
  const bits = BigInt.asUintN(64, BigInt(value));
  return [Number(bits & 0xffff_ffffn), Number(bits >> 32n)];
};

const WORD = 4;
const ALIGNMENT = 8;
const SLAB_BYTES = 65_536;

/** Bytes, and the same as words. */
interface Slab {
  readonly bytes: Buffer;
  /** Those of the processor: little-endian on all that Berth runs on. */
  readonly words: Uint32Array;
}
const aligned = (offset: number): number => Math.ceil(offset / ALIGNMENT) * ALIGNMENT;
const slabOf = (size: number): Slab => {
  const bytes = Buffer.allocUnsafeSlow(size);
  return { bytes, words: new Uint32Array(bytes.buffer) };
};

/** Specs are written one behind the other. A start is too short for an allocation of each: memory that is new is far away. */
let slab = slabOf(SLAB_BYTES);
let used = 0;

/** Nothing else may be written until it is finished. */
export class SpecBytes {
  readonly #headerBytes: number;
  #slab = slab;
  #begin = used;
  /** From the start of the slab. */
  #end: number;

  /** `first`: what comes right behind the header, as `behindHeader` of another one gave it. */
  constructor(headerBytes: number, first?: Uint8Array) {
    this.#headerBytes = headerBytes;
    this.#end = used;
    this.#reserve(headerBytes + (first?.length ?? 0));
    this.#end += headerBytes;
    if (first !== undefined) this.#put(first);
  }

  get size(): number {
    return this.#end - this.#begin;
  }

  text(value: string): Ref {
    this.#reserve(value.length * WIDEST + 1);
    const { bytes } = this.#slab;
    const offset = this.#end;
    const length = bytes.write(value, offset);
    this.#end = offset + length;
    bytes[this.#end++] = 0;
    return [offset - this.#begin, length];
  }

  /** Any bytes, and a NUL behind them. */
  bytes(value: Uint8Array): Ref {
    const offset = this.size;
    this.#reserve(value.length + 1);
    this.#put(value);
    this.#slab.bytes[this.#end++] = 0;
    return [offset, value.length];
  }

  texts(values: readonly string[]): Ref {
    const refs: Row[] = [];
    for (const value of values) refs.push([this.text(value)]);
    return this.list(refs);
  }

  list(rows: readonly Row[]): Ref {
    if (rows.length === 0) return NOTHING;
    const offset = this.#align();
    for (const row of rows) this.#append(row);
    return [offset, rows.length];
  }

  section(row: Row): Ref {
    const offset = this.#align();
    this.#append(row);
    return [offset, this.size - offset];
  }

  /** A copy. */
  behindHeader(): Uint8Array {
    return new Uint8Array(this.#slab.bytes.subarray(this.#begin + this.#headerBytes, this.#end));
  }

  /** The spec: nothing is written into it any more. */
  finish(numbers: Row, refs: readonly Ref[]): Uint8Array {
    const end = WORD * this.#write(refs, this.#write(numbers, this.#begin / WORD));
    if (end - this.#begin !== this.#headerBytes) throw new Error(`a header of ${end - this.#begin} bytes`);
    const spec = new Uint8Array(this.#slab.words.buffer, this.#begin, this.size);
    if (this.#slab.bytes.length === SLAB_BYTES) {
      slab = this.#slab;
      used = aligned(this.#end);
    }
    return spec;
  }

  #align(): number {
    this.#reserve(ALIGNMENT);
    while (this.#end % ALIGNMENT !== 0) this.#slab.bytes[this.#end++] = 0;
    return this.size;
  }

  #append(row: Row): void {
    this.#reserve(row.length * 2 * WORD);
    this.#end = WORD * this.#write(row, this.#end / WORD);
  }

  #put(value: Uint8Array): void {
    this.#slab.bytes.set(value, this.#end);
    this.#end += value.length;
  }

  /** Answers where the next word goes. */
  #write(row: Row, first: number): number {
    const { words } = this.#slab;
    let at = first;
    for (const item of row)
      if (typeof item === "number") words[at++] = item;
      else {
        words[at++] = item[0];
        words[at++] = item[1];
      }
    return at;
  }

  /** Another slab, when this one is full. */
  #reserve(more: number): void {
    if (this.#end + more <= this.#slab.bytes.length) return;
    const { size } = this;
    const larger = slabOf(Math.max(SLAB_BYTES, 2 * aligned(size + more)));
    this.#slab.bytes.copy(larger.bytes, 0, this.#begin, this.#end);
    this.#slab = larger;
    this.#begin = 0;
    this.#end = size;
  }
}
