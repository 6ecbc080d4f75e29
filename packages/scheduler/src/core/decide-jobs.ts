/** What users ask of jobs: decides which records say it, or why it cannot be. Changes nothing. */
import {
  err,
  isUnconfined,
  jobKey,
  ok,
  problem,
  snapshotOf,
  type JobName,
  type JobSpec,
  type LogRecord,
  type Problem,
  type ProjectName,
  type Result,
} from "@berth/schema";
import { crowdedOut } from "./dimensions.ts";
import { neverFits } from "./quota.ts";
import { missingSecret } from "./secrets.ts";
import { quotaAmount } from "./sentences.ts";
import {
  idempotencyKeyOf,
  inside,
  MAX_ACTIVE_TASKS,
  MAX_DAEMONS,
  MAX_JOBS,
  type ClusterState,
  type JobRecord,
} from "./state.ts";

export interface Submission {
  readonly spec: JobSpec;
  readonly by: string;
  readonly idempotencyKey: string | null;
  /** Says whether two requests with one Idempotency-Key are the same request. */
  readonly requestDigest: string;
  /** What a service wrote is to be left behind: a job that is the same starts anew as well. */
  readonly again?: boolean;
}

export type SubmitAction = "create" | "replace" | "change_limits" | "run_again" | "unchanged";

export interface SubmitDecision {
  readonly action: SubmitAction;
  readonly records: LogRecord[];
  /** The version that the job has afterwards. */
  readonly version: number;
}

/** A spec is stored in the log, and in the document of every host that runs it. */
const MAX_SPEC_CHARACTERS = 256 * 1024;

/** Equal as JSON values, whatever the order of their keys. */
export const sameValue = (left: unknown, right: unknown): boolean => {
  if (Object.is(left, right)) return true;
  if (typeof left !== "object" || typeof right !== "object" || left === null || right === null) return false;
  if (Array.isArray(left) !== Array.isArray(right)) return false;
  const keys = Object.keys(left);
  return (
    keys.length === Object.keys(right).length &&
    keys.every(
      (key) =>
        Object.hasOwn(right, key) &&
        sameValue((left as Record<string, unknown>)[key], (right as Record<string, unknown>)[key]),
    )
  );
};

/** What a task wrote may be all that its project knows: other projects' jobs do not start from it. */
const foreignSnapshot = ({ image, project }: JobSpec): Problem | undefined => {
  const owner = snapshotOf(image)?.project;
  if (owner === undefined || owner === project) return undefined;
  const detail = `image: ${image} is a snapshot of project ${owner}, from which only jobs of ${owner} start, not of ${project}; an image for others is made of its task with berth commit`;
  return problem("job.spec_invalid", detail, {
    errors: [{ pointer: "/image", message: `a snapshot of project ${owner}` }],
  });
};

const notPermitted = ({ projects }: ClusterState, spec: JobSpec): Problem | undefined => {
  const { project } = spec;
  if (!isUnconfined(spec) || projects.get(project)?.unconfinedSeccomp === true) return undefined;
  const verb = projects.has(project) ? "set" : "create";
  const message = `project ${project} may not do without the filter of system calls; leave this out, or have an admin permit it (berth project ${verb} ${project} --unconfined-seccomp)`;
  return problem("job.spec_invalid", `container.seccomp: ${message}`, {
    errors: [{ pointer: "/container/seccomp", message }],
  });
};

/** What submitting `spec` means now, its Idempotency-Key aside. */
export const submitAction = (state: ClusterState, spec: JobSpec): Result<SubmitAction, Problem> => {
  const refused = foreignSnapshot(spec) ?? notPermitted(state, spec);
  if (refused !== undefined) return err(refused);
  const job = state.jobs.get(jobKey(spec.project, spec.name));
  if (job === undefined) return ok("create");
  // A job that is being stopped may be started anew: each index waits until its old allocation has ended.
  if (job.finishedAtMs !== null || job.desired === "stop") return ok("run_again");
  const isSame = sameValue(job.spec, spec);
  // Nothing is booked by limits, so that nothing has to be placed anew. A batch job that is the same is refused below.
  if (!isSame && sameValue(job.spec, { ...spec, limits: job.spec.limits })) return ok("change_limits");
  if (job.spec.kind !== "batch") return ok(isSame ? "unchanged" : "replace");
  const left = job.counts.pending + job.counts.starting + job.counts.running + job.counts.stopping;
  return err(
    problem(
      "job.active",
      `${job.key} is a batch job with ${left} of ${job.spec.count} tasks still to finish; wait for its end, stop it first, or submit under another name`,
    ),
  );
};

