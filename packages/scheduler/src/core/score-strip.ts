/**
 * Strips: the scores of eight classes beside each other, in the memory of the kernel. All strips of a sheet see the hosts in
 * the same order, that of a partition. A host that cannot take the request has a negative score and never wins; among equals
 * the first position does.
 */
import type { Alignments } from "./host-ends.ts";
import { GROUP, type Partition } from "./places.ts";
import type { RuleCheck } from "./rule-check.ts";
import type { ScoreKernel } from "./score-kernel.ts";
import { CANNOT, type Ask } from "./scorer.ts";
import { divisorOf, ended, endedAtMost, isPlain } from "./lane-rules.ts";

export const LANES = 8;
/** A rule refuses this host, whatever it has left; below CANNOT, so that a change of its room is no news. */
export const REFUSED = CANNOT - 1;
/** In the place of the best position of a domain: has to be found again. */
const UNKNOWN_TOP = -2;

/** As kernel/score.ts has them, in bytes. */
const HEAD = {
  positionOf: 0,
  slotAt: 4,
  length: 8,
  levels: 12,
  level: 16,
  divided: 52,
  tops: 56,
  domainOf: 60,
  own: 64,
  returns: 128,
  divisors: 192,
  requests: 256,
} as const;
const ROW = LANES * 4;
const AMOUNTS = LANES * 8;
/** Of the best of a domain: eight positions, and eight scores. */
const TOP = 2 * ROW;

/** The scores of one class. */
export interface Lane {
  /** Where its scores are, until the sheet is arranged anew: which strip, and which lane of that. */
  strip: Strip;
  inside: number;
  readonly check: RuleCheck | null;
  readonly ask: Ask;
  /** Hosts whose counters have changed. */
  readonly recounted: Set<number>;
  /** False: its scores are void. */
  isLive: boolean;
  /** Which hosts were ready is known up to this change. */
  readiness: number;
}

export interface Strip {
  readonly sheet: Sheet;
  /** Its address, and that of its scores. */
  readonly at: number;
  readonly leaves: number;
  /** Where the best of each domain stands: its position, -1 for none, UNKNOWN_TOP for one that has to be found again. */
  readonly tops: number;
  readonly lanes: (Lane | undefined)[];
  /** The kernel says all there is to say of its lanes, on hosts without devices. */
  isPlain: boolean;
  /** The changes up to this mark of the journal are in the scores of live lanes. */
  mark: number;
}

/** The addresses of its levels behind a head; whole groups, so that nobody looks beyond the end. */
const levelsOf = (length: number, size: number): { readonly levels: readonly number[]; readonly bytes: number } => {
  const levels: number[] = [];
  let bytes = HEAD.requests + size * AMOUNTS;
  for (let rows = Math.max(1, length); ; rows = Math.ceil(rows / GROUP)) {
    levels.push(bytes);
    bytes += Math.ceil(rows / GROUP) * GROUP * ROW;
    if (rows <= GROUP) break;
  }
  return { levels, bytes };
};

export class Sheet {
  readonly kernel: ScoreKernel;
  readonly partition: Partition;
  readonly #size: number;
  readonly #positionOf: number;
  readonly #slotAt: number;
  readonly #domainOf: number;
  readonly #levels: readonly number[];
  readonly #bytes: number;
  readonly #strips: Strip[] = [];

