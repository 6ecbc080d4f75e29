/**
 * Whether room that is taken comes back: which share of what was placed lately took the place of something that had ended.
 * Where nothing ever ends every host is needed some day, and a task goes where it strands least, be it on an idle one; where
 * as much ends as begins, an idle host is one that could stay closed.
 *
 * Counted by moments, not by placements: what is placed at one moment had no time to end, so that it counts by the length of
 * its number only. More at one moment than at all before it says nothing, until as much has followed: a cell that is filled in
 * one go, and then gets a little more each minute, is not one where nothing ends. There is no telling at first, and the two mistakes do not cost the same: tasks that end only late keep a
 * host open that they were spread to, while an idle host is there for the next task too. So returning counts as known until
 * so many moments say otherwise.
 */
export interface ReturnsFacts {
  readonly moments: number;
  readonly returned: number;
  /** Placed in all. Absent, as what comes next, from what older versions learned. */
  readonly seen?: number;
  /** So much has to follow before the largest moment is told like others. */
  readonly untold?: number;
  readonly atMs: number;
  readonly placed: number;
  readonly ended: number;
}

export interface Returns {
  /** 0: nothing comes back, 1: at least half of it does; in quarters, and steady around one. */
  readonly level: () => number;
  readonly placed: (atMs: number) => void;
  readonly ended: () => void;
  /** Older moments count half from here on. */
  readonly forget: () => void;
  readonly facts: () => ReturnsFacts;
}

const ASSUMED_MOMENTS = 32;
const LEVELS = 4;
/** A level is left for one that is nearer by this much of a step. */
const STEADY = 0.6 / LEVELS;

/** With `learned` it goes on where that one was, at that level. */
export const createReturns = (learned?: ReturnsFacts, level = 1): Returns => {
  let {
    moments,
    returned,
    seen = 0,
    untold = 0,
    atMs,
    placed,
    ended,
  } = learned ?? {
    moments: 0,
    returned: 0,
    atMs: -1,
    placed: 0,
    ended: 0,
  };
  let known = level;
  return {
    level: () => known,
    placed: (nowMs) => {
      if (nowMs !== atMs && placed > 0) {
        // A moment at which much was placed says more, but by far not as much as that many moments.
        const weight = 32 - Math.clz32(placed);
        moments += weight;
        returned += weight * Math.min(1, ended / placed);
        untold = placed > seen ? placed - weight : Math.max(0, untold - placed);
        seen += placed;
        // What is too much for this moment makes room for the next.
        ended = Math.max(0, ended - placed);
        placed = 0;
        const assumed = ASSUMED_MOMENTS + untold;
        const share = (returned + assumed) / (moments + assumed);
        const now = Math.min(1, 2 * share);
        if (Math.abs(now - known) > STEADY) known = Math.round(now * LEVELS) / LEVELS;
      }
      atMs = nowMs;
      placed += 1;
    },
    ended: () => {
      ended += 1;
    },
    forget: () => {
      [moments, returned, seen, ended] = [moments / 2, returned / 2, seen / 2, Math.floor(ended / 2)];
    },
    facts: () => ({ moments, returned, seen, untold, atMs, placed, ended }),
  };
};
