/** The flat little-endian buffer of include/spec.h while it is being written: a header, and what it refers to behind. */

/** Offset from the start of the buffer, and a length in bytes or a number of items. */
export type Ref = readonly [offset: number, length: number];
export const NOTHING: Ref = [0, 0];

/** One C struct. The fields are given in the order of the struct, padding included. */
export class Row {
  readonly #words: number[] = [];

  u32(...values: readonly number[]): this {
    for (const value of values) this.#words.push(value >>> 0);
    return this;
  }
  u64(...values: readonly (bigint | number)[]): this {
    for (const value of values) {
      const bits = BigInt.asUintN(64, BigInt(value));
      this.#words.push(Number(bits & 0xffff_ffffn), Number(bits >> 32n));
    }
    return this;
  }
  ref(...refs: readonly Ref[]): this {
    for (const ref of refs) this.#words.push(...ref);
    return this;
  }
  get bytes(): Buffer {
    const bytes = Buffer.alloc(this.#words.length * 4);
    this.#words.forEach((word, i) => bytes.writeUInt32LE(word, i * 4));
    return bytes;
  }
}

export class SpecBytes {
  readonly #headerBytes: number;
  readonly #parts: Buffer[] = [];
  #end: number;

  constructor(headerBytes: number) {
    this.#headerBytes = headerBytes;
    this.#end = headerBytes;
  }

  get size(): number {
    return this.#end;
  }

  text(value: string): Ref {
    const bytes = Buffer.from(`${value}\0`, "utf8");
    return [this.#append(bytes), bytes.length - 1];
  }

  texts(values: readonly string[]): Ref {
    return this.list(values.map((value) => new Row().ref(this.text(value))));
  }

  list(rows: readonly Row[]): Ref {
    return rows.length === 0 ? NOTHING : [this.#aligned(Buffer.concat(rows.map((row) => row.bytes))), rows.length];
  }

  section(row: Row): Ref {
    const { bytes } = row;
    return [this.#aligned(bytes), bytes.length];
  }

  finish(header: Row): Buffer {
    const { bytes } = header;
    if (bytes.length !== this.#headerBytes) throw new Error(`a header of ${bytes.length} bytes`);
    return Buffer.concat([bytes, ...this.#parts]);
  }

  #aligned(bytes: Buffer): number {
    this.#append(Buffer.alloc((8 - (this.#end % 8)) % 8));
    return this.#append(bytes);
  }

  #append(bytes: Buffer): number {
    const offset = this.#end;
    this.#parts.push(bytes);
    this.#end += bytes.length;
    return offset;
  }
}
