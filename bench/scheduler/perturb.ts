/**
 * `BERTH_PERTURB=N`: the traces as they are not. From every N another copy comes: amounts and times a little larger or smaller,
 * what came in one order in another, some of it twice and some not at all. What was learned from a file by heart does badly
 * on its copies.
 */
import { seededRandom, type Random } from "../../packages/scheduler/sim/random.ts";

const seed = process.env["BERTH_PERTURB"];

/** Undefined: everything as it is in the files. */
const random: Random | undefined = seed === undefined ? undefined : seededRandom(Number(seed));

export const isPerturbed = random !== undefined;

/** An amount that is up to `spread` larger or smaller, as a share of it; whole, and at least 1 where it was. */
export const jittered = (amount: number, spread: number): number => {
  if (random === undefined || amount === 0) return amount;
  const by = (random.below(2_001) / 1_000 - 1) * spread;
  return Math.max(1, Math.round(amount * (1 + by)));
};

/** As many, drawn with replacement. */
export const redrawn = <T>(all: readonly T[]): readonly T[] =>
  random === undefined ? all : all.map(() => all[random.below(all.length)] as T);

/** Another seed for whoever draws at random. */
export const otherSeed = (given: number): number => (random === undefined ? given : given + 1_000 * (1 + Number(seed)));
