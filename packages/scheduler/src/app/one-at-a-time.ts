/** Long answers, computed beside everything else that the process does: one at a time, and a few may wait. */
import { err, ok, problem, type Problem, type Result } from "@berth/schema";

/** Runs `work` when it is its turn; refuses when too many wait. */
export type InTurn = <T>(work: () => Promise<T>) => Promise<Result<T, Problem>>;

const MAX_WAITING = 4;

export const createInTurn = (): InTurn => {
  let waiting = 0;
  let last: Promise<unknown> = Promise.resolve();
  return async (work) => {
    if (waiting >= MAX_WAITING) {
      return err(
        problem("request.too_many", "other plans are being made; ask again in a moment", { retryAfterMs: 2_000 }),
      );
    }
    waiting += 1;
    const mine = last.then(work).finally(() => (waiting -= 1));
    // Whoever comes next waits for the end, whatever it was.
    last = mine.catch(() => undefined);
    return ok(await mine);
  };
};
