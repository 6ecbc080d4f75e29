/**
 * The memory of kernel/score.ts and how it is laid out. Addresses are bytes; what is given back is used again for the same
 * length. The arrays over the memory are others after it has grown, so nobody keeps them.
 */
import { KERNEL_CODE } from "./score-kernel.gen.ts";
import { FULLNESS_WEIGHT, SCORE_UNITS, type Valuation } from "./score.ts";
import type { Rows } from "./host-table.ts";
import { BASE } from "./vector.ts";
import { mixRows, NEARLY_ALL, UNLIMITED, type Scorer, type Standings } from "./scorer.ts";

/** What kernel/score.ts exports; addresses in bytes, lanes 0 … 7. */
interface Exports {
  readonly memory: { readonly buffer: ArrayBuffer; readonly grow: (pages: number) => number };
  readonly shape: (
    size: number,
    rowBytes: number,
    free: number,
    perUnit: number,
    binding: number,
    opening: number,
    ready: number,
    most: number,
    rest: number,
    made: number,
  ) => void;
  readonly value: (
    count: number,
    places: number,
    inverse: number,
    idle: number,
    values: number,
    fullnessWeight: number,
    units: number,
    unlimited: number,
    nearlyAll: number,
  ) => void;
  readonly survey: (slot: number) => void;
  readonly surveyPlaces: (slot: number) => void;
  readonly surveyBinding: (slot: number) => void;
  readonly surveyAll: (hosts: number) => void;
  readonly score: (strip: number, slots: number, many: number, changed: number, before: number) => void;
  readonly measure: (strip: number, lane: number, slot: number) => void;
  readonly raise: (strip: number, position: number) => void;
  readonly raiseAll: (strip: number, slots: number, many: number, changed: number, before: number) => void;
  readonly fill: (strip: number, lane: number) => void;
  readonly fillAll: (strip: number) => void;
  readonly build: (strip: number) => void;
  readonly top: (strip: number, lane: number) => number;
  readonly topIn: (strip: number, lane: number, from: number, to: number) => number;
}

/** As much of it as is used here; the type of it is among those of browsers. */
const { Instance, Module } = (
  globalThis as unknown as {
    WebAssembly: {
      readonly Module: new (code: Uint8Array) => object;
      readonly Instance: new (module: object) => { readonly exports: object };
    };
  }
).WebAssembly;

let compiled: object | undefined;
const compile = (): object =>
  (compiled ??= new Module(Uint8Array.from(atob(KERNEL_CODE), (character) => character.charCodeAt(0))));

const PAGE = 65_536;
/** What the kernel keeps for itself. */
const FIRST = PAGE;
/** A line of memory: what is laid out in rows of half of one never lies across two. */
const ALIGNED = 64;
/** Bytes of the scores of a host in a strip. */
const SCORES = 32;

export class ScoreKernel {
  readonly run: Exports;
  f64!: Float64Array;
  i32!: Int32Array;
  u8!: Uint8Array;
  /** The hosts as they were when last looked at. */
  seen!: Standings;
  /** Where hosts that have changed are listed. */
  slots!: Int32Array;
  #end = FIRST;
  readonly #unused = new Map<number, number[]>();
  #hosts = 0;
  #row = 0;
  #size = 0;
  #rows = 0;
  #free = 0;
  #perUnit = 0;
  #binding = 0;
  #opening = 0;
  #ready = 0;
  #places = 0;
  #placesBytes = 0;
  #loose = new Float64Array(0);
  #guarded = new Float64Array(0);
  #models = new Int32Array(0);
  #mixAt = 0;
  #mixBytes = 0;
  #slots = 0;
  #changed = 0;
  #before = 0;
  #most = 0;
  #made = 0;

  constructor() {
    // A copy: what is exported is looked up by name each time.
    this.run = { ...(new Instance(compile()).exports as Exports) };
    this.#view();
  }

