/** The sheets of a board, by the places in whose domains they see the hosts; and these places, by the labels they are made of. */
import type { Lookup } from "@berth/schema";
import { partitionBy, placeBy, type Place } from "./places.ts";
import type { RuleCheck } from "./rule-check.ts";
import type { ScoreKernel } from "./score-kernel.ts";
import { Sheet } from "./score-strip.ts";

export class Sheets {
  readonly #places = new Map<string, Place>();
  /** What a label says of hosts that none of them has: anybody may name such labels, and as many as he likes. */
  #nowhere: Place | undefined;
  readonly #sheets = new Map<string, Sheet>();
  /** Keys of those that a lane has left since it was looked whether they are empty. */
  readonly #left = new Set<string>();

  placeOf(path: string, lookups: readonly Lookup[]): Place {
    const known = this.#places.get(path);
    if (known !== undefined) return known;
    const made = placeBy(path, lookups);
    const place = made.names.length > 0 ? made : (this.#nowhere ??= made);
    this.#places.set(path, place);
    return place;
  }

  /** The sheet for such rules; hosts in this order, requests of `width` dimensions. */
  for(check: RuleCheck | null, kernel: ScoreKernel, ordered: readonly number[], width: number): Sheet {
    const key = keyOf(check);
    const known = this.#sheets.get(key);
    if (known !== undefined) return known;
    // Anybody may name labels: what no class needs any more makes room.
    for (const other of this.#left) {
      const sheet = this.#sheets.get(other);
      if (sheet?.isEmpty()) this.#release(other, sheet);
    }
    this.#left.clear();
    // Until a lane is open.
    this.#left.add(key);
    const made = new Sheet(kernel, partitionBy(check?.places ?? [], ordered), width);
    this.#sheets.set(key, made);
    return made;
  }

  /** A lane for such rules is closed. */
  left(check: RuleCheck | null): void {
    this.#left.add(keyOf(check));
  }

  values(): Iterable<Sheet> {
    return this.#sheets.values();
  }

  /** By these labels places are others. Of their sheets no lane is open any more. */
  forgetPlaces(differs: (path: string) => boolean): void {
    for (const path of this.#places.keys()) if (differs(path)) this.#places.delete(path);
    for (const [key, sheet] of this.#sheets) if (key !== "" && key.split("\n").some(differs)) this.#release(key, sheet);
  }

  /** The memory that they stood in is gone. */
  clear(): void {
    this.#places.clear();
    this.#nowhere = undefined;
    this.#sheets.clear();
    this.#left.clear();
  }

  #release(key: string, sheet: Sheet): void {
    sheet.release();
    this.#sheets.delete(key);
  }
}

const keyOf = (check: RuleCheck | null): string => check?.rules.places.join("\n") ?? "";
