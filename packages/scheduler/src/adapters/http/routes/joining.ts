/** Joining: operators make, list and revoke tokens; machines use them. A token's secret is made here and kept nowhere. */
import { createHash, randomBytes } from "node:crypto";
import {
  Type,
  formatJoinLine,
  JoinedSchema,
  JoinRequestSchema,
  JoinTokenIdSchema,
  JoinTokenListSchema,
  JoinTokenMadeSchema,
  JoinTokenRequestSchema,
  JoinTokenRevokedSchema,
  parseDurationMs,
  problem,
  Routes,
} from "@berth/schema";
import type { Control } from "../../../app/control.ts";
import { originOf } from "../auth.ts";
import { orRefuse, Refusal } from "../problems.ts";
import { randomLabel } from "../random-label.ts";
import type { Server } from "../server-type.ts";
import { problems } from "../shapes.ts";

/** Where other machines reach this scheduler, and whom they may believe there. Undefined: nowhere. */
export interface JoinAddress {
  readonly urls: readonly string[];
  readonly fingerprint: string;
}

export interface JoinRouteOptions {
  readonly joinAddress: () => JoinAddress | undefined;
  readonly joined: (outcome: "joined" | "refused") => void;
}

const DEFAULT_TTL_MS = 10 * 60_000;
const SHORTEST_TTL_MS = 1_000;
const LONGEST_TTL_MS = 7 * 24 * 3_600_000;

const ttlOf = (text: string | undefined): number => {
  if (text === undefined) return DEFAULT_TTL_MS;
  const parsed = parseDurationMs(text);
  const message = !parsed.ok
    ? parsed.error
    : parsed.value < SHORTEST_TTL_MS || parsed.value > LONGEST_TTL_MS
      ? "is at least 1s and at most 7d"
      : undefined;
  if (parsed.ok && message === undefined) return parsed.value;
  const errors = [{ pointer: "/ttl", message: message ?? "" }];
  throw new Refusal(problem("request.invalid", `body/ttl: ${message ?? ""}`, { errors }));
};

const digestOf = (secret: string): string => createHash("sha256").update(secret).digest("hex");

export const addJoinTokenRoutes = (server: Server, { api }: Control, options: JoinRouteOptions): void => {
  server.post(
    Routes.joinTokens,
    {
      schema: {
        summary: "Make a token with which one machine may join",
        body: JoinTokenRequestSchema,
        response: { 200: JoinTokenMadeSchema, ...problems },
      },
    },
    async (request, reply) => {
      const ttlMs = ttlOf(request.body.ttl);
      const where = options.joinAddress();
      if (where === undefined) {
        const detail = "this scheduler listens on loopback only; start it with: berth up --listen ADDRESS";
        throw new Refusal(problem("join.closed", detail));
      }
      const secret = randomBytes(32).toString("base64url");
      const draft = { id: randomLabel(), digest: digestOf(secret), host: request.body.host ?? null, ttlMs };
      const { id, host, expiresAtMs } = orRefuse(await api.createJoinToken(draft, originOf(request)));
      const line = formatJoinLine({ ...where, token: `${id}.${secret}` });
      return reply.header("cache-control", "no-store").send({ id, line, host, expiresAtMs });
    },
  );

  server.get(
    Routes.joinTokens,
    { schema: { summary: "List join tokens", response: { 200: JoinTokenListSchema, ...problems } } },
    async () => ({ items: api.joinTokens() }),
  );

  server.post(
    Routes.joinTokenRevoke,
    {
      schema: {
        summary: "Revoke a join token",
        params: Type.Object({ token: JoinTokenIdSchema }, { additionalProperties: false }),
        response: { 200: JoinTokenRevokedSchema, ...problems },
      },
    },
    async (request) => orRefuse(await api.revokeJoinToken(request.params.token, originOf(request))),
  );
};

/** Outside of what asks for a user: whoever holds a token is let in by it. */
export const addJoinRoute = (server: Server, { api, engine }: Control, options: JoinRouteOptions): void => {
  server.post(
    Routes.join,
    {
      schema: {
        summary: "Become a host, with a join token",
        body: JoinRequestSchema,
        response: { 200: JoinedSchema, ...problems },
      },
    },
    async (request, reply) => {
      if (engine.role() === "starting") {
        throw new Refusal(problem("leader.unknown", "the scheduler is reading its log", { retryAfterMs: 1_000 }));
      }
      const { host, publicKey } = request.body;
      const [token = "", secret = ""] = request.body.token.split(".");
      const origin = { who: `join token ${token}`, via: "token" as const, from: request.ip };
      const done = await api.join({ token, digest: digestOf(secret), host, publicKey }, origin);
      options.joined(done.ok ? "joined" : "refused");
      if (!done.ok) request.log.warn({ token, host, from: request.ip, code: done.error.code }, "join_refused");
      return reply.header("cache-control", "no-store").send(orRefuse(done));
    },
  );
};
