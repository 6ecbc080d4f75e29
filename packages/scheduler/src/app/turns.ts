/** So many at a time of each kind, in the order of asking. The others wait, but not for ever, and not without number. */
import { err, type Problem, type Result } from "@berth/schema";

export interface TurnLimits {
  readonly most: number;
  readonly maxWaiting: number;
  readonly patienceMs: number;
}

/** Runs `work` when it is its turn among those of `key`. */
export type InTurns = <T>(key: string, work: () => Promise<Result<T, Problem>>) => Promise<Result<T, Problem>>;

interface Lane {
  running: number;
  /** Called with true when it is their turn, with false when they have waited for too long. */
  readonly waiting: Set<(mine: boolean) => void>;
}

export const createTurns = (
  { most, maxWaiting, patienceMs }: TurnLimits,
  refusal: (key: string) => Problem,
): InTurns => {
  const lanes = new Map<string, Lane>();

  const enter = async (key: string): Promise<boolean> => {
    const lane = lanes.get(key) ?? { running: 0, waiting: new Set() };
    lanes.set(key, lane);
    if (lane.running < most) {
      lane.running += 1;
      return true;
    }
    if (lane.waiting.size >= maxWaiting) return false;
    return new Promise((resolve) => {
      const go = (mine: boolean): void => {
        clearTimeout(timer);
        lane.waiting.delete(go);
        resolve(mine);
      };
      const timer = setTimeout(go, patienceMs, false);
      lane.waiting.add(go);
    });
  };

  const leave = (key: string): void => {
    const lane = lanes.get(key);
    if (lane === undefined) return;
    const [next] = lane.waiting;
    // The turn passes on: nobody who comes now gets in between.
    if (next !== undefined) return next(true);
    lane.running -= 1;
    if (lane.running === 0) lanes.delete(key);
  };

  return async (key, work) => {
    if (!(await enter(key))) return err(refusal(key));
    try {
      return await work();
    } finally {
      leave(key);
    }
  };
};
