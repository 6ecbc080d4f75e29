/** Access tokens: made, listed and revoked by admins. A token's secret is made here and kept nowhere. */
import { createHash, randomBytes } from "node:crypto";
import {
  Type,
  AccessIdSchema,
  AccessListSchema,
  AccessMadeSchema,
  AccessNameSchema,
  AccessRequestSchema,
  AccessRevokedSchema,
  formatAccessToken,
  parseDurationMs,
  problem,
  Routes,
  SelfSchema,
} from "@berth/schema";
import type { Control } from "../../../app/control.ts";
import { originOf, principalOf } from "../auth.ts";
import { orRefuse, Refusal } from "../problems.ts";
import { changesOf } from "../rights.ts";
import { randomLabel } from "../random-label.ts";
import type { Server } from "../server-type.ts";
import { problems } from "../shapes.ts";

const SHORTEST_TTL_MS = 1_000;
const LONGEST_TTL_MS = 3_650 * 24 * 3_600_000;

const ttlOf = (text: string | undefined): number | null => {
  if (text === undefined) return null;
  const parsed = parseDurationMs(text);
  const message = !parsed.ok
    ? parsed.error
    : parsed.value < SHORTEST_TTL_MS || parsed.value > LONGEST_TTL_MS
      ? "is at least 1s and at most 3650d"
      : undefined;
  if (parsed.ok && message === undefined) return parsed.value;
  const errors = [{ pointer: "/ttl", message: message ?? "" }];
  throw new Refusal(problem("request.invalid", `body/ttl: ${message ?? ""}`, { errors }));
};

export const addAccessRoutes = (server: Server, { api }: Control): void => {
  server.get(
    Routes.self,
    { schema: { summary: "Whom the API takes the caller for", response: { 200: SelfSchema, ...problems } } },
    async (request, reply) => {
      const { name, via, role, projects, access } = principalOf(request);
      return reply.header("cache-control", "no-store").send({
        name,
        id: access?.id ?? null,
        role,
        projects: projects === null ? null : [...projects],
        via,
        expiresAtMs: access?.expiresAtMs ?? null,
        may: changesOf({ role, projects }),
      });
    },
  );

  server.get(
    Routes.access,
    { schema: { summary: "List access tokens", response: { 200: AccessListSchema, ...problems } } },
    async () => ({ items: api.accessTokens() }),
  );

  server.post(
    Routes.access,
    {
      schema: {
        summary: "Make an access token",
        body: AccessRequestSchema,
        response: { 200: AccessMadeSchema, ...problems },
      },
    },
    async (request, reply) => {
      const { name, role, projects, ttl } = request.body;
      const secret = randomBytes(32).toString("base64url");
      const draft = {
        id: randomLabel(),
        name,
        digest: createHash("sha256").update(secret).digest("hex"),
        role,
        projects: projects ?? null,
        ttlMs: ttlOf(ttl),
      };
      const access = orRefuse(await api.createAccess(draft, originOf(request)));
      return reply.header("cache-control", "no-store").send({ token: formatAccessToken(draft.id, secret), access });
    },
  );

  server.post(
    Routes.accessRevoke,
    {
      schema: {
        summary: "Revoke an access token, by its id or its name",
        params: Type.Object(
          { access: Type.Union([AccessIdSchema, AccessNameSchema]) },
          { additionalProperties: false },
        ),
        response: { 200: AccessRevokedSchema, ...problems },
      },
    },
    async (request) => orRefuse(await api.revokeAccess(request.params.access, originOf(request))),
  );
};
