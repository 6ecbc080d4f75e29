/** The HTTP server, put together: every address of the API, the live feed and the dashboard. */
import cookie from "@fastify/cookie";
import swagger from "@fastify/swagger";
import type { TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import websocket from "@fastify/websocket";
import fastify, { LogController, type FastifyBaseLogger, type FastifyError } from "fastify";
import type { Logger } from "pino";
import { problem, SESSION_REQUEST_BYTES } from "@berth/schema";
import type { Control } from "../../app/control.ts";
import type { Clock } from "../../ports/clock.ts";
import { createAuditHook } from "./audit.ts";
import { checkRights, createAuthHook, SAFE_METHODS } from "./auth.ts";
import { API_FLAGS, cannotListen } from "./cannot-listen.ts";
import { addDashboard } from "./dashboard.ts";
import { acceptJson } from "./json-body.ts";
import { answerBrokenRequest, problemOf, Refusal, sendProblem } from "./problems.ts";
import { addAccessRoutes } from "./routes/access.ts";
import { addAuditRoutes } from "./routes/audit.ts";
import { addAllocationRoutes } from "./routes/allocations.ts";
import { addEventRoutes } from "./routes/events.ts";
import { addExecRoute } from "./routes/exec.ts";
import { addHostRoutes } from "./routes/hosts.ts";
import { addRebalanceRoutes } from "./routes/rebalance.ts";
import { addWhatIfRoutes } from "./routes/what-if.ts";
import { addImageRoutes } from "./routes/images.ts";
import { addProjectRoutes } from "./routes/projects.ts";
import { addLayerRoutes } from "./routes/layers.ts";
import { addSecretRoutes } from "./routes/secrets.ts";
import { addSnapshotRoutes } from "./routes/snapshots.ts";
import { addVolumeRoutes } from "./routes/volumes.ts";
import { addJobRoutes } from "./routes/jobs.ts";
import { addJoinRoute, addJoinTokenRoutes, type JoinAddress } from "./routes/joining.ts";
import { addPublicRoutes, addSystemRoutes } from "./routes/system.ts";
import { addWatchRoute } from "./routes/watch.ts";
import { addSecurityHeaders } from "./security-headers.ts";
import type { Server } from "./server-type.ts";
import { createSessions } from "./sessions.ts";
import { validatorCompiler } from "./validation.ts";

export interface HttpOptions {
  readonly control: Control;
  readonly adminToken: string;
  readonly version: string;
  readonly cluster: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly dashboardDir: string;
  readonly joinAddress: () => JoinAddress | undefined;
  readonly metrics: {
    readonly contentType: string;
    readonly render: () => Promise<string>;
    readonly answered: (method: string, route: string, status: number, seconds: number) => void;
    readonly joined: (outcome: "joined" | "refused") => void;
    readonly auditDropped: () => void;
  };
}

const BODY_BYTES = 2 ** 20;
const CLOSE_PATIENCE_MS = 1_000;

export const buildServer = async (options: HttpOptions): Promise<Server> => {
  const { control, clock, metrics } = options;
  const server: Server = fastify({
    loggerInstance: options.logger as FastifyBaseLogger,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: BODY_BYTES,
    // Whoever sends a request slowly, or holds a line without one, gives it up; answers may take as long as they like.
    requestTimeout: 30_000,
    connectionTimeout: 0,
    keepAliveTimeout: 72_000,
    forceCloseConnections: "idle",
    routerOptions: { maxParamLength: 4_096 },
    frameworkErrors: (error, request, reply) => void sendProblem(reply, problemOf(error, request)),
    clientErrorHandler: answerBrokenRequest,
  }).withTypeProvider<TypeBoxTypeProvider>();

  const audit = createAuditHook({ control, clock, dropped: metrics.auditDropped });
  server.setValidatorCompiler(validatorCompiler);
  // Answers are made of our own views: what a serialiser would drop or coerce would be a bug hidden.
  server.setSerializerCompiler(() => (value) => JSON.stringify(value));
  server.setErrorHandler((error: FastifyError, request, reply) => {
    // A stream that breaks after its first byte cannot become a problem any more: the connection ends instead.
    if (reply.raw.headersSent) return reply.raw.destroy(error);
    const refused = problemOf(error, request);
    audit.refused(request, refused);
    return sendProblem(reply, refused);
  });
  acceptJson(server);
  addSecurityHeaders(server);
  server.decorateRequest("principal", null);
  server.addHook("onResponse", async (request, reply) => {
    metrics.answered(request.method, request.routeOptions.url ?? "none", reply.statusCode, reply.elapsedTime / 1_000);
  });

  await server.register(cookie);
  await server.register(swagger, {
    openapi: {
      openapi: "3.1.0",
      info: { title: "Berth", description: "A private cloud of containers", version: options.version },
      components: { securitySchemes: { token: { type: "http", scheme: "bearer" } } },
      security: [{ token: [] }],
    },
  });
  // One limit for all addresses, before which a socket has proved who it is: the live feed closes at the first frame.
  await server.register(websocket, { options: { maxPayload: SESSION_REQUEST_BYTES, perMessageDeflate: false } });

  const sessions = createSessions(options.adminToken);
  const system = { ...options, sessions };
  const joining = { joinAddress: options.joinAddress, joined: metrics.joined };
  await server.register(async (open) => {
    const routes: Server = open.withTypeProvider<TypeBoxTypeProvider>();
    routes.addHook("onRoute", checkRights("public"));
    addPublicRoutes(routes, control, system);
    addJoinRoute(routes, control, joining);
  });
  await server.register(async (guarded) => {
    const routes: Server = guarded.withTypeProvider<TypeBoxTypeProvider>();
    routes.addHook("onRoute", checkRights("guarded"));
    // Before anybody is asked who it is: tokens are in the log, too.
    routes.addHook("onRequest", async () => {
      const role = control.engine.role();
      // One that must end reads no log any more: whoever it told what it knows would be told the past.
      if (role === "stopped")
        throw new Refusal(problem("leader.unknown", "the scheduler is stopping", { retryAfterMs: 1_000 }));
      if (role !== "starting") return;
      throw new Refusal(problem("leader.unknown", "the scheduler is reading its log", { retryAfterMs: 1_000 }));
    });
    // Before anybody is let in: a token that was revoked elsewhere is no token here.
    routes.addHook("onRequest", async (request, reply) => {
      if (!SAFE_METHODS.has(request.method)) return;
      const behindMs = await control.freshness.behindMs();
      if (behindMs > 0) reply.header("berth-behind-ms", behindMs);
    });
    routes.addHook("onRequest", createAuthHook({ sessions, clock, control }));
    addSystemRoutes(routes, control, { ...system, audit });
    addAccessRoutes(routes, control);
    addJobRoutes(routes, control);
    addHostRoutes(routes, control);
    addJoinTokenRoutes(routes, control, joining);
    addRebalanceRoutes(routes, control);
    addWhatIfRoutes(routes, control);
    addAllocationRoutes(routes, control, audit);
    addImageRoutes(routes, control, audit);
    addProjectRoutes(routes, control);
    addLayerRoutes(routes, control, audit);
    addSecretRoutes(routes, control);
    addSnapshotRoutes(routes, control, audit);
    addVolumeRoutes(routes, control, audit);
    addWatchRoute(routes, control);
    addEventRoutes(routes, control);
    addAuditRoutes(routes, control);
    addExecRoute(routes, control, audit);
  });
  await addDashboard(server, options.dashboardDir);
  return server;
};

/** What is being answered may finish; streams that would go on for ever are cut after a moment. */
export const closeServer = async (server: Server): Promise<void> => {
  const timer = setTimeout(() => server.server.closeAllConnections(), CLOSE_PATIENCE_MS);
  await server.close();
  clearTimeout(timer);
};

/** Listens and resolves with the address. */
export const listen = async (server: Server, host: string, port: number): Promise<string> => {
  try {
    return await server.listen({ host, port });
  } catch (error) {
    throw cannotListen(error, { host, port }, API_FLAGS);
  }
};
