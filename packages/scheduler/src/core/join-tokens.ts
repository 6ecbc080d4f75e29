/**
 * Join tokens: made by an operator, used once by a machine that becomes a host, or revoked. Decides and folds; a token's
 * secret is never seen here, only its SHA-256.
 *
 *   created ──► used     by the host that it made; asking again with the same key gets the same answer
 *      ├──────► revoked  forgotten
 *      └──────► expired  forgotten a day later
 */
import { err, ok, problem, type HostId, type LogRecord, type Problem, type Result } from "@berth/schema";
import { decideEnrol } from "./decide-hosts.ts";
import type { Folding } from "./fold-tasks.ts";
import type { ClusterState } from "./state.ts";

export interface JoinTokenRecord {
  readonly id: string;
  readonly digest: string;
  /** The only name it may be used for. */
  readonly hostId: HostId | null;
  readonly createdBy: string;
  readonly createdAtMs: number;
  readonly expiresAtMs: number;
  readonly usedBy: HostId | null;
}

/** Tokens that are kept, whatever has become of them. */
export const MAX_JOIN_TOKENS = 1_000;
/** A used or expired token is remembered this long beyond its end: a machine that was killed while it joined asks again. */
const KEPT_MS = 24 * 3_600_000;

type RecordOf<K extends LogRecord["kind"]> = Extract<LogRecord, { kind: K }>;

export interface NewJoinToken {
  readonly id: string;
  readonly digest: string;
  readonly hostId: HostId | null;
  readonly expiresAtMs: number;
  readonly by: string;
}

const isKept = (token: JoinTokenRecord, nowMs: number): boolean => token.expiresAtMs + KEPT_MS > nowMs;

export const decideJoinToken = (
  state: ClusterState,
  token: NewJoinToken,
  nowMs: number,
): Result<LogRecord[], Problem> => {
  if (state.joinTokens.filter((one) => isKept(one, nowMs)).length >= MAX_JOIN_TOKENS) {
    return err(problem("request.too_many", `there are ${MAX_JOIN_TOKENS} join tokens; revoke some first`));
  }
  if (token.hostId !== null && state.hosts.has(token.hostId)) {
    const detail = `there is a host ${token.hostId} already; remove it first (berth host remove ${token.hostId}), or choose another name`;
    return err(problem("host.key_differs", detail));
  }
  // Said twice by a follower whose answer was lost.
  if (state.joinTokens.some(({ id, digest }) => id === token.id && digest === token.digest)) return ok([]);
  return ok([{ kind: "join_token_created", ...token }]);
};

export const decideRevokeJoinToken = (state: ClusterState, id: string, by: string): Result<LogRecord[], Problem> =>
  state.joinTokens.some((token) => token.id === id)
    ? ok([{ kind: "join_token_revoked", id, by }])
    : err(problem("join_token.not_found", `there is no join token ${id}: it was revoked, or is long past its time`));

export interface Joining {
  readonly token: string;
  /** Of the secret that came with it. */
  readonly digest: string;
  readonly hostId: HostId;
  readonly publicKey: string;
}

/** Enrols the host and uses the token up, both or none. */
export const decideJoin = (state: ClusterState, joining: Joining, nowMs: number): Result<LogRecord[], Problem> => {
  const refuse = (detail: string): Result<never, Problem> =>
    err(problem("join.refused", `${detail}; make a new one with: berth token create`));
  const { hostId, publicKey } = joining;
  const token = state.joinTokens.find(({ id, digest }) => id === joining.token && digest === joining.digest);
  if (token === undefined) return refuse("the token is not known: it was revoked, or is long past its time");
  if (token.usedBy !== null) {
    // The same machine, which was killed before it had the answer.
    const host = state.hosts.get(token.usedBy);
    if (token.usedBy === hostId && host?.publicKey === publicKey) return ok([]);
    return refuse(`the token was used already, by host ${token.usedBy}`);
  }
  if (token.expiresAtMs <= nowMs) return refuse("the token has expired");
  if (token.hostId !== null && token.hostId !== hostId) {
    return refuse(`the token is for host ${token.hostId}, not ${hostId}`);
  }
  const enrolled = decideEnrol(state, { id: hostId, publicKey, by: `join token ${token.id}` });
  if (!enrolled.ok) return enrolled;
  return ok([...enrolled.value, { kind: "join_token_used", id: token.id, hostId }]);
};

export const foldJoinToken = (
  { state, atMs }: Folding,
  record: RecordOf<"join_token_created" | "join_token_used" | "join_token_revoked">,
): boolean => {
  const others = state.joinTokens.filter(({ id }) => id !== record.id);
  const token = state.joinTokens.find(({ id }) => id === record.id);
  switch (record.kind) {
    case "join_token_created": {
      if (token !== undefined) return false;
      const { id, digest, hostId, expiresAtMs, by } = record;
      const made = { id, digest, hostId, expiresAtMs, createdBy: by, createdAtMs: atMs, usedBy: null };
      state.joinTokens = [...others.filter((one) => isKept(one, atMs)).slice(1 - MAX_JOIN_TOKENS), made];
      return true;
    }
    case "join_token_used":
      if (token === undefined || token.usedBy !== null) return false;
      state.joinTokens = [...others, { ...token, usedBy: record.hostId }];
      return true;
    case "join_token_revoked":
      if (token === undefined) return false;
      state.joinTokens = others;
      return true;
  }
};
