/**
 * For how much of the time that a task is expected to stay on a host others are expected to be there too. What is there alone
 * keeps a host busy for itself; where somebody else stays as long anyway it costs no time of a host at all. By the whole
 * distribution of how long work stays, given how long each has been there already, and not by one number for each: a host is busy
 * for as long as the last of them, and of many the last stays much longer than the mean (repredicted lifetimes: Ling et al., LAVA,
 * MLSys 2025).
 */
import type { Survival } from "./lifetimes.ts";

/** Told in so many steps: where it is hardly ever alone it is never, and nobody looks for a host where that is better still. */
const STEPS = 16;
/** So unlikely that all are gone is as good as impossible. */
const IMPOSSIBLE = 1e-3;

/**
 * 1: it is never alone; 0: nobody is there, or all leave at once. `ends`: when those end at the latest that have to, ascending;
 * `begun`: when the others began.
 */
export const companyOf = (
  { after, left, meanMs, moments }: Survival,
  nowMs: number,
  ends: readonly number[],
  begun: readonly number[],
): number => {
  if (ends.length === 0 && begun.length === 0) return 0;
  const lastMs = ends.at(-1) ?? nowMs;
  let [alone, before] = [0, 0];
  for (let at = 0; at < moments.length; at += 1) {
    const moment = moments[at] as number;
    // The likelihood that this one is still there, and all others are gone.
    let likely = lastMs > nowMs + moment ? 0 : (left[at] as number);
    for (let one = 0; one < begun.length && likely > 0; one += 1) {
      const age = Math.max(0, nowMs - (begun[one] as number));
      likely *= 1 - after(age + moment) / after(age);
      if (likely < IMPOSSIBLE) likely = 0;
    }
    if (at > 0) alone += ((moment - (moments[at - 1] as number)) * (before + likely)) / 2;
    before = likely;
  }
  return Math.round(Math.max(0, 1 - alone / meanMs) * STEPS) / STEPS;
};
