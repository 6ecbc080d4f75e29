/** What is asked of the process itself: alive, ready, version, metrics, the description of the API, login. */
import { Readable } from "node:stream";
import type { FastifyReply } from "fastify";
import { Type, problem, Routes, TicketSchema, VersionSchema } from "@berth/schema";
import type { Control } from "../../../app/control.ts";
import type { Clock } from "../../../ports/clock.ts";
import type { AuditHook } from "../audit.ts";
import { principalOf } from "../auth.ts";
import { Refusal, sendProblem } from "../problems.ts";
import type { Server } from "../server-type.ts";
import type { Sessions } from "../sessions.ts";
import { problems } from "../shapes.ts";

export interface SystemRouteOptions {
  readonly version: string;
  readonly cluster: string;
  readonly sessions: Sessions;
  readonly clock: Clock;
  readonly metrics: { readonly contentType: string; readonly render: () => Promise<string> };
}

/** Names of what this API can do beyond its first version, so that clients need not compare versions. */
const CAPABILITIES = [
  "jobs.dry_run",
  "jobs.idempotency_key",
  "jobs.wait",
  "watch.since",
  "events",
  "access",
  "logs.follow",
  "outputs",
  "images",
];

const CheckSchema = Type.Object({ ok: Type.Boolean(), detail: Type.String() });
const ReadinessSchema = Type.Object({ ready: Type.Boolean(), checks: Type.Record(Type.String(), CheckSchema) });

export const addPublicRoutes = (server: Server, control: Control, options: SystemRouteOptions): void => {
  const { sessions, clock } = options;

  server.get(
    Routes.livez,
    { schema: { summary: "The process is alive", response: { 200: Type.Object({ ok: Type.Boolean() }) } } },
    async () => ({
      ok: true,
    }),
  );

  server.get(
    Routes.readyz,
    { schema: { summary: "The process serves well", response: { 200: ReadinessSchema, 503: ReadinessSchema } } },
    async (_request, reply) => {
      const checks = control.checks();
      const ready = Object.values(checks).every((check) => check.ok);
      return reply
        .code(ready ? 200 : 503)
        .header("cache-control", "no-store")
        .send({ ready, checks });
    },
  );

  server.get(
    Routes.login,
    {
      // A HEAD (the preview of a link in a chat) would use the ticket up.
      exposeHeadRoute: false,
      schema: {
        summary: "Turn a one-time ticket into a session",
        querystring: Type.Object(
          { ticket: Type.String({ minLength: 1, maxLength: 128 }) },
          { additionalProperties: false },
        ),
      },
    },
    async (request, reply): Promise<FastifyReply> => {
      const redeemed = sessions.redeemTicket(request.query.ticket);
      if (redeemed === undefined) {
        return sendProblem(
          reply,
          problem("auth.required", "this login link was used or has expired; make a new one with: berth dashboard"),
        );
      }
      const { value, maxAgeSeconds } = sessions.createSession(redeemed.owner, clock.nowMs());
      return reply
        .setCookie(sessions.cookieName, value, {
          path: "/",
          httpOnly: true,
          sameSite: "strict",
          secure: request.protocol === "https",
          maxAge: maxAgeSeconds,
        })
        .header("cache-control", "no-store")
        .redirect("/", 303);
    },
  );
};

export const addSystemRoutes = (
  server: Server,
  control: Control,
  options: SystemRouteOptions & { readonly audit: AuditHook },
): void => {
  const { sessions, metrics } = options;

  server.get(
    Routes.version,
    { schema: { summary: "Version and capabilities", response: { 200: VersionSchema, ...problems } } },
    async () => ({
      version: options.version,
      api: "v1" as const,
      cluster: options.cluster,
      capabilities: CAPABILITIES,
    }),
  );

  server.post(
    Routes.tickets,
    { schema: { summary: "Make a one-time login ticket", response: { 200: TicketSchema, ...problems } } },
    async (request, reply) => {
      const { via, access } = principalOf(request);
      if (via !== "token") {
        throw new Refusal(problem("auth.forbidden", "a session cannot make login tickets; use the token"));
      }
      return reply.header("cache-control", "no-store").send(sessions.createTicket(access?.id ?? null));
    },
  );

  server.get(
    Routes.backup,
    {
      // Its body is the whole state: nobody should have it made for nothing.
      exposeHeadRoute: false,
      schema: {
        summary: "The whole state with the cluster's secrets, as a file",
        response: {
          200: {
            description: "lines of JSON",
            content: { "application/octet-stream": { schema: Type.Unsafe<Readable>(Type.String()) } },
          },
          ...problems,
        },
      },
    },
    async (request, reply) => {
      if (principalOf(request).via !== "token") {
        throw new Refusal(
          problem("auth.forbidden", "a session cannot make backups, which hold secrets; use the token"),
        );
      }
      await options.audit.made(request);
      const made = await control.backup();
      if (made === undefined) {
        throw new Refusal(problem("leader.unknown", "the scheduler is reading its log", { retryAfterMs: 1_000 }));
      }
      return reply
        .type("application/octet-stream")
        .header("content-disposition", `attachment; filename="${options.cluster}-${made.revision}.backup"`)
        .header("cache-control", "no-store")
        .send(Readable.from(made.chunks, { objectMode: false }));
    },
  );

  server.get(Routes.metrics, { schema: { summary: "Metrics for Prometheus" } }, async (_request, reply) =>
    reply.type(metrics.contentType).send(await metrics.render()),
  );

  server.get(Routes.openapi, { schema: { hide: true } }, async () => server.swagger());
};
