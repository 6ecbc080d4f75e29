/** Long polls: callers that wait for a job to change. Bounded; when there are too many, a caller is answered at once. */
import type { JobKey } from "@berth/schema";
import type { Changes } from "../core/index.ts";
import type { Clock } from "../ports/clock.ts";

export interface Waits {
  readonly folded: (changes: Changes, sequence: number) => void;
  /** The state begins at this revision: all jobs may have changed at it. */
  readonly restored: (revision: number) => void;
  /** Sequence of the transaction that last changed the job, as far as it is known. */
  readonly revisionOf: (job: JobKey) => number;
  /** Resolves when the job has changed after `revision`, after `waitMs`, or when `signal` aborts. */
  readonly changed: (job: JobKey, revision: number, waitMs: number, signal: AbortSignal) => Promise<void>;
  readonly close: () => void;
}

const MAX_WAITS = 2_048;

export const createWaits = (clock: Clock): Waits => {
  const revisions = new Map<JobKey, number>();
  let base = 0;
  const waiting = new Map<JobKey, Set<() => void>>();
  let count = 0;
  const wake = (job: JobKey): void => {
    for (const resolve of waiting.get(job) ?? []) resolve();
  };
  return {
    folded: (changes, sequence) => {
      for (const job of changes.jobs) {
        revisions.set(job, sequence);
        wake(job);
      }
      for (const job of changes.removed.jobs.keys()) {
        revisions.delete(job);
        wake(job);
      }
    },
    restored: (revision) => {
      base = revision;
    },
    revisionOf: (job) => revisions.get(job) ?? base,
    changed: async (job, revision, waitMs, signal) => {
      if ((revisions.get(job) ?? base) > revision || waitMs <= 0 || count >= MAX_WAITS || signal.aborted) return;
      await new Promise<void>((resolve) => {
        const set = waiting.get(job) ?? new Set();
        const done = (): void => {
          cancel();
          signal.removeEventListener("abort", done);
          if (set.delete(done)) count -= 1;
          if (set.size === 0) waiting.delete(job);
          resolve();
        };
        const cancel = clock.after(waitMs, done);
        signal.addEventListener("abort", done, { once: true });
        set.add(done);
        waiting.set(job, set);
        count += 1;
      });
    },
    close: () => {
      for (const job of [...waiting.keys()]) wake(job);
    },
  };
};
