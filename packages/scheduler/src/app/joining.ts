/** How machines become hosts: join tokens made, listed and revoked by operators, and used by the machines themselves. */
import {
  err,
  ok,
  problem,
  type HostId,
  type Joined,
  type JoinTokenRevoked,
  type JoinTokenView,
  type Origin,
  type Problem,
  type Result,
} from "@berth/schema";
import { decideJoin, decideJoinToken, decideRevokeJoinToken, type JoinTokenRecord } from "../core/index.ts";
import type { Admission } from "../ports/admission.ts";
import type { Clock } from "../ports/clock.ts";
import type { Engine } from "./engine.ts";
import { tellBus, writeRecords } from "./write.ts";

type Answer<T> = Promise<Result<T, Problem>>;

/** Digests, not secrets: these requests travel between schedulers. */
export interface JoinTokenDraft {
  readonly id: string;
  readonly digest: string;
  readonly host: HostId | null;
  readonly ttlMs: number;
}
export interface JoinDraft {
  readonly token: string;
  readonly digest: string;
  readonly host: HostId;
  readonly publicKey: string;
}

export interface Joining {
  readonly createJoinToken: (draft: JoinTokenDraft, origin: Origin) => Answer<JoinTokenView>;
  readonly revokeJoinToken: (id: string, origin: Origin) => Answer<JoinTokenRevoked>;
  readonly joinTokens: () => JoinTokenView[];
  readonly join: (draft: JoinDraft, origin: Origin) => Answer<Joined>;
}

export const createJoining = (options: {
  readonly engine: Engine;
  readonly admission: Admission;
  readonly clock: Clock;
  readonly cluster: string;
  readonly clusterKey: string;
}): Joining => {
  const { engine, admission, clock } = options;
  const { state } = engine;

  const viewOf = ({ digest: _digest, hostId, ...token }: JoinTokenRecord): JoinTokenView => ({
    ...token,
    host: hostId,
    state: token.usedBy !== null ? "used" : token.expiresAtMs <= clock.nowMs() ? "expired" : "open",
  });

  return {
    createJoinToken: async ({ id, digest, host, ttlMs }, origin) => {
      const done = await writeRecords(engine, `join token ${id}`, origin, { role: "operator" }, (now) => {
        const nowMs = clock.nowMs();
        const token = { id, digest, hostId: host, expiresAtMs: nowMs + ttlMs, by: origin.who };
        return decideJoinToken(now, token, nowMs);
      });
      if (!done.ok) return done;
      const made = state.joinTokens.find((token) => token.id === id);
      return made === undefined
        ? err(problem("join_token.not_found", `token ${id} was revoked at once`))
        : ok(viewOf(made));
    },

    revokeJoinToken: async (id, origin) => {
      const done = await writeRecords(engine, "join token revoked", origin, { role: "operator" }, (now) =>
        decideRevokeJoinToken(now, id, origin.who),
      );
      return done.ok ? ok({ id, revision: done.value }) : done;
    },

    joinTokens: () => state.joinTokens.map(viewOf),

    join: async ({ token, digest, host, publicKey }, origin) => {
      // The join token is the right, and is looked at by the decision.
      const done = await writeRecords(engine, `join of ${host}`, origin, { role: "viewer" }, (now) =>
        decideJoin(now, { token, digest, hostId: host, publicKey }, clock.nowMs()),
      );
      if (!done.ok) return done;
      const told = await tellBus(
        admission,
        state,
        (why) => `host ${host} is admitted, but the bus does not know it yet (${why}); ask again`,
        { retryAfterMs: 1_000 },
      );
      if (!told.ok) return told;
      return ok({
        id: host,
        cluster: options.cluster,
        natsUrls: [...admission.urls],
        natsCa: admission.ca,
        clusterKey: options.clusterKey,
        revision: done.value,
      });
    },
  };
};
