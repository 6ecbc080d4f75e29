/** The flat little-endian buffer of include/spec.h while it is being written: a header, and what it refers to behind. */

/** Offset from the start of the buffer, and a length in bytes or a number of items. */
export type Ref = readonly [offset: number, length: number];
export const NOTHING: Ref = [0, 0];

const HALF = 2 ** 32;

/** One C struct. The fields are given in the order of the struct, padding included. */
export class Row {
  readonly #words: number[] = [];

  u32(...values: readonly number[]): this {
    for (const value of values) this.#words.push(value >>> 0);
    return this;
  }
  u64(...values: readonly (bigint | number)[]): this {
    for (const value of values)
      if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0)
        this.#words.push(value % HALF, Math.floor(value / HALF));
      else {
        const bits = BigInt.asUintN(64, BigInt(value));
        this.#words.push(Number(bits & 0xffff_ffffn), Number(bits >> 32n));
      }
    return this;
  }
  ref(...refs: readonly Ref[]): this {
    for (const [offset, length] of refs) this.#words.push(offset, length);
    return this;
  }
  get size(): number {
    return this.#words.length * 4;
  }
  write(into: DataView, at: number): void {
    for (let i = 0; i < this.#words.length; i += 1) into.setUint32(at + i * 4, this.#words[i] ?? 0, true);
  }
}

/** Grows as needed: a spec is written once, in one piece, and most fit into the first. */
const FIRST_BYTES = 4096;
/** Of UTF-8 for one UTF-16 code unit, at most. */
const WIDEST = 3;

const viewOf = ({ buffer, byteOffset, byteLength }: Buffer): DataView => new DataView(buffer, byteOffset, byteLength);

export class SpecBytes {
  readonly #headerBytes: number;
  #bytes = Buffer.allocUnsafe(FIRST_BYTES);
  #view = viewOf(this.#bytes);
  #end: number;

  constructor(headerBytes: number) {
    this.#headerBytes = headerBytes;
    this.#end = headerBytes;
  }

  get size(): number {
    return this.#end;
  }

  text(value: string): Ref {
    this.#reserve(value.length * WIDEST + 1);
    const offset = this.#end;
    const length = this.#bytes.write(value, offset, "utf8");
    this.#bytes[offset + length] = 0;
    this.#end += length + 1;
    return [offset, length];
  }

  /** Any bytes, and a NUL behind them. */
  bytes(value: Uint8Array): Ref {
    this.#reserve(value.length + 1);
    const offset = this.#end;
    this.#bytes.set(value, offset);
    this.#bytes[offset + value.length] = 0;
    this.#end += value.length + 1;
    return [offset, value.length];
  }

  texts(values: readonly string[]): Ref {
    return this.list(values.map((value) => new Row().ref(this.text(value))));
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
    return [offset, row.size];
  }

  finish(header: Row): Buffer {
    if (header.size !== this.#headerBytes) throw new Error(`a header of ${header.size} bytes`);
    header.write(this.#view, 0);
    return this.#bytes.subarray(0, this.#end);
  }

  #align(): number {
    const gap = (8 - (this.#end % 8)) % 8;
    if (gap === 0) return this.#end;
    this.#reserve(gap);
    this.#bytes.fill(0, this.#end, this.#end + gap);
    this.#end += gap;
    return this.#end;
  }

  #append(row: Row): void {
    this.#reserve(row.size);
    row.write(this.#view, this.#end);
    this.#end += row.size;
  }

  #reserve(more: number): void {
    if (this.#end + more <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafe(2 * (this.#end + more));
    this.#bytes.copy(larger, 0, 0, this.#end);
    this.#bytes = larger;
    this.#view = viewOf(larger);
  }
}
