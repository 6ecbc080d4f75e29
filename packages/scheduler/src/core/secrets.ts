/**
 * Secrets of projects: set and removed by users, kept encrypted, given to hosts that are to run a task which refers to them.
 * What is encrypted is never opened here.
 *
 * A secret that is set again reaches what starts from then on. What runs keeps what it was started with: only the program
 * knows how to take another value.
 */
import {
  err,
  isTerminal,
  MAX_SECRETS,
  MAX_SECRETS_PER_PROJECT,
  ok,
  problem,
  secretKey,
  type HostId,
  type JobSpec,
  type LogRecord,
  type Problem,
  type ProjectName,
  type Result,
  type SecretView,
} from "@berth/schema";
import type { Folding } from "./fold-tasks.ts";
import type { ClusterState, JobRecord } from "./state.ts";

export interface SecretRecord {
  readonly project: ProjectName;
  readonly name: string;
  readonly encrypted: string;
  /** Tells whether a value is the same, to whoever has the cluster's key. */
  readonly digest: string;
  /** Counts how often it was set. */
  readonly version: number;
  readonly setBy: string;
  readonly setAtMs: number;
}

/** What travels between schedulers: encrypted where it came in. */
export type SecretDraft = Pick<SecretRecord, "project" | "name" | "encrypted" | "digest">;

type RecordOf<K extends LogRecord["kind"]> = Extract<LogRecord, { kind: K }>;
type Decided = Result<LogRecord[], Problem>;

const refersTo = ({ project, secrets = [] }: JobSpec, owner: ProjectName, name: string): boolean =>
  project === owner && secrets.some(({ secret }) => secret === name);

/** Jobs that still may start a task with it, or run one. */
const jobsWith = (state: ClusterState, project: ProjectName, name: string): JobRecord[] =>
  [...state.jobs.values()].filter(
    (job) => (job.finishedAtMs === null || job.activeTasks > 0) && refersTo(job.spec, project, name),
  );

const noSuch = (project: ProjectName, name: string): Problem =>
  problem(
    "secret.not_found",
    `project ${project} has no secret ${name}; berth secret set ${name} -p ${project} makes it, berth secret ls -p ${project} shows what there is`,
  );

/** Why this job could not start: what it is to be given is not there. */
export const missingSecret = (state: ClusterState, { project, secrets = [] }: JobSpec): Problem | undefined => {
  const missing = secrets.find(({ secret }) => !state.secrets.has(secretKey(project, secret)));
  return missing === undefined ? undefined : noSuch(project, missing.secret);
};

export const decideSecret = (state: ClusterState, draft: SecretDraft, by: string): Decided => {
  const { project, name, encrypted, digest } = draft;
  const known = state.secrets.get(secretKey(project, name));
  // Also what a follower says twice, since the first answer was lost.
  if (known?.digest === digest) return ok([]);
  if (known === undefined) {
    const here = [...state.secrets.values()].filter((one) => one.project === project).length;
    if (here >= MAX_SECRETS_PER_PROJECT)
      return err(problem("request.too_many", `project ${project} has ${here} secrets; remove some first`));
    if (state.secrets.size >= MAX_SECRETS)
      return err(problem("request.too_many", `the cluster has ${state.secrets.size} secrets; remove some first`));
  }
  return ok([{ kind: "secret_set", project, secret: name, encrypted, digest, by }]);
};

export const decideRemoveSecret = (state: ClusterState, project: ProjectName, name: string, by: string): Decided => {
  if (!state.secrets.has(secretKey(project, name))) return err(noSuch(project, name));
  const [job, ...others] = jobsWith(state, project, name);
  if (job !== undefined) {
    const rest = others.length === 0 ? "" : ` and ${others.length} more`;
    return err(problem("secret.in_use", `${job.key}${rest} may start tasks with ${name}; stop it first`));
  }
  // Of a version that has just been replaced: it shall run until the next plan stops it.
  for (const { desired, key, spec, state: reached } of state.allocations.values()) {
    if (desired !== "run" || isTerminal(reached) || !refersTo(spec, project, name)) continue;
    return err(problem("secret.in_use", `an earlier version of ${key} still runs with ${name}; try again in a moment`));
  }
  return ok([{ kind: "secret_removed", project, secret: name, by }]);
};

export const foldSecret = (
  { state, atMs, changes, sequence }: Folding,
  record: RecordOf<"secret_set" | "secret_removed">,
): boolean => {
  const key = secretKey(record.project, record.secret);
  if (record.kind === "secret_removed") return state.secrets.delete(key);
  const { project, secret: name, encrypted, digest, by } = record;
  const version = (state.secrets.get(key)?.version ?? 0) + 1;
  state.secrets.set(key, { project, name, encrypted, digest, version, setBy: by, setAtMs: atMs });
  // A host that is about to start one of these tasks is told of it as of any other change.
  for (const { spec, state: reached, hostId } of state.allocations.values()) {
    if (isTerminal(reached) || !refersTo(spec, project, name)) continue;
    const host = state.hosts.get(hostId);
    if (host === undefined) continue;
    host.desiredRev = sequence;
    changes.documents.push(host.id);
  }
  return true;
};

/** Secrets that a host is to have: those of tasks that run there, or are to. Of others it learns nothing. */
export const secretsFor = (state: ClusterState, hostId: HostId): SecretRecord[] => {
  const found = new Map<string, SecretRecord>();
  for (const allocation of state.hosts.get(hostId)?.allocations ?? []) {
    if (allocation.desired === "stop") continue;
    for (const { secret } of allocation.spec.secrets ?? []) {
      const key = secretKey(allocation.project, secret);
      const record = state.secrets.get(key);
      if (record !== undefined) found.set(key, record);
    }
  }
  return [...found.values()];
};

/** By name. */
export const secretViews = (state: ClusterState, project: ProjectName): SecretView[] =>
  [...state.secrets.values()]
    .filter((one) => one.project === project)
    .map(({ encrypted: _encrypted, digest: _digest, ...shown }) => ({
      ...shown,
      usedBy: jobsWith(state, project, shown.name)
        .map((job) => job.name)
        .toSorted(),
    }))
    .toSorted((a, b) => (a.name < b.name ? -1 : 1));