const tooMany = (state: ClusterState, spec: JobSpec, replaced: JobRecord | undefined): Problem | undefined => {
  const unfinished = state.jobs.size - state.finished.size;
  const replacesActive = replaced !== undefined && replaced.finishedAtMs === null;
  if (!replacesActive && unfinished >= MAX_JOBS) {
    return problem("job.too_many", `${unfinished} jobs have not finished, the limit is ${MAX_JOBS}; stop some or wait`);
  }
  const daemons = inside(state).daemons.size - (replacesActive && replaced.spec.kind === "daemon" ? 1 : 0);
  if (spec.kind === "daemon" && daemons >= MAX_DAEMONS) {
    return problem("job.too_many", `${daemons} daemons have not finished, the limit is ${MAX_DAEMONS}; stop some`);
  }
  const tasks = state.activeTaskCount - (replacesActive ? replaced.tasks.length : 0);
  const count = spec.kind === "daemon" ? state.hosts.size : spec.count;
  if (tasks + count > MAX_ACTIVE_TASKS) {
    return problem(
      "job.too_many",
      `${count} tasks more than the ${tasks} of unfinished jobs would exceed the limit of ${MAX_ACTIVE_TASKS}; stop some jobs or wait`,
    );
  }
  return undefined;
};

/** What could not even start alone in the project would wait for ever. */
export const exceedsQuota = (state: ClusterState, spec: JobSpec): Problem | undefined => {
  const together = spec.gangMin ?? 1;
  const hold = neverFits(state, spec, together);
  if (hold === undefined) return undefined;
  const who = together === 1 ? "one task" : `a gang of ${together}`;
  const { dimension, limit, requested } = hold;
  const detail = `${who} of ${spec.project}/${spec.name} requests ${quotaAmount(dimension, requested)}, and the quota of project ${spec.project} is ${quotaAmount(dimension, limit)}; ask for less, or have the quota raised (berth project set ${spec.project})`;
  return problem("job.exceeds_quota", detail);
};

export const decideSubmit = (state: ClusterState, submission: Submission): Result<SubmitDecision, Problem> => {
  const { spec, by, idempotencyKey, requestDigest } = submission;
  const key = jobKey(spec.project, spec.name);
  const job = state.jobs.get(key);
  const seen = idempotencyKey === null ? undefined : state.idempotency.get(idempotencyKeyOf(by, idempotencyKey));
  // A key whose job has been forgotten says nothing any more.
  if (seen !== undefined && state.jobs.has(seen.key)) {
    if (seen.digest === requestDigest) return ok({ action: "unchanged", records: [], version: seen.version });
    return err(
      problem(
        "idempotency.reused",
        `this Idempotency-Key was used to submit ${seen.key} version ${seen.version}; use a new key`,
      ),
    );
  }
  const meant = submitAction(state, spec);
  if (!meant.ok) return meant;
  const action = meant.value === "unchanged" && submission.again === true ? "replace" : meant.value;
  if (action === "unchanged") return ok({ action: "unchanged", records: [], version: job?.version ?? 1 });
  if (JSON.stringify(spec).length > MAX_SPEC_CHARACTERS) {
    return err(
      problem(
        "request.too_large",
        `the job takes more than ${MAX_SPEC_CHARACTERS} characters; put large data into a volume`,
      ),
    );
  }
  const version = (job?.version ?? 0) + 1;
  if (action === "change_limits") {
    const { limits, name, project } = spec;
    const change = { project, job: name, jobVersion: version, limits, by, idempotencyKey, requestDigest };
    return ok({ action, version, records: [{ kind: "job_limits_changed", ...change }] });
  }
  const refusal =
    missingSecret(state, spec) ?? crowdedOut(state, spec) ?? exceedsQuota(state, spec) ?? tooMany(state, spec, job);
  if (refusal !== undefined) return err(refusal);
  return ok({
    action,
    version,
    records: [{ kind: "job_submitted", spec, jobVersion: version, by, idempotencyKey, requestDigest }],
  });
};

/** Stops a job. Stopping one that is stopping or has finished changes nothing. */
export const decideStop = (
  state: ClusterState,
  project: ProjectName,
  job: JobName,
  by: string,
): Result<LogRecord[], Problem> => {
  const record = state.jobs.get(jobKey(project, job));
  if (record === undefined) return err(problem("job.not_found", `there is no job ${project}/${job}`));
  if (record.finishedAtMs !== null || record.desired === "stop") return ok([]);
  return ok([{ kind: "job_stopped", project, job, by }]);
};
