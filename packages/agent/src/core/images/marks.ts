/**
 * When the store of images is too full, and what may go. Two marks: above the high one, images are removed until the low
 * one is reached, so that a full disk is not cleaned one image at a time. Pure: sizes and times are parameters.
 */
import { err, ok, parseBytes, type ImageOnHost, type Result } from "@berth/schema";

/** Of the file system's use (`percent`, 1 to 99), or of the store's own size (`bytes`). */
export interface Marks {
  readonly unit: "percent" | "bytes";
  readonly high: number;
  readonly low: number;
}

/** The marks that kubelet made usual. */
export const DEFAULT_MARKS: Marks = { unit: "percent", high: 85, low: 80 };
const LOW_OF_HIGH = 0.8;

const markOf = (text: string): Result<{ readonly unit: Marks["unit"]; readonly value: number }, string> => {
  const percent = /^(\d{1,2})%$/.exec(text)?.[1];
  if (percent !== undefined) {
    return Number(percent) === 0
      ? err("0% leaves no room for anything")
      : ok({ unit: "percent", value: Number(percent) });
  }
  const bytes = parseBytes(text);
  return bytes.ok
    ? ok({ unit: "bytes", value: bytes.value })
    : err(`"${text}": write 85% of the disk, or a size like 40Gi`);
};

export const parseMarks = (high: string | undefined, low: string | undefined): Result<Marks, string> => {
  if (high === undefined && low === undefined) return ok(DEFAULT_MARKS);
  if (high === undefined) return err("lowWater means nothing without highWater");
  const upper = markOf(high);
  if (!upper.ok) return upper;
  const { unit, value } = upper.value;
  if (low === undefined) return ok({ unit, high: value, low: Math.floor(value * LOW_OF_HIGH) });
  const lower = markOf(low);
  if (!lower.ok) return lower;
  if (lower.value.unit !== unit) return err("both are shares of the disk, or both are sizes");
  if (lower.value.value >= value) return err("lowWater must be below highWater");
  return ok({ unit, high: value, low: lower.value.value });
};

export interface Fill {
  /** Of the file system. */
  readonly usedBytes: number;
  readonly totalBytes: number;
  /** Of the store alone. */
  readonly storeBytes: number;
}

/** Bytes to be freed now: 0 below the high mark, else what leads to the low one. */
export const excessOf = (marks: Marks, fill: Fill): number => {
  if (marks.unit === "bytes") return fill.storeBytes > marks.high ? fill.storeBytes - marks.low : 0;
  if (fill.usedBytes * 100 <= marks.high * fill.totalBytes) return 0;
  return Math.ceil(fill.usedBytes - (marks.low / 100) * fill.totalBytes);
};

export interface Candidate {
  readonly name: string;
  readonly source: ImageOnHost["source"];
  readonly uses: number;
  readonly usedAtMs: number;
}

/** What may be removed, least recently used first. An imported image may be nowhere else; one in use is needed. */
export const removable = <T extends Candidate>(images: readonly T[]): readonly T[] =>
  images
    .filter(({ source, uses }) => source !== "import" && uses === 0)
    .toSorted((a, b) => a.usedAtMs - b.usedAtMs || (a.name < b.name ? -1 : 1));
