/** How long to wait before trying again. Randomness is a parameter; full jitter, so that a thousand hosts do not march in step. */
export interface Backoff {
  readonly firstMs: number;
  readonly longestMs: number;
}

/** Wait before attempt number `attempt` (from 1) of a retry; `random` is in [0, 1). Between half and the whole of the doubled step. */
export const backoffMs = ({ firstMs, longestMs }: Backoff, attempt: number, random: number): number => {
  const step = Math.min(longestMs, firstMs * 2 ** Math.min(30, Math.max(0, attempt - 1)));
  return Math.round(step * (0.5 + random / 2));
};
