/**
 * How many of something stand on which hosts: pairs of a slot and its count in one flat array, open addressing, so that a look
 * costs one line of memory and a count nothing to collect. Eight bytes for each place of the table, which is at most half full.
 */
import { closeGap } from "./close-gap.ts";

export class SlotCounts {
  /** Slot + 1 and count, side by side; 0: nobody's place. */
  #pairs = new Int32Array(16);
  #shift = 29;
  #size = 0;

  #homeOf(first: number): number {
    return (Math.imul(first, 0x9e3779b1) >>> this.#shift) << 1;
  }

  /** Where this slot stands, or would. */
  #find(slot: number): number {
    const pairs = this.#pairs;
    const last = pairs.length - 1;
    let at = this.#homeOf(slot + 1);
    while (pairs[at] !== 0 && pairs[at] !== slot + 1) at = (at + 2) & last;
    return at;
  }

  get(slot: number): number {
    return this.#pairs[this.#find(slot) + 1] as number;
  }

  /** Returns how many there are now. */
  add(slot: number, by: number): number {
    let at = this.#find(slot);
    if (this.#pairs[at] === 0) {
      if (4 * (this.#size + 1) > this.#pairs.length) {
        this.#grow();
        at = this.#find(slot);
      }
      this.#pairs[at] = slot + 1;
      this.#size += 1;
    }
    const count = (this.#pairs[at + 1] as number) + by;
    this.#pairs[at + 1] = count;
    if (count !== 0) return count;
    closeGap(this.#pairs, at, (first) => this.#homeOf(first));
    this.#size -= 1;
    return count;
  }

  each(visit: (slot: number, count: number) => void): void {
    const pairs = this.#pairs;
    for (let at = 0; at < pairs.length; at += 2) {
      if (pairs[at] !== 0) visit((pairs[at] as number) - 1, pairs[at + 1] as number);
    }
  }

  #grow(): void {
    const before = this.#pairs;
    this.#pairs = new Int32Array(before.length * 2);
    this.#shift -= 1;
    for (let at = 0; at < before.length; at += 2) {
      if (before[at] === 0) continue;
      const to = this.#find((before[at] as number) - 1);
      this.#pairs[to] = before[at] as number;
      this.#pairs[to + 1] = before[at + 1] as number;
    }
  }
}
