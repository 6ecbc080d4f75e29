/**
 * A snapshot that is being removed: from the moment it is certain that no job starts from it until its hosts have done so,
 * no job may begin to. Kept by the leader alone and in memory: whoever reserves and is never heard of again, or another
 * leader, ends it, and then a job can at worst be told that its image is nowhere.
 */
import {
  err,
  ok,
  problem,
  snapshotImage,
  type Origin,
  type Problem,
  type Result,
  type SnapshotId,
} from "@berth/schema";
import { startsFrom } from "../core/index.ts";
import type { Clock } from "../ports/clock.ts";
import type { Engine } from "./engine.ts";

/** Removing is a rename; what takes longer is a host that does not answer. */
const LONGEST_MS = 30_000;

export interface SnapshotRemovals {
  /** Fails when a job starts from it. */
  readonly beginRemoval: (id: SnapshotId, origin: Origin) => Promise<Result<null, Problem>>;
  readonly endRemoval: (id: SnapshotId, origin: Origin) => Promise<Result<null, Problem>>;
}

export const createSnapshotRemovals = (engine: Engine, clock: Clock) => {
  /** By how many and until when, by image. Bounded by the requests of half a minute. */
  const reserved = new Map<string, { readonly count: number; readonly untilMs: number }>();
  const release = (image: string): void => {
    const known = reserved.get(image);
    if (known === undefined || known.count === 1) reserved.delete(image);
    else reserved.set(image, { ...known, count: known.count - 1 });
  };

  const refusal = (image: string): Problem | undefined => {
    const known = reserved.get(image);
    if (known === undefined || clock.monotonicMs() >= known.untilMs) return undefined;
    return problem("snapshot.in_use", `${image} is being removed`, { retryAfterMs: 1_000 });
  };

  const removals: SnapshotRemovals = {
    beginRemoval: async (id, origin) => {
      const image = snapshotImage(id);
      const nowMs = clock.monotonicMs();
      for (const [other, { untilMs }] of reserved) if (nowMs >= untilMs) reserved.delete(other);
      reserved.set(image, { count: (reserved.get(image)?.count ?? 0) + 1, untilMs: nowMs + LONGEST_MS });
      // In its turn: what was submitted before is in the state by then, and what comes after is refused.
      const done = await engine.submit({
        cause: "snapshot removed",
        origin,
        need: { role: "submitter", project: id.project },
        splittable: false,
        decide: (now) => {
          const user = startsFrom(now, image);
          if (user === undefined) return ok({ records: [], value: null });
          const detail = `${user.key} starts from ${image}: stop it, or submit it with another image`;
          return err(problem("snapshot.in_use", detail));
        },
      });
      if (done.ok) return ok(null);
      release(image);
      return done;
    },
    endRemoval: (id) => {
      release(snapshotImage(id));
      return Promise.resolve(ok(null));
    },
  };
  return { ...removals, refusal };
};
