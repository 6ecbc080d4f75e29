/**
 * What is asked for lately: how often each request was placed, forgetting half of it every HALF_LIFE placements. Learned
 * from the log as it is folded and from nothing else, without any prior, so that every instance knows the same.
 *
 * The packer works with a snapshot, the mix: the few requests that matter most, by frequency and size. It is renewed only
 * when the demand has turned noticeably, because with every new mix all remembered scores are void.
 */
import type { Vector } from "./feasibility.ts";

export interface Mix {
  /** Counts renewals. */
  readonly version: number;
  /** Their weights add up to 1. */
  readonly requests: readonly { readonly request: Vector; readonly weight: number }[];
}

/** Everything that was learned, as JSON. */
export interface DemandFacts {
  readonly known: readonly (readonly [request: readonly number[], count: number])[];
  readonly shares: readonly (readonly [request: string, share: number])[];
  readonly noted: number;
  readonly version: number;
  readonly mix: readonly { readonly request: readonly number[]; readonly weight: number }[];
}

export interface Demand {
  readonly mix: Mix;
  /** Notes one placement. `key` is the request's own, the same for equal requests; `hosts` how many there are. */
  readonly note: (key: string, request: Vector, hosts: number) => void;
  readonly facts: () => DemandFacts;
}

/** Placements after which half is forgotten: a day's worth for a small cluster, and in a large one a few for each host. */
const HALF_LIFE = 2_048;
const HALF_LIFE_PER_HOST = 4;
const MIX_SIZE = 8;
const MAX_KNOWN = 256;
/** The demand is compared with the mix after 1, 2, 4, … placements, and so often in a half-life. */
const COMPARISONS = 4;
/** Renewed when this share of the demand, counted on both sides, is another one. */
const NOTICEABLE = 0.3;

export const EMPTY_MIX: Mix = { version: 0, requests: [] };

/** With `learned` it goes on where that one was. */
export const createDemand = (learned?: DemandFacts): Demand => {
  const known = new Map<string, { readonly request: Vector; count: number }>(
    learned?.known.map(([request, count]) => [request.join(","), { request: Float64Array.from(request), count }]),
  );
  let mix: Mix =
    learned === undefined
      ? EMPTY_MIX
      : {
          version: learned.version,
          requests: learned.mix.map(({ request, weight }) => ({ request: Float64Array.from(request), weight })),
        };
  let shares = new Map<string, number>(learned?.shares);
  let noted = learned?.noted ?? 0;

  const forget = (): void => {
    for (const [key, entry] of known) {
      entry.count /= 2;
      if (entry.count < 0.1) known.delete(key);
    }
  };

  const heaviest = () => [...known].sort(([a, left], [b, right]) => right.count - left.count || (a < b ? -1 : 1));

  const renew = (): void => {
    const total = [...known.values()].reduce((sum, { count }) => sum + count, 0);
    const next = new Map([...known].map(([key, { count }]) => [key, count / total]));
    // All of the demand is compared, not only what is in the mix: among many requests of like weight it is chance which are.
    let turned = 0;
    for (const key of new Set([...next.keys(), ...shares.keys()])) {
      turned += Math.abs((next.get(key) ?? 0) - (shares.get(key) ?? 0));
    }
    if (turned <= NOTICEABLE) return;
    shares = next;
    const top = heaviest().slice(0, MIX_SIZE);
    const sum = top.reduce((weight, [, { count }]) => weight + count, 0);
    mix = {
      version: mix.version + 1,
      requests: top.map(([, { request, count }]) => ({ request, weight: count / sum })),
    };
  };

  return {
    get mix() {
      return mix;
    },
    facts: () => ({
      known: [...known.values()].map(({ request, count }) => [[...request], count] as const),
      shares: [...shares],
      noted,
      version: mix.version,
      mix: mix.requests.map(({ request, weight }) => ({ request: [...request], weight })),
    }),
    note: (key, request, hosts) => {
      const entry = known.get(key);
      if (entry !== undefined) entry.count += 1;
      else {
        known.set(key, { request, count: 1 });
        // A flood of requests that nobody repeats must not grow without bound, nor push out what is asked for often.
        if (known.size > MAX_KNOWN) known.delete(heaviest().at(-1)?.[0] ?? key);
      }
      noted += 1;
      // A power of two, so that the moments stay in step while hosts come and go.
      let halfLife = HALF_LIFE;
      while (halfLife < HALF_LIFE_PER_HOST * hosts) halfLife *= 2;
      if (noted % halfLife === 0) forget();
      if ((noted & (noted - 1)) === 0 || noted % (halfLife / COMPARISONS) === 0) renew();
    },
  };
};
