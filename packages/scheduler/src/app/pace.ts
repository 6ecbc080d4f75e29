/** A token bucket: lets through so many at once, and so many a second on the average. */
export interface Pace {
  readonly burst: number;
  readonly perSecond: number;
}

/** Returns whether one more may pass at this time of a monotonic clock. */
export const createPace = ({ burst, perSecond }: Pace, startMs: number): ((nowMs: number) => boolean) => {
  let left = burst;
  let countedAtMs = startMs;
  return (nowMs) => {
    left = Math.min(burst, left + (Math.max(0, nowMs - countedAtMs) * perSecond) / 1_000);
    countedAtMs = nowMs;
    if (left < 1) return false;
    left -= 1;
    return true;
  };
};
