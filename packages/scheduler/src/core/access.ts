/**
 * Access tokens: made and revoked by admins, found by everybody who asks for something. Decides, folds, and answers the one
 * question of rights, for the API before it does anything and for the leader before it writes. A token's secret is never
 * seen here, only its SHA-256.
 *
 *   created ──► revoked   forgotten
 *      └──────► expired   good for nothing; its name is free again, and it is forgotten when the next one is made
 */
import {
  ADMIN_NAME,
  err,
  includesRole,
  ok,
  problem,
  type AccessProjects,
  type LogRecord,
  type Origin,
  type Problem,
  type ProjectName,
  type Result,
  type Role,
} from "@berth/schema";
import type { Folding } from "./fold-tasks.ts";
import type { ClusterState } from "./state.ts";

export interface AccessRecord {
  readonly id: string;
  readonly name: string;
  readonly digest: string;
  readonly role: Role;
  readonly projects: AccessProjects;
  /** Null: until it is revoked. */
  readonly expiresAtMs: number | null;
  readonly createdBy: string;
  readonly createdAtMs: number;
}

/** What a change asks of whoever wants it. `project`: whose it is; absent for what concerns the whole cluster. */
export interface Need {
  readonly role: Role;
  readonly project?: ProjectName;
}

/** What somebody may do. */
export interface Rights {
  readonly name: string;
  readonly role: Role;
  readonly projects: AccessProjects;
}

export const MAX_ACCESS_TOKENS = 1_000;

type RecordOf<K extends LogRecord["kind"]> = Extract<LogRecord, { kind: K }>;

export type NewAccess = Omit<RecordOf<"access_created">, "kind">;

const isGood = ({ expiresAtMs }: AccessRecord, nowMs: number): boolean => expiresAtMs === null || expiresAtMs > nowMs;

/** Undefined when there is none of this id, or not any more. */
export const accessOf = (state: ClusterState, id: string, nowMs: number): AccessRecord | undefined => {
  const found = state.access.find((one) => one.id === id);
  return found !== undefined && isGood(found, nowMs) ? found : undefined;
};

export const seesProject = ({ projects }: Pick<Rights, "projects">, project: ProjectName): boolean =>
  projects === null || projects.includes(project);

/** Why these rights are not enough; undefined when they are. Reading needs no right over the whole cluster, changing it does. */
export const refusalOf = ({ name, role, projects }: Rights, need: Need): Problem | undefined => {
  if (!includesRole(role, need.role)) {
    return problem("auth.forbidden", `this needs the role ${need.role}; ${name} has the role ${role}`);
  }
  if (projects === null) return undefined;
  if (need.project !== undefined) {
    if (projects.includes(need.project)) return undefined;
    return problem("auth.forbidden", `${name} may do this in ${projects.join(", ")} only, not in ${need.project}`);
  }
  if (need.role === "viewer") return undefined;
  return problem("auth.forbidden", `this concerns the whole cluster; ${name} is bound to ${projects.join(", ")}`);
};

/**
 * Asked by the leader on its own state, right before it writes: whoever took the request may not have heard yet that the
 * token was revoked. An origin without a token is the cluster's own admin, or a machine that joins.
 */
export const refusalAtWrite = (state: ClusterState, origin: Origin, need: Need, nowMs: number): Problem | undefined => {
  if (origin.access === undefined) return undefined;
  const found = accessOf(state, origin.access, nowMs);
  if (found === undefined) return problem("auth.required", `the token of ${origin.who} was revoked or has expired`);
  return refusalOf(found, need);
};

export const decideAccess = (state: ClusterState, made: NewAccess, nowMs: number): Result<LogRecord[], Problem> => {
  // Said twice by a follower whose answer was lost.
  if (state.access.some(({ id, digest }) => id === made.id && digest === made.digest)) return ok([]);
  if (made.name === ADMIN_NAME) {
    return err(problem("access.exists", `${ADMIN_NAME} is the token of the data directory; choose another name`));
  }
  if (state.access.some((one) => one.name === made.name && isGood(one, nowMs))) {
    const detail = `there is a token ${made.name} already; revoke it first (berth access revoke ${made.name})`;
    return err(problem("access.exists", detail));
  }
  if (made.role === "admin" && made.projects !== null) {
    const detail = "an admin decides for the whole cluster and cannot be bound to projects; use another role";
    return err(problem("request.invalid", detail, { errors: [{ pointer: "/projects", message: detail }] }));
  }
  if (state.access.filter((one) => isGood(one, nowMs)).length >= MAX_ACCESS_TOKENS) {
    return err(problem("request.too_many", `there are ${MAX_ACCESS_TOKENS} tokens; revoke some first`));
  }
  return ok([{ kind: "access_created", ...made }]);
};

/** By id or by name. */
export const decideRevokeAccess = (
  state: ClusterState,
  idOrName: string,
  by: string,
): Result<{ readonly records: LogRecord[]; readonly id: string }, Problem> => {
  const found =
    state.access.find(({ id }) => id === idOrName) ?? state.access.findLast(({ name }) => name === idOrName);
  if (found === undefined) return err(problem("access.not_found", `there is no token ${idOrName}`));
  return ok({ records: [{ kind: "access_revoked", id: found.id, name: found.name, by }], id: found.id });
};

export const foldAccess = (
  { state, atMs }: Folding,
  record: RecordOf<"access_created" | "access_revoked">,
): boolean => {
  const exists = state.access.some(({ id }) => id === record.id);
  if (record.kind === "access_revoked") {
    state.access = state.access.filter(({ id }) => id !== record.id);
    return exists;
  }
  if (exists) return false;
  const { kind: _kind, by, ...rest } = record;
  state.access = [...state.access.filter((one) => isGood(one, atMs)), { ...rest, createdBy: by, createdAtMs: atMs }];
  return true;
};
