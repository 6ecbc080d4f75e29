/** Access tokens as the API has them: made, listed, revoked, and found by what a request carries. */
import { createHash, timingSafeEqual } from "node:crypto";
import {
  err,
  ok,
  parseAccessToken,
  problem,
  type AccessRevoked,
  type AccessView,
  type Origin,
  type Problem,
  type Result,
  type Transaction,
} from "@berth/schema";
import { accessOf, decideAccess, decideRevokeAccess, type AccessRecord, type NewAccess } from "../core/index.ts";
import type { Clock } from "../ports/clock.ts";
import type { Engine } from "./engine.ts";
import type { LastUsed } from "./last-used.ts";
import { writeRecords } from "./write.ts";

type Answer<T> = Promise<Result<T, Problem>>;

/** A digest, not a secret: this travels between schedulers. */
export type AccessDraft = Omit<NewAccess, "expiresAtMs" | "by"> & { readonly ttlMs: number | null };

export interface AccessWrites {
  readonly createAccess: (draft: AccessDraft, origin: Origin) => Answer<AccessView>;
  /** By id or name. */
  readonly revokeAccess: (idOrName: string, origin: Origin) => Answer<AccessRevoked>;
  readonly accessTokens: () => AccessView[];
}

/** Who is behind a request; says nothing about what it may do. */
export interface AccessCheck {
  readonly byToken: (token: string) => AccessRecord | undefined;
  readonly byId: (id: string) => AccessRecord | undefined;
  /** Calls once when the token is good no longer; returns how to give up waiting. */
  readonly whenEnded: (access: AccessRecord, ended: () => void) => () => void;
  readonly folded: (transaction: Transaction) => void;
}

const viewOf = ({ digest: _digest, projects, ...rest }: AccessRecord, lastUsed: LastUsed): AccessView => ({
  ...rest,
  projects: projects === null ? null : [...projects],
  lastUsedAtMs: lastUsed.of(rest.id),
});

export const createAccessWrites = ({
  engine,
  clock,
  lastUsed,
}: {
  readonly engine: Engine;
  readonly clock: Clock;
  readonly lastUsed: LastUsed;
}): AccessWrites => {
  const { state } = engine;
  return {
    createAccess: async ({ ttlMs, ...draft }, origin) => {
      const done = await writeRecords(engine, `access token ${draft.id}`, origin, { role: "admin" }, (now) => {
        const nowMs = clock.nowMs();
        const expiresAtMs = ttlMs === null ? null : nowMs + ttlMs;
        return decideAccess(now, { ...draft, expiresAtMs, by: origin.who }, nowMs);
      });
      if (!done.ok) return done;
      const made = state.access.find(({ id }) => id === draft.id);
      return made === undefined
        ? err(problem("access.not_found", `token ${draft.name} was revoked at once`))
        : ok(viewOf(made, lastUsed));
    },
    revokeAccess: async (idOrName, origin) => {
      let revoked = idOrName;
      const done = await writeRecords(engine, "access token revoked", origin, { role: "admin" }, (now) => {
        const decided = decideRevokeAccess(now, idOrName, origin.who);
        if (!decided.ok) return decided;
        revoked = decided.value.id;
        return ok(decided.value.records);
      });
      return done.ok ? ok({ id: revoked, revision: done.value }) : done;
    },
    accessTokens: () =>
      state.access
        .filter(({ id }) => accessOf(state, id, clock.nowMs()) !== undefined)
        .map((one) => viewOf(one, lastUsed)),
  };
};

export const createAccessCheck = ({
  state,
  clock,
  lastUsed,
}: {
  readonly state: Engine["state"];
  readonly clock: Clock;
  readonly lastUsed: LastUsed;
}): AccessCheck => {
  const waiting = new Map<string, Set<() => void>>();

  const byId = (id: string): AccessRecord | undefined => accessOf(state, id, clock.nowMs());
  const noted = (found: AccessRecord | undefined): AccessRecord | undefined => {
    if (found !== undefined) lastUsed.used(found.id);
    return found;
  };
  return {
    // Of a session, which began with the token.
    byId: (id) => noted(byId(id)),
    byToken: (token) => {
      const parsed = parseAccessToken(token);
      const found = parsed === undefined ? undefined : byId(parsed.id);
      if (parsed === undefined || found === undefined) return undefined;
      const digest = createHash("sha256").update(parsed.secret).digest();
      return timingSafeEqual(digest, Buffer.from(found.digest, "hex")) ? noted(found) : undefined;
    },
    whenEnded: ({ id, expiresAtMs }, ended) => {
      const listeners = waiting.get(id) ?? new Set();
      waiting.set(id, listeners);
      let cancel = (): void => {};
      const giveUp = (): void => {
        cancel();
        listeners.delete(end);
        if (listeners.size === 0 && waiting.get(id) === listeners) waiting.delete(id);
      };
      const end = (): void => {
        giveUp();
        ended();
      };
      listeners.add(end);
      if (expiresAtMs !== null) {
        // A timer may be cut short at the longest that there is: it looks again.
        const look = (): void => {
          const leftMs = expiresAtMs - clock.nowMs();
          if (leftMs <= 0) end();
          else cancel = clock.after(leftMs, look);
        };
        look();
      }
      return giveUp;
    },
    folded: ({ records }) => {
      for (const record of records) {
        if (record.kind !== "access_revoked") continue;
        for (const end of [...(waiting.get(record.id) ?? [])]) end();
      }
    },
  };
};
