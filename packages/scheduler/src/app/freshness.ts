/**
 * Whether what this instance knows is all that there is. Of several schedulers each answers reads from its own fold, which
 * may be behind, and one that leads may not know yet that it was deposed. So before a read the log is asked where it ends:
 * what was acknowledged anywhere before the read began is folded then. When the log does not answer, or folding takes long,
 * the read is served nevertheless, and says how old it may be: in an outage, something is better than nothing.
 */
import type { Clock } from "../ports/clock.ts";
import type { Log } from "../ports/log.ts";
import { pause } from "./pause.ts";

export interface Freshness {
  /** 0: everything acknowledged before the call is in the state. Otherwise: since how long that is not certain. */
  readonly behindMs: () => Promise<number>;
}

const ANSWER_MS = 1_000;
const FOLD_MS = 2_000;
const LOOK_MS = 5;

export const createFreshness = (options: {
  readonly log: Pick<Log, "end">;
  readonly clock: Clock;
  readonly isUp: () => boolean;
  readonly revision: () => number;
  /** Nobody else writes. */
  readonly isAlone: boolean;
}): Freshness => {
  const { clock, isUp, log, revision } = options;
  let currentAtMs = clock.monotonicMs();
  let asking: Promise<number | undefined> | undefined;
  let next: Promise<number | undefined> | undefined;

  const askLog = async (): Promise<number | undefined> => {
    if (!isUp()) return undefined;
    const late = new AbortController();
    const answer = log.end().then(
      ({ lastSequence }) => lastSequence,
      () => undefined,
    );
    const end = await Promise.race([answer, pause(clock, ANSWER_MS, late.signal).then(() => undefined)]);
    late.abort();
    return end;
  };

  /** One question serves all who came before it was asked; whoever comes meanwhile waits for the next one. */
  const lastSequence = (): Promise<number | undefined> => {
    if (asking !== undefined) {
      next ??= asking.then(() => {
        next = undefined;
        return lastSequence();
      });
      return next;
    }
    asking = askLog().finally(() => {
      asking = undefined;
    });
    return asking;
  };

  return {
    behindMs: async () => {
      if (options.isAlone) return 0;
      const fromMs = clock.monotonicMs();
      const end = await lastSequence();
      const until = clock.monotonicMs() + FOLD_MS;
      while (end !== undefined && revision() < end && clock.monotonicMs() < until)
        await pause(clock, LOOK_MS, new AbortController().signal);
      if (end === undefined || revision() < end) return Math.max(1, Math.round(clock.monotonicMs() - currentAtMs));
      currentAtMs = Math.max(currentAtMs, fromMs);
      return 0;
    },
  };
};
