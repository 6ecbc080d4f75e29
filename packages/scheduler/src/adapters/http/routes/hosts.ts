/** Hosts: list, look at, admit, close, open, empty, remove. */
import {
  Type,
  DrainPlanSchema,
  DrainRequestSchema,
  EnrolledSchema,
  EnrolmentSchema,
  HostListSchema,
  HostViewSchema,
  parseDurationMs,
  problem,
  RemovalSchema,
  RemovedSchema,
  Routes,
} from "@berth/schema";
import type { Control } from "../../../app/control.ts";
import { originOf } from "../auth.ts";
import { orRefuse, Refusal } from "../problems.ts";
import type { Server } from "../server-type.ts";
import { HostParams, pageProperties, pageRequest, problems } from "../shapes.ts";

const DEFAULT_DEADLINE_MS = 3_600_000;

const deadlineOf = (text: string | undefined): number => {
  if (text === undefined) return DEFAULT_DEADLINE_MS;
  const parsed = parseDurationMs(text);
  if (parsed.ok) return parsed.value;
  const errors = [{ pointer: "/deadline", message: parsed.error }];
  throw new Refusal(problem("request.invalid", `body/deadline: ${parsed.error}`, { errors }));
};

export const addHostRoutes = (server: Server, { api }: Control): void => {
  server.get(
    Routes.hosts,
    {
      schema: {
        summary: "List hosts",
        querystring: Type.Object({ ...pageProperties }, { additionalProperties: false }),
        response: { 200: HostListSchema, ...problems },
      },
    },
    async (request) => orRefuse(api.hosts(pageRequest(request.query))),
  );

  server.get(
    Routes.host,
    { schema: { summary: "A host", params: HostParams, response: { 200: HostViewSchema, ...problems } } },
    async (request) => orRefuse(api.host(request.params.host)),
  );

  for (const [route, summary, write] of [
    [Routes.hostCordon, "Close a host: it takes nothing new; a drain is cancelled", api.cordon],
    [Routes.hostUncordon, "Open a host again", api.uncordon],
  ] as const) {
    server.post(
      route,
      { schema: { summary, params: HostParams, response: { 200: HostViewSchema, ...problems } } },
      async (request) => orRefuse(await write(request.params.host, originOf(request))),
    );
  }

  server.post(
    Routes.hostDrain,
    {
      schema: {
        summary: "Empty a host until a deadline, or with dryRun see what that would do",
        params: HostParams,
        querystring: Type.Object({ dryRun: Type.Optional(Type.Boolean()) }, { additionalProperties: false }),
        body: DrainRequestSchema,
        response: { 200: Type.Union([HostViewSchema, DrainPlanSchema]), ...problems },
      },
    },
    async (request) => {
      const { host } = request.params;
      const deadlineMs = deadlineOf(request.body.deadline);
      if (request.query.dryRun === true) return orRefuse(api.drainPlan(host, deadlineMs));
      return orRefuse(await api.drain(host, deadlineMs, originOf(request)));
    },
  );

  server.post(
    Routes.hostRemove,
    {
      schema: {
        summary: "Remove a host and revoke its key",
        params: HostParams,
        body: RemovalSchema,
        response: { 200: RemovedSchema, ...problems },
      },
    },
    async (request) =>
      orRefuse(await api.removeHost(request.params.host, request.body.force === true, originOf(request))),
  );

  server.post(
    Routes.hosts,
    {
      schema: {
        summary: "Admit a host by its public key",
        body: EnrolmentSchema,
        response: { 200: EnrolledSchema, ...problems },
      },
    },
    async (request) => orRefuse(await api.enrol(request.body, originOf(request))),
  );
};
