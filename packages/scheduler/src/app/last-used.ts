/**
 * When each access token was used last, for whoever wonders which can be revoked. No fact of the log: every use would be a
 * write. Each scheduler knows what it has seen itself, keeps that in memory and on its own disk, and may lose the last minute.
 */
import type { Clock } from "../ports/clock.ts";

export interface LastUsed {
  readonly used: (id: string) => void;
  readonly of: (id: string) => number | null;
  /** Writes what is new, if the last time is long enough ago; with `now`, in any case. Of tokens that are there alone. */
  readonly keep: (exists: (id: string) => boolean, now?: "now") => Promise<void>;
}

/** By the id of the token, in milliseconds of the wall clock. */
export type LastUses = Readonly<Record<string, number>>;

const EVERY_MS = 60_000;

export const createLastUsed = (options: {
  readonly known: LastUses;
  readonly write: (uses: LastUses) => Promise<void>;
  readonly clock: Pick<Clock, "nowMs" | "monotonicMs">;
}): LastUsed => {
  const { clock } = options;
  const uses = new Map(Object.entries(options.known));
  let isDirty = false;
  let keptMs = Number.NEGATIVE_INFINITY;
  return {
    used: (id) => {
      uses.set(id, clock.nowMs());
      isDirty = true;
    },
    of: (id) => uses.get(id) ?? null,
    keep: async (exists, now) => {
      if (!isDirty || (now === undefined && clock.monotonicMs() - keptMs < EVERY_MS)) return;
      isDirty = false;
      keptMs = clock.monotonicMs();
      for (const id of uses.keys()) if (!exists(id)) uses.delete(id);
      try {
        await options.write(Object.fromEntries(uses));
      } catch (error) {
        isDirty = true;
        throw error;
      }
    },
  };
};
