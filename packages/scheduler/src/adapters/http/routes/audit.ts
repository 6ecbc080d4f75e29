/** The audit trail, page by page. */
import {
  Type,
  AUDIT_RESULTS,
  AuditListSchema,
  HostIdSchema,
  JobNameSchema,
  MAX_AUDIT_PAGE,
  ProjectNameSchema,
  Routes,
} from "@berth/schema";
import type { Control } from "../../../app/control.ts";
import { orRefuse } from "../problems.ts";
import type { Server } from "../server-type.ts";
import { problems } from "../shapes.ts";

const DEFAULT_LIMIT = 500;

export const addAuditRoutes = (server: Server, { api }: Control): void => {
  server.get(
    Routes.audit,
    {
      schema: {
        summary: "What was changed, and who was refused a change",
        querystring: Type.Object(
          {
            since: Type.Optional(
              Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER, description: "what follows this sequence" }),
            ),
            tail: Type.Optional(
              Type.Integer({ minimum: 0, maximum: MAX_AUDIT_PAGE, description: "instead: so many of the newest" }),
            ),
            limit: Type.Optional(
              Type.Integer({
                minimum: 1,
                maximum: MAX_AUDIT_PAGE,
                description: `entries per page, default ${DEFAULT_LIMIT}`,
              }),
            ),
            who: Type.Optional(Type.String({ minLength: 1, maxLength: 128 })),
            project: Type.Optional(ProjectNameSchema),
            job: Type.Optional(JobNameSchema),
            host: Type.Optional(HostIdSchema),
            kind: Type.Optional(Type.String({ pattern: "^[a-z_]{1,64}$", description: "of the record" })),
            result: Type.Optional(Type.Enum([...AUDIT_RESULTS])),
          },
          { additionalProperties: false },
        ),
        response: { 200: AuditListSchema, ...problems },
      },
    },
    async (request, reply) => {
      const { since, tail, limit = DEFAULT_LIMIT, who, project, job, host, kind, result } = request.query;
      const list = orRefuse(
        api.audit({
          since,
          tail,
          limit,
          wants: (entry) =>
            (who === undefined || entry.origin.who === who) &&
            (project === undefined || entry.project === project) &&
            (job === undefined || entry.job === job) &&
            (host === undefined || entry.host === host) &&
            (kind === undefined || entry.kind === kind) &&
            (result === undefined || entry.result === result),
        }),
      );
      return reply.header("cache-control", "no-store").send(list);
    },
  );
};
