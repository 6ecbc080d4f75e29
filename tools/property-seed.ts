/**
 * Where properties begin: at the commit, so that one commit is tested the same every time and the next one otherwise. Another
 * place for a search by hand: BERTH_PROPERTY_SEED, a number.
 */
import { execFileSync } from "node:child_process";

/** Without a history, as in an unpacked archive, there is but one place. */
const NO_COMMIT = 1;

const seedOfCommit = (): number => {
  try {
    // Whoever owns the checkout: nothing of it is run.
    const args = ["-c", "safe.directory=*", "rev-parse", "HEAD"];
    const commit = execFileSync("git", args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
    return Number.parseInt(commit.slice(0, 8), 16) | 0;
  } catch {
    return NO_COMMIT;
  }
};

/** A 32-bit number; throws when the environment names another thing. */
export const propertySeed = (given = process.env["BERTH_PROPERTY_SEED"]): number => {
  if (given === undefined || given === "") return seedOfCommit();
  const seed = Number(given);
  if (!Number.isInteger(seed)) throw new Error(`BERTH_PROPERTY_SEED must be a whole number, not ${given}`);
  return seed | 0;
};
