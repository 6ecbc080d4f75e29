/** Starting from snapshots: the job that one was taken of goes back to it, or another begins there. */
import { createHash } from "node:crypto";
import {
  decoder,
  err,
  ok,
  problem,
  SnapshotCloneSchema,
  type JobView,
  type Origin,
  type Problem,
  type Result,
  type SnapshotClone,
  type SnapshotId,
  type Submitted,
} from "@berth/schema";
import { decideSubmit, specFromSnapshot } from "../core/index.ts";
import type { ApiOptions } from "./api.ts";
import { needOf } from "./need.ts";

const decodeClone = decoder(SnapshotCloneSchema);

export interface SnapshotJobs {
  /** `clone` null: a new version of the job itself. Whoever asks again with the same key changes nothing. */
  readonly startFromSnapshot: (
    id: SnapshotId,
    clone: SnapshotClone | null,
    origin: Origin,
    idempotencyKey: string | null,
  ) => Promise<Result<Submitted, Problem>>;
}

export const createSnapshotJobs = (
  { complaint, engine }: Pick<ApiOptions, "engine" | "complaint">,
  /** Why nothing starts from this image now. */
  refusal: (image: string) => Problem | undefined,
  viewOf: (project: SnapshotId["project"], job: SnapshotId["job"]) => Result<JobView, Problem>,
): SnapshotJobs => ({
  startFromSnapshot: async (id, clone, origin, idempotencyKey) => {
    const decoded = clone === null ? ok(null) : decodeClone(clone);
    if (!decoded.ok) return err(problem("request.invalid", "body: no clone of a snapshot"));
    const first = specFromSnapshot(engine.state, id, decoded.value);
    if (!first.ok) return first;
    const full = complaint();
    if (full !== undefined) return err(problem("log.full", full, { retryAfterMs: 5_000 }));
    const requestDigest = createHash("sha256")
      .update(JSON.stringify([id, decoded.value]))
      .digest("hex");
    const need = needOf(first.value);
    const done = await engine.submit({
      cause: clone === null ? "snapshot restored" : "snapshot cloned",
      origin,
      need,
      splittable: false,
      decide: (now) => {
        const spec = specFromSnapshot(now, id, decoded.value);
        if (!spec.ok) return spec;
        // Another document came first: whether this one may be submitted was not asked.
        if (needOf(spec.value).role !== need.role) {
          return err(problem("request.invalid", `${id.project}/${id.job} was changed meanwhile: try again`));
        }
        const refused = refusal(spec.value.image);
        if (refused !== undefined) return err(refused);
        const decided = decideSubmit(now, {
          ...{ spec: spec.value, by: origin.who, idempotencyKey, requestDigest },
          again: clone === null,
        });
        if (!decided.ok) return decided;
        const { action, records } = decided.value;
        if (clone !== null && action !== "create" && action !== "unchanged") {
          return err(problem("job.exists", `there is a job ${id.project}/${clone.job} already: choose another name`));
        }
        return ok({ records, value: action });
      },
    });
    if (!done.ok) return done;
    const job = viewOf(id.project, clone?.job ?? id.job);
    return job.ok ? ok({ job: job.value, action: done.value.value, revision: done.value.revision }) : job;
  },
});
