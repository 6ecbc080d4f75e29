/** Amounts in a row: the dimensions in the order in which they became known, and behind them the columns of devices. */

import { DIMENSIONS, KEPT, MAX_COUNTED } from "@berth/schema";

export type Vector = Float64Array;

/** So many dimensions a cluster may have. What is more than these, no host can be booked for. */
export const BASE = DIMENSIONS.length + KEPT.length + MAX_COUNTED;
/** So many columns of devices: one for each amount of the nth device of a kind, of all hosts alike. */
export const DEVICE_COLUMNS = 48;
/** Length of every vector: dimensions, and columns of devices. */
export const STRIDE = BASE + DEVICE_COLUMNS;

/** Behind so many amounts there is nothing in any vector. */
export const widthOf = (state: {
  readonly dimensions: readonly string[];
  readonly devices: { readonly width: () => number };
}): number => (state.devices.width() === 0 ? state.dimensions.length : STRIDE);

/** Of full length, from amounts that were kept shorter. */
export const padded = (amounts: ArrayLike<number>): Vector => {
  const vector = new Float64Array(STRIDE);
  vector.set(amounts);
  return vector;
};

/** Adds a vector so many times (-1: takes it away), or the first `width` of it, in the row of `sums` that begins at `from`. */
export const addRow = (sums: Float64Array, from: number, vector: Vector, times = 1, width: number = STRIDE): void => {
  for (let at = 0; at < width; at += 1) {
    sums[from + at] = (sums[from + at] as number) + times * (vector[at] as number);
  }
};

/** Few sizes, so that a larger request than any before is rare. */
export const roundedUp = (amount: number): number => {
  let size = 1;
  while (size < amount) size *= 2;
  return size;
};

/** So many steps between two powers of two: amounts of one step are about the same. */
const STEPS = 4;

export const aboutAs = (amount: number): number => {
  let step = 1;
  while (step * 2 * STEPS <= amount) step *= 2;
  return Math.round(amount / step) * step;
};

/** The largest amount in each dimension among so many rows. */
export const largestOf = (rows: ArrayLike<number>, count: number): Float64Array => {
  const largest = new Float64Array(STRIDE);
  for (let at = 0; at < count * STRIDE; at += 1) {
    const amount = rows[at] as number;
    if (amount > (largest[at % STRIDE] as number)) largest[at % STRIDE] = amount;
  }
  return largest;
};
