/**
 * Which failures of the loop end the process. What a server of several says may be wrong for a moment: one that was cut
 * off, or has just begun to lead a stream, is behind the others, and what it shows looks like a loss. An instance that has
 * read the log before believes a loss only when it has seen nothing else for a while; one that starts says it at once.
 */
import type { Clock } from "../ports/clock.ts";
import { UndecodableRecord } from "../ports/log.ts";
import { StartupProblem } from "../ports/startup-problem.ts";

/** Folding failed half-way: a bug, after which nothing that this process believes can be trusted. */
export class BrokenState extends Error {
  override readonly name = "BrokenState";
}

/** Longer than an election of servers takes (4 to 9 s), and than a connection to one that is cut off lives. */
export const DOUBT_MS = 20_000;

export interface Fatal {
  /** Whether going on would be worse. `isNew`: this instance has never read the log to its end. */
  readonly is: (error: unknown, isNew: boolean) => boolean;
  /** The log could be read on, or was seen whole: what was doubted was wrong. */
  readonly cleared: () => void;
  /** What it shows looks like a loss, which is not believed yet. */
  readonly isInDoubt: () => boolean;
}

export const createFatal = (clock: Pick<Clock, "monotonicMs">, patienceMs: number): Fatal => {
  let sinceMs: number | undefined;
  return {
    is: (error, isNew) => {
      if (error instanceof UndecodableRecord || error instanceof BrokenState) return true;
      if (!(error instanceof StartupProblem)) return false;
      if (isNew) return true;
      sinceMs ??= clock.monotonicMs();
      return clock.monotonicMs() - sinceMs >= patienceMs;
    },
    cleared: () => {
      sinceMs = undefined;
    },
    isInDoubt: () => sinceMs !== undefined,
  };
};
