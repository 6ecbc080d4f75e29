/** The sheets of a board, by the places in whose domains they see the hosts; and these places, by the labels they are made of. */
import type { Lookup } from "@berth/schema";
import { partitionBy, placeBy, type Place } from "./places.ts";
import type { RuleCheck } from "./rule-check.ts";
import type { ScoreKernel } from "./score-kernel.ts";
import { Sheet } from "./score-strip.ts";

export class Sheets {
  readonly #places = new Map<string, Place>();
  readonly #sheets = new Map<string, Sheet>();

  placeOf(path: string, lookups: readonly Lookup[]): Place {
    const known = this.#places.get(path) ?? placeBy(path, lookups);
    this.#places.set(path, known);
    return known;
  }

  /** The sheet for such rules; hosts in this order, requests of `width` dimensions. */
  for(check: RuleCheck | null, kernel: ScoreKernel, ordered: readonly number[], width: number): Sheet {
    const key = check?.rules.places.join("\n") ?? "";
    const known = this.#sheets.get(key);
    if (known !== undefined) return known;
    // Anybody may name labels: what no class needs any more makes room.
    for (const [other, sheet] of this.#sheets) if (sheet.isEmpty()) this.#release(other, sheet);
    const made = new Sheet(kernel, partitionBy(check?.places ?? [], ordered), width);
    this.#sheets.set(key, made);
    return made;
  }

  values(): Iterable<Sheet> {
    return this.#sheets.values();
  }

  /** Other labels: places are others. Of their sheets no lane is open any more. */
  forgetPlaces(): void {
    this.#places.clear();
    for (const [key, sheet] of this.#sheets) if (key !== "") this.#release(key, sheet);
  }

  /** The memory that they stood in is gone. */
  clear(): void {
    this.#places.clear();
    this.#sheets.clear();
  }

  #release(key: string, sheet: Sheet): void {
    sheet.release();
    this.#sheets.delete(key);
  }
}