  /** For requests of `size` dimensions. */
  constructor(kernel: ScoreKernel, partition: Partition, size: number) {
    [this.kernel, this.partition, this.#size] = [kernel, partition, size];
    this.#positionOf = kernel.alloc(partition.positionOf.length * 4);
    this.#slotAt = kernel.alloc(partition.length * 4);
    this.#domainOf = kernel.alloc(partition.domainOf.length * 4);
    kernel.i32.set(partition.domainOf, this.#domainOf / 4);
    kernel.i32.set(partition.positionOf, this.#positionOf / 4);
    kernel.i32.set(partition.slotAt, this.#slotAt / 4);
    const { bytes, levels } = levelsOf(partition.length, size);
    [this.#levels, this.#bytes] = [levels, bytes + partition.domains * TOP];
  }

  #add(): Strip {
    const { kernel, partition } = this;
    const at = kernel.alloc(this.#bytes);
    const leaves = at + (this.#levels[0] as number);
    const tops = at + this.#bytes - partition.domains * TOP;
    kernel.i32.fill(CANNOT, leaves / 4, (at + this.#bytes) / 4);
    // As `blank` has it.
    kernel.f64.fill(Number.POSITIVE_INFINITY, (at + HEAD.requests) / 8, (at + HEAD.requests) / 8 + LANES);
    const set = (offset: number, value: number): void => {
      kernel.i32[(at + offset) / 4] = value;
    };
    set(HEAD.positionOf, this.#positionOf);
    set(HEAD.slotAt, this.#slotAt);
    set(HEAD.length, partition.length);
    set(HEAD.levels, this.#levels.length);
    // Without places nobody asks for the best of a domain.
    if (partition.values.length > 0) set(HEAD.tops, tops);
    set(HEAD.domainOf, this.#domainOf);
    this.#levels.forEach((level, index) => set(HEAD.level + index * 4, at + level));
    const lanes = Array.from({ length: LANES }, () => undefined);
    const strip = { sheet: this, at, leaves, tops, lanes, isPlain: true, mark: 0 };
    this.#strips.push(strip);
    return strip;
  }

  /** A lane that is to be filled. */
  open(check: RuleCheck | null, ask: Ask, readiness: number): Lane {
    const strip = this.#strips.find(({ lanes }) => lanes.includes(undefined)) ?? this.#add();
    const inside = strip.lanes.indexOf(undefined);
    const lane = { strip, inside, check, ask, recounted: new Set<number>(), isLive: false, readiness };
    this.#put(lane);
    return lane;
  }

  #put(lane: Lane): void {
    const { ask, inside, strip } = lane;
    strip.lanes[inside] = lane;
    strip.isPlain = strip.lanes.every(isPlain);
    forgetTops(lane);
    setDivisors(strip);
    const from = (strip.at + HEAD.requests) / 8 + inside;
    for (let at = 0; at < this.#size; at += 1) this.kernel.f64[from + at * LANES] = ask.request[at] as number;
  }

  /**
   * Voids all lanes, and puts those of like size beside each other: a host that has no room for one of a strip has none for the
   * others then, and nothing is to be counted there.
   */
  arrange(sizeOf: (lane: Lane) => number): void {
    const lanes = this.#strips.flatMap((strip) => strip.lanes.filter((lane) => lane !== undefined));
    for (const lane of lanes) {
      close(lane);
      blank(lane);
    }
    const sized = lanes.map((lane) => ({ lane, size: sizeOf(lane) })).sort((a, b) => a.size - b.size);
    sized.forEach(({ lane }, at) => {
      lane.strip = this.#strips[Math.floor(at / LANES)] as Strip;
      lane.inside = at % LANES;
      this.#put(lane);
    });
  }

  /** No lane of it is open. */
  isEmpty(): boolean {
    return this.#strips.every(({ lanes }) => lanes.every((lane) => lane === undefined));
  }

  /** Gives all of its memory back; its lanes are closed. */
  release(): void {
    for (const { at } of this.#strips) this.kernel.release(at, this.#bytes);
    this.kernel.release(this.#positionOf, this.partition.positionOf.length * 4);
    this.kernel.release(this.#slotAt, this.partition.length * 4);
    this.kernel.release(this.#domainOf, this.partition.domainOf.length * 4);
  }
}

export const close = (lane: Lane): void => {
  const { inside, strip } = lane;
  lane.isLive = false;
  strip.lanes[inside] = undefined;
  strip.isPlain = strip.lanes.every(isPlain);
};

/** What was in this lane fits nowhere from here on: to find that out costs nothing. */
export const blank = ({ strip, inside }: Lane): void => {
  strip.sheet.kernel.f64[(strip.at + HEAD.requests) / 8 + inside] = Number.POSITIVE_INFINITY;
};

/** The size of its request and how much of that comes back, as the valuation has them. */
export const setOwn = ({ strip, inside }: Lane, own: number, returns: number): void => {
  const { f64 } = strip.sheet.kernel;
  f64[(strip.at + HEAD.own) / 8 + inside] = own;
  f64[(strip.at + HEAD.returns) / 8 + inside] = returns;
};

/** By what the scores of its lanes are divided. */
const setDivisors = ({ at, lanes, sheet: { kernel } }: Strip): void => {
  const divisors = lanes.map((lane) => (lane === undefined ? 1 : divisorOf(lane)));
  kernel.f64.set(divisors, (at + HEAD.divisors) / 8);
  kernel.i32[(at + HEAD.divided) / 4] = divisors.some((by) => by !== 1) ? 1 : 0;
};

/** Where the best of a domain stands in `kernel.i32`; its score stands LANES behind it. */
const topAt = ({ strip, inside }: Lane, domain: number): number => (strip.tops + domain * TOP) / 4 + inside;

export const forgetTop = (lane: Lane, domain: number): void => {
  lane.strip.sheet.kernel.i32[topAt(lane, domain)] = UNKNOWN_TOP;
};

export const forgetTops = (lane: Lane): void => {
  const { domains } = lane.strip.sheet.partition;
  for (let domain = 0; domain < domains; domain += 1) forgetTop(lane, domain);
};

/** Where the score at a position stands in `kernel.i32`. */
export const leafOf = ({ strip, inside }: Pick<Lane, "strip" | "inside">, position: number): number =>
  (strip.leaves + position * ROW) / 4 + inside;

export const scoreAt = (lane: Lane, position: number): number =>
  lane.strip.sheet.kernel.i32[leafOf(lane, position)] as number;

/** Whether a rule refused the host when it was looked at last. */
export const wasRefused = (lane: Lane, slot: number): boolean =>
  scoreAt(lane, lane.strip.sheet.partition.positionOf[slot] as number) === REFUSED;

/** Sets the score of a host. */
export const setScore = (lane: Lane, slot: number, score: number): void => {
  const { strip } = lane;
  const { kernel, partition } = strip.sheet;
  const position = partition.positionOf[slot] as number;
  const leaf = leafOf(lane, position);
  if (kernel.i32[leaf] === score) return;
  kernel.i32[leaf] = score;
  kernel.run.raise(strip.at, position);
  forgetTop(lane, partition.domainOf[slot] as number);
};

/** Voids a lane: hosts that are not refused (null: none is) fit nowhere until they are scored. */
export const refuse = (lane: Lane, isRefused: ((slot: number) => boolean) | null): void => {
  const { i32 } = lane.strip.sheet.kernel;
  const { slotAt } = lane.strip.sheet.partition;
  const first = leafOf(lane, 0);
  for (let position = 0; position < slotAt.length; position += 1) {
    const slot = slotAt[position] as number;
    i32[first + position * LANES] = isRefused !== null && slot >= 0 && isRefused(slot) ? REFUSED : CANNOT;
  }
};

/** Positions that a row of each level stands for, from the second on. */
const LEVEL_SPANS = [GROUP, GROUP ** 2, GROUP ** 3, GROUP ** 4] as const;

/**
 * The host among the positions `from` … `to` - 1 (multiples of eight) of the highest total, the first of equals: its score,
 * with `added`, and how its work ends together with the task count alike. Where no more than `limit` are looked at, beside the
 * one of the highest score, at `top`, those are the first that could be better than all before.
 */
export const bestAligned = (
  lane: Lane,
  [from, to]: readonly [number, number],
  added: number,
  { known, limit, of }: Alignments,
  top: number,
): { readonly slot: number; readonly total: number } | undefined => {
  const { inside, strip } = lane;
  const { kernel, partition } = strip.sheet;
  const { i32 } = kernel;
  const { slotAt } = partition;
  const count = (i32[(strip.at + HEAD.levels) / 4] as number) - 1;
  const leaves = strip.leaves / 4 + inside;
  const totalAt = (position: number): number => {
    const slot = slotAt[position] as number;
    const before = known[slot] as number;
    const score = i32[leaves + position * LANES] as number;
    return ended(lane, slot, score, before >= 0 ? before : of(slot)) + added;
  };
  let [best, most, looked] = [-1, -1, 0];
  if (limit < Number.POSITIVE_INFINITY && top >= 0) {
    [best, most] = [top, totalAt(top)];
    // Mostly there: nothing can be better than the one that packs best.
    if (endedAtMost(lane, i32[leaves + top * LANES] as number) + added <= most)
      return { slot: slotAt[top] as number, total: most };
  }
  /** None with this score or less is better, however its work ends. */
  const cannotWin = (score: number): boolean => score < 0 || endedAtMost(lane, score) + added <= most;
  /** The end of the largest row that begins here and has none that is better; `begin`: there is none. */
  const skipped = (begin: number): number => {
    for (let level = Math.min(count, LEVEL_SPANS.length); level > 0; level -= 1) {
      const span = LEVEL_SPANS[level - 1] as number;
      if (begin % span !== 0) continue;
      const row = (i32[(strip.at + HEAD.level) / 4 + level] as number) / 4 + inside + (begin / span) * LANES;
      if (cannotWin(i32[row] as number)) return begin + span;
    }
    return begin;
  };
  for (let begin = from; begin < to && looked < limit;) {
    const next = skipped(begin);
    const end = Math.min(begin + GROUP, to);
    for (let position = begin; position < end && next === begin; position += 1) {
      if (cannotWin(i32[leaves + position * LANES] as number)) continue;
      const total = totalAt(position);
      looked += 1;
      if (total > most) [best, most] = [position, total];
    }
    begin = Math.max(next, begin + GROUP);
  }
  return best < 0 ? undefined : { slot: slotAt[best] as number, total: most };
};

/** The best position, or -1 when none can take the request. */
export const topOf = ({ strip, inside }: Lane): number => strip.sheet.kernel.run.top(strip.at, inside);

/** The best position of a domain, or -1. */
export const topIn = (lane: Lane, domain: number): number => {
  const { inside, strip } = lane;
  const { kernel, partition } = strip.sheet;
  const at = topAt(lane, domain);
  const known = kernel.i32[at] as number;
  if (known !== UNKNOWN_TOP) return known;
  const [from, to] = [partition.begins[domain] as number, partition.begins[domain + 1] as number];
  const top = kernel.run.topIn(strip.at, inside, from, to);
  kernel.i32[at] = top;
  kernel.i32[at + LANES] = top < 0 ? CANNOT : scoreAt(lane, top);
  return top;
};

/** What stands in the place of what is added in a domain where nobody may stand. */
export const BARRED = -(2 ** 31);

/**
 * The host of the highest total: its score and what is added in its domain. Among equals the one of the lowest rank; undefined
 * when there is none.
 */
export const bestTop = (
  lane: Lane,
  added: Int32Array,
  rank: Int32Array,
): { readonly slot: number; readonly score: number } | undefined => {
  const { kernel, partition } = lane.strip.sheet;
  const { i32 } = kernel;
  const { domains, slotAt } = partition;
  let [best, most] = [-1, -1];
  for (let domain = 0, at = topAt(lane, 0); domain < domains; domain += 1, at += TOP / 4) {
    const more = added[domain] as number;
    if (more === BARRED) continue;
    if (i32[at] === UNKNOWN_TOP) topIn(lane, domain);
    const position = i32[at] as number;
    const total = (i32[at + LANES] as number) + more;
    if (position < 0 || total < most) continue;
    const slot = slotAt[position] as number;
    if (total === most && (rank[slot] as number) > (rank[best] as number)) continue;
    [best, most] = [slot, total];
  }
  return best < 0 ? undefined : { slot: best, score: most };
};
