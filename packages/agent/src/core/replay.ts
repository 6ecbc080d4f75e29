/**
 * Refuses a request that was obeyed before. Whoever signs requests numbers them; of each issuer the numbers within a window
 * behind the highest are remembered, and what lies before it counts as seen (the anti-replay window of RFC 4303, section
 * 3.4.3). No clock is asked, so that none can be wrong. A newer epoch forgets everything: older ones are refused anyway.
 */
const WINDOW = 1_024;
/** Schedulers that are started again within one epoch, and then some. */
const MAX_ISSUERS = 256;

export type ReplayVerdict = "new" | "seen" | "too_many_issuers";

export interface ReplayGuard {
  /** To be asked once for each request, after everything else about it was found right. */
  readonly admit: (epoch: number, issuer: string, seq: number) => ReplayVerdict;
}

export const createReplayGuard = (): ReplayGuard => {
  let current = -1;
  const issuers = new Map<string, { top: number; readonly seen: Set<number> }>();
  return {
    admit: (epoch, issuer, seq) => {
      if (epoch < current) return "seen";
      if (epoch > current) issuers.clear();
      current = epoch;
      const known = issuers.get(issuer);
      if (known === undefined && issuers.size >= MAX_ISSUERS) return "too_many_issuers";
      const one = known ?? { top: -1, seen: new Set<number>() };
      issuers.set(issuer, one);
      if (seq <= one.top - WINDOW || one.seen.has(seq)) return "seen";
      one.seen.add(seq);
      one.top = Math.max(one.top, seq);
      if (one.seen.size > 2 * WINDOW) {
        for (const old of one.seen) if (old <= one.top - WINDOW) one.seen.delete(old);
      }
      return "new";
    },
  };
};
