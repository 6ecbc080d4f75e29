/**
 * Records of projects: decided by admins, kept by the fold. A project needs none; with one it has a quota, a weight against
 * others, and somebody who says what it is for.
 */
import {
  changeQuota,
  DEFAULT_WEIGHT,
  err,
  ok,
  isUnconfined,
  problem,
  type FieldError,
  type LogRecord,
  type Problem,
  type ProjectChange,
  type ProjectName,
  type ProjectRequest,
  type Quota,
  type Result,
} from "@berth/schema";
import { sameValue } from "./decide-jobs.ts";
import { refreshWanting, type Folding } from "./fold-tasks.ts";
import { isOver } from "./quota.ts";
import { unreserve } from "./reservations.ts";
import { MAX_PROJECTS, type ClusterState, type JobRecord } from "./state.ts";

export interface ProjectRecord {
  readonly name: ProjectName;
  readonly description: string;
  readonly weight: number;
  readonly quota: Quota;
  /** Its jobs may do without the filter of system calls. */
  readonly unconfinedSeccomp?: true;
  readonly createdBy: string;
  readonly createdAtMs: number;
}

type RecordOf<K extends LogRecord["kind"]> = Extract<LogRecord, { kind: K }>;
type Decided = Result<LogRecord[], Problem>;

const invalid = (errors: readonly FieldError[]): Result<never, Problem> =>
  err(
    problem("request.invalid", errors.map(({ pointer, message }) => `body${pointer}: ${message}`).join("; "), {
      errors,
    }),
  );

const notFound = (name: ProjectName): Result<never, Problem> =>
  err(problem("project.not_found", `nobody has declared a project ${name}; berth project create ${name} does`));

/** What a record says of a project, its beginning aside. */
type Said = Pick<ProjectRecord, "description" | "weight" | "quota" | "unconfinedSeccomp">;
/** A right is absent where there is none, as in records of versions that knew none. */
const said = (of: Omit<Said, "unconfinedSeccomp"> & { readonly unconfinedSeccomp?: boolean | undefined }): Said => ({
  ...{ description: of.description, weight: of.weight, quota: of.quota },
  ...(of.unconfinedSeccomp === true && { unconfinedSeccomp: true }),
});

export const decideProject = (state: ClusterState, request: ProjectRequest, by: string): Decided => {
  const { name, description = "", weight = DEFAULT_WEIGHT, unconfinedSeccomp } = request;
  const quota = changeQuota({}, request.quota ?? {});
  if (!quota.ok) return invalid(quota.error);
  const known = state.projects.get(name);
  const made = said({ description, weight, quota: quota.value, unconfinedSeccomp });
  if (known !== undefined) {
    // Said twice by a follower whose answer was lost.
    if (known.createdBy === by && sameValue(said(known), made)) return ok([]);
    return err(problem("project.exists", `there is a project ${name} already; berth project set ${name} changes it`));
  }
  if (state.projects.size >= MAX_PROJECTS) {
    return err(problem("request.too_many", `there are ${MAX_PROJECTS} projects; remove some first`));
  }
  return ok([{ kind: "project_created", project: name, ...made, by }]);
};

const isUnfinished = ({ activeTasks, finishedAtMs }: JobRecord): boolean => finishedAtMs === null || activeTasks > 0;

/** What is absent in `change` stays as it is. */
export const decideProjectChange = (
  state: ClusterState,
  name: ProjectName,
  change: ProjectChange,
  by: string,
): Decided => {
  const known = state.projects.get(name);
  if (known === undefined) return notFound(name);
  const quota = changeQuota(known.quota, change.quota ?? {});
  if (!quota.ok) return invalid(quota.error);
  const { description = known.description, weight = known.weight } = change;
  const mayBeUnconfined = change.unconfinedSeccomp ?? known.unconfinedSeccomp === true;
  const made = said({ description, weight, quota: quota.value, unconfinedSeccomp: mayBeUnconfined });
  if (sameValue(said(known), made)) return ok([]);
  // Without it, whatever of them is started again would be more than the project may.
  const needs = mayBeUnconfined
    ? undefined
    : [...state.jobs.values()].find((job) => job.project === name && isUnconfined(job.spec) && isUnfinished(job));
  if (needs !== undefined) {
    const detail = `job ${needs.name} of ${name} does without the filter of system calls (container.seccomp: unconfined); stop it, or submit it without that, first`;
    return err(problem("project.in_use", detail));
  }
  return ok([{ kind: "project_changed", project: name, ...made, by }]);
};

/** Only what nothing is in any more: without its record a project has no quota. */
export const decideRemoveProject = (state: ClusterState, name: ProjectName, by: string): Decided => {
  if (!state.projects.has(name)) return notFound(name);
  const jobs = [...state.jobs.values()].filter((job) => job.project === name && isUnfinished(job));
  const volumes = [...state.volumes.values()].filter(({ project }) => project === name);
  const secrets = [...state.secrets.values()].filter(({ project }) => project === name);
  if (jobs.length + volumes.length + secrets.length > 0) {
    const named = [
      ...jobs.map((job) => `job ${job.name}`),
      ...volumes.map((volume) => `volume ${volume.name}`),
      ...secrets.map((secret) => `secret ${secret.name}`),
    ];
    const rest = named.length > 5 ? ` and ${named.length - 5} more` : "";
    const detail = `${name} still has ${named.slice(0, 5).join(", ")}${rest}; stop its jobs and remove its volumes and secrets first`;
    return err(problem("project.in_use", detail));
  }
  return ok([{ kind: "project_removed", project: name, by }]);
};

/** Room that is kept beyond a quota that has become smaller is anybody's again; what runs goes on. */
const giveUpRoom = ({ state, changes }: Folding, project: ProjectName): void => {
  for (const reservation of [...state.reservations]) {
    const { index, job } = reservation;
    if (job.project !== project) continue;
    unreserve(state, reservation);
    const task = job.tasks[index];
    if (task !== undefined) refreshWanting(state, job, task);
    changes.jobs.add(job.key);
  }
};

export const foldProject = (
  folding: Folding,
  record: RecordOf<"project_created" | "project_changed" | "project_removed">,
): boolean => {
  const { state, atMs } = folding;
  const known = state.projects.get(record.project);
  if ((known === undefined) !== (record.kind === "project_created")) return false;
  if (record.kind === "project_removed") {
    state.projects.delete(record.project);
    state.usage.setWeight(record.project, DEFAULT_WEIGHT);
    return true;
  }
  const { project: name, weight, by } = record;
  const { createdBy, createdAtMs } = known ?? { createdBy: by, createdAtMs: atMs };
  state.projects.set(name, { name, ...said(record), createdBy, createdAtMs });
  state.usage.setWeight(name, weight);
  if (isOver(state, name)) giveUpRoom(folding, name);
  return true;
};