  #view(): void {
    const { buffer } = this.run.memory;
    this.f64 = new Float64Array(buffer);
    this.i32 = new Int32Array(buffer);
    this.u8 = new Uint8Array(buffer);
    this.slots = this.i32.subarray(this.#slots / 4);
    const amounts = this.#hosts * this.#row;
    this.seen = {
      free: new Float64Array(buffer, this.#free, amounts),
      perUnit: new Float64Array(buffer, this.#perUnit, amounts),
      places: new Float64Array(buffer, this.#places, this.#hosts * this.#rows),
      binding: new Int32Array(buffer, this.#binding, this.#hosts),
      opening: new Float64Array(buffer, this.#opening, this.#hosts),
      loose: this.#loose,
      guarded: this.#guarded,
      models: this.#models,
    };
  }

  /** So many bytes, all zero. */
  alloc(length: number): number {
    const bytes = Math.ceil(length / ALIGNED) * ALIGNED;
    let at = this.#unused.get(bytes)?.pop();
    if (at === undefined) {
      at = this.#end;
      const lacking = at + bytes - this.u8.byteLength;
      if (lacking > 0) {
        // By a quarter at least, so that growing stays rare.
        this.run.memory.grow(Math.ceil(Math.max(lacking, this.u8.byteLength / 4) / PAGE));
        this.#view();
      }
      this.#end = at + bytes;
    }
    this.u8.fill(0, at, at + bytes);
    return at;
  }

  release(at: number, length: number): void {
    const bytes = Math.ceil(length / ALIGNED) * ALIGNED;
    const unused = this.#unused.get(bytes);
    if (unused === undefined) this.#unused.set(bytes, [at]);
    else unused.push(at);
  }

  /** Forgets everything, and makes room for so many hosts of `size` dimensions with `columns` of devices behind them. */
  reset(hosts: number, size: number, columns: number, longest: number): void {
    this.#end = FIRST;
    this.#unused.clear();
    // Nobody is seen before all has its place: memory may grow, and be viewed anew, at each of them.
    [this.#hosts, this.#rows, this.#size, this.#row] = [0, 0, size, size + columns];
    const amounts = hosts * this.#row * 8;
    [this.#placesBytes, this.#mixBytes] = [0, 0];
    this.#free = this.alloc(amounts);
    this.#perUnit = this.alloc(amounts);
    this.#binding = this.alloc(hosts * 4);
    this.#opening = this.alloc(hosts * 8);
    this.#ready = this.alloc(hosts);
    this.#most = this.alloc(size * 8);
    const rest = this.alloc(size * 16);
    this.#made = this.alloc(32 + SCORES);
    this.#slots = this.alloc(longest * 4);
    this.#changed = this.alloc(longest);
    this.#before = this.alloc(longest * SCORES);
    this.#models = new Int32Array(hosts * columns);
    this.#guarded = new Float64Array(hosts);
    this.#hosts = hosts;
    this.#view();
    const row = this.#row * 8;
    const perHost = [this.#free, this.#perUnit, this.#binding, this.#opening, this.#ready] as const;
    this.run.shape(size, row, ...perHost, this.#most, rest, this.#made);
  }

  /** Scores by this mix from here on; all that was surveyed is void. */
  revalue({ count, values }: Valuation, { inverse, idle }: Pick<Scorer, "inverse" | "idle">): void {
    const rows = mixRows(count);
    if (this.#placesBytes > 0) this.release(this.#places, this.#placesBytes);
    if (this.#mixBytes > 0) this.release(this.#mixAt, this.#mixBytes);
    const table = this.#size * rows * 8;
    [this.#rows, this.#placesBytes, this.#mixBytes] = [0, this.#hosts * rows * 8, 2 * table + rows * 8];
    this.#places = this.alloc(this.#placesBytes);
    this.#mixAt = this.alloc(this.#mixBytes);
    this.#loose = new Float64Array(this.#hosts * rows);
    this.#rows = rows;
    this.#view();
    const [idleAt, valuesAt] = [this.#mixAt + table, this.#mixAt + 2 * table];
    this.f64.set(inverse, this.#mixAt / 8);
    this.f64.set(idle, idleAt / 8);
    this.f64.set(values, valuesAt / 8);
    const weights = [FULLNESS_WEIGHT, SCORE_UNITS, UNLIMITED, NEARLY_ALL] as const;
    this.run.value(rows, this.#places, this.#mixAt, idleAt, valuesAt, ...weights);
  }

  /** The largest request there is, by dimension. */
  setMost(most: ArrayLike<number>): void {
    for (let at = 0; at < this.#size; at += 1) this.f64[this.#most / 8 + at] = most[at] as number;
  }

  /** Takes over what a host has, from rows of so many amounts. */
  see(slot: number, { free, models, perUnit, ready }: Rows, stride: number): void {
    const { seen } = this;
    const columns = this.#row - this.#size;
    const [from, to] = [slot * stride, slot * this.#row];
    for (let at = 0; at < this.#size; at += 1) seen.perUnit[to + at] = perUnit[from + at] as number;
    for (let at = 0; at < columns; at += 1) {
      seen.perUnit[to + this.#size + at] = perUnit[from + BASE + at] as number;
      seen.models[slot * columns + at] = models[slot * (stride - BASE) + at] as number;
    }
    this.seeFree(slot, free, stride);
    this.setReady(slot, ready[slot] as number);
  }

  /** The same of a host that is as it was, but for what is free there; false when that is as it was, too. */
  seeFree(slot: number, free: Float64Array, stride: number): boolean {
    const seen = this.seen.free;
    const [size, row] = [this.#size, this.#row];
    const [from, to] = [slot * stride, slot * row];
    let isOther = false;
    for (let at = 0; at < row; at += 1) {
      const now = free[from + (at < size ? at : BASE + at - size)] as number;
      if (seen[to + at] === now) continue;
      seen[to + at] = now;
      isOther = true;
    }
    return isOther;
  }

  /** What the score of a lane on a host without devices is made of; for a request that fits there. */
  measure(strip: number, lane: number, slot: number): { readonly full: number; readonly keeps: number } {
    this.run.measure(strip, lane, slot);
    const at = this.#made / 8 + (lane & 1);
    return { full: this.f64[at] as number, keeps: this.f64[at + 2] as number };
  }

  setReady(slot: number, ready: number): void {
    this.u8[this.#ready + slot] = ready;
  }

  isReady(slot: number): boolean {
    return this.u8[this.#ready + slot] === 1;
  }

  /** Where that is, and where it is said what of them has changed in a strip. */
  get slotsAt(): number {
    return this.#slots;
  }

  get changedAt(): number {
    return this.#changed;
  }

  /** And where what their scores were. */
  get beforeAt(): number {
    return this.#before;
  }
}
