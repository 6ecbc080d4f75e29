/** What the benchmark reports: one figure a line, with the target it is held against where there is one. */

export type Unit =
  | "hosts"
  | "s"
  | "ms"
  | "us"
  | "ratio"
  | "1/s"
  | "records/s"
  | "MiB"
  | "KiB"
  | "bytes"
  | "%"
  | "containers"
  | "tasks"
  | "cost"
  | "text";

export interface Figure {
  readonly name: string;
  /** NaN: could not be measured; `note` says why. */
  readonly value: number;
  readonly unit: Unit;
  /** What it is compared with, or null. */
  readonly versus: string | null;
  readonly target: number | null;
  readonly met: boolean | null;
  readonly note?: string;
}

interface More {
  readonly versus?: string;
  /** Met when the value is not above. */
  readonly atMost?: number;
  /** Met when the value is not below. */
  readonly atLeast?: number;
  readonly note?: string;
}

export const figure = (name: string, value: number, unit: Unit, more: More = {}): Figure => ({
  name,
  value,
  unit,
  versus: more.versus ?? null,
  target: more.atMost ?? more.atLeast ?? null,
  met: Number.isNaN(value)
    ? null
    : more.atMost !== undefined
      ? value <= more.atMost
      : more.atLeast !== undefined
        ? value >= more.atLeast
        : null,
  ...(more.note === undefined ? {} : { note: more.note }),
});

export const quantile = (values: readonly number[], part: number): number =>
  values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * part))] ?? Number.NaN;

/** Of an even number what lies between the two in the middle: most rounds are of four. */
export const median = (values: readonly number[]): number => {
  const sorted = values.toSorted((a, b) => a - b);
  const upper = sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[sorted.length / 2 - 1] ?? Number.NaN)) / 2;
};

/** Median of the ratios of values that were measured in the same round. */
export const pairedRatio = (of: readonly number[], over: readonly number[]): number =>
  median(of.flatMap((value, round) => (over[round] === undefined ? [] : [value / over[round]])));

export const showFigure = (one: Figure): string => {
  const value = Number.isNaN(one.value) ? "-" : one.value.toFixed(one.value >= 100 ? 0 : 2);
  const sign = one.met === null ? "" : one.met ? "met" : "MISSED";
  const target = one.target === null ? "" : `target ${Number(one.target.toFixed(3))} ${sign}`;
  const note = one.note === undefined ? "" : `  (${one.note})`;
  return `${one.name.padEnd(58)} ${value.padStart(9)} ${one.unit.padEnd(6)} ${target}${note}`.trimEnd();
};
