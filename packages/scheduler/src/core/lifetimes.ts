/**
 * How long what is placed stays: learned from what has ended, and from nothing else. Nobody says when a service or a batch task
 * without a run limit ends, but how many of those that stayed so long are there after as long again can be counted. What is
 * there for long often stays for long; where everything lasts about a day, what was there for most of it soon ends.
 *
 * Counted in buckets, four between any two powers of two, of which older ends count half from time to time. The packer works
 * with a snapshot, renewed after so many ends, because with every new one all that is remembered of hosts is void.
 */

/** As JSON: pairs of a bucket and how many ended in it. */
export interface LifetimesFacts {
  readonly ended: number;
  readonly counts: readonly (readonly [bucket: number, count: number])[];
  /** As they were when the snapshot was made. */
  readonly known: readonly (readonly [bucket: number, count: number])[];
}

/** How likely it is to stay for how long. */
export interface Survival {
  /** The share of all that stays for so long, 0 … 1, and never 0. */
  readonly after: (ms: number) => number;
  /** Moments after a beginning, ascending, from 0 to where hardly anything is left. */
  readonly moments: Float64Array;
  /** What is left at these. */
  readonly left: Float64Array;
  /** How long one stays, expected. */
  readonly meanMs: number;
}

export interface Lifetimes {
  /** Undefined: too little has ended lately to say anything. */
  readonly survival: () => Survival | undefined;
  /** One has ended after so long; `standing` says how many have not. */
  readonly note: (ms: number, standing: () => number) => void;
  /** Older ends count half from here on. */
  readonly forget: () => void;
  readonly facts: () => LifetimesFacts;
}

/** Four of these and less are the first bucket. */
const UNIT_MS = 256;
const PER_OCTAVE = 4;
const BUCKETS = 29 * PER_OCTAVE;

/** The snapshot is renewed after 16, 32, 64 ends, and as many again. */
const FEW = 16;
const RENEWED_AFTER = 64;

/** Where nothing was seen, half of what is there is so after as long again; that counts as much as one that was seen. */
const ASSUMED = 1;

const bucketOf = (ms: number): number => {
  const units = Math.max(PER_OCTAVE, Math.floor(Math.min(ms / UNIT_MS, 2 ** 31 - 1)));
  const octave = 29 - Math.clz32(units);
  return octave * PER_OCTAVE + (units >> octave) - PER_OCTAVE;
};

const beginOf = (bucket: number): number =>
  UNIT_MS * (PER_OCTAVE + (bucket % PER_OCTAVE)) * 2 ** Math.floor(bucket / PER_OCTAVE);

const BEGINS = Float64Array.from({ length: BUCKETS + 1 }, (_, bucket) => beginOf(bucket));

const pairsOf = (counts: Float64Array): [number, number][] => [...counts.entries()].filter(([, count]) => count > 0);

const countsOf = (pairs: LifetimesFacts["counts"] = []): Float64Array => {
  const counts = new Float64Array(BUCKETS);
  for (const [bucket, count] of pairs) counts[bucket] = count;
  return counts;
};

/** What is left at the beginning of each bucket (Kaplan and Meier). */
const leftOf = (counts: Float64Array): Float64Array => {
  const left = new Float64Array(BUCKETS + 1);
  let there = counts.reduce((sum, count) => sum + count, 0);
  left[0] = 1;
  for (let bucket = 0; bucket < BUCKETS; bucket += 1) {
    const assumed = 1 - (BEGINS[bucket] as number) / (BEGINS[bucket + 1] as number);
    const ends = ((counts[bucket] as number) + ASSUMED * assumed) / (there + ASSUMED);
    left[bucket + 1] = (left[bucket] as number) * (1 - ends);
    there = Math.max(0, there - (counts[bucket] as number));
  }
  return left;
};

/** From `counts`, of which some is above 0. */
const survivalOf = (counts: Float64Array): Survival => {
  const byBucket = leftOf(counts);
  const seen = pairsOf(counts).map(([bucket]) => bucket);
  const [shortest, longest] = [seen[0] as number, seen.at(-1) as number];
  const buckets: number[] = [];
  // Two in an octave will do; an octave more, since many end within the first bucket that is seen.
  for (let bucket = Math.max(0, shortest - PER_OCTAVE); bucket <= longest + 2; bucket += 2) buckets.push(bucket);
  const within = buckets.filter((bucket) => bucket <= BUCKETS);
  const moments = Float64Array.from([0, ...within.map((bucket) => BEGINS[bucket] as number)]);
  const left = Float64Array.from([1, ...within.map((bucket) => byBucket[bucket] as number)]);
  let meanMs = 0;
  for (let at = 1; at < moments.length; at += 1) {
    const [from, to] = [moments[at - 1] as number, moments[at] as number];
    meanMs += ((to - from) * ((left[at - 1] as number) + (left[at] as number))) / 2;
  }
  const after = (ms: number): number => {
    if (ms < (BEGINS[0] as number)) return 1;
    const bucket = bucketOf(ms);
    const [from, to] = [BEGINS[bucket] as number, BEGINS[bucket + 1] as number];
    const [before, then] = [byBucket[bucket] as number, byBucket[bucket + 1] as number];
    return before + (then - before) * Math.min(1, (ms - from) / (to - from));
  };
  return { after, moments, left, meanMs };
};

/** With `learned` it goes on where that one was. */
export const createLifetimes = (learned?: LifetimesFacts): Lifetimes => {
  const counts = countsOf(learned?.counts);
  let known = countsOf(learned?.known);
  let ended = learned?.ended ?? 0;
  let survival = known.some((count) => count > 0) ? survivalOf(known) : undefined;
  return {
    survival: () => survival,
    note: (ms, standing) => {
      const bucket = bucketOf(ms);
      counts[bucket] = (counts[bucket] as number) + 1;
      ended += 1;
      if (ended % RENEWED_AFTER !== 0 && (ended < FEW || (ended & (ended - 1)) !== 0)) return;
      // Those that end first end soon: that says something of all only when as many have ended as are there.
      const isTold = counts.reduce((sum, count) => sum + count, 0) >= standing();
      known = isTold ? counts.slice() : countsOf();
      survival = isTold ? survivalOf(known) : undefined;
    },
    forget: () => {
      for (let bucket = 0; bucket < BUCKETS; bucket += 1) counts[bucket] = (counts[bucket] as number) / 2;
    },
    facts: () => ({ ended, counts: pairsOf(counts), known: pairsOf(known) }),
  };
};
