/** The dashboard: static files of packages/web, and its page for every address that a browser asks for. */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import fastifyStatic from "@fastify/static";
import type { FastifyReply, FastifyRequest } from "fastify";
import { notFound, sendProblem } from "./problems.ts";
import type { Server } from "./server-type.ts";

/** The same distance from src/adapters/http as from dist/adapters/http. */
export const defaultDashboardDir = (): string => fileURLToPath(new URL("../../../../web/dist", import.meta.url));

const NOT_BUILT = `<!doctype html><html lang="en"><meta charset="utf-8"><title>Berth</title>
<h1>Berth</h1><p>The dashboard is not built. Build it with <code>npx pnpm build:web</code> and load this page again.</p></html>`;

const wantsPage = (request: FastifyRequest): boolean =>
  (request.method === "GET" || request.method === "HEAD") &&
  !request.url.startsWith("/v1/") &&
  (request.headers.accept ?? "").includes("text/html");

export const addDashboard = async (server: Server, directory: string): Promise<void> => {
  const isBuilt = existsSync(`${directory}/index.html`);
  if (isBuilt) {
    await server.register(fastifyStatic, {
      root: directory,
      index: ["index.html"],
      setHeaders: (response, path) => {
        // Names of assets hold a hash of their content; the page that names them must always be asked for.
        void response.header(
          "cache-control",
          path.includes("/assets/") ? "public, max-age=31536000, immutable" : "no-cache",
        );
      },
    });
  }
  server.setNotFoundHandler((request: FastifyRequest, reply: FastifyReply) => {
    if (!wantsPage(request)) return sendProblem(reply, notFound(request));
    if (isBuilt) return reply.sendFile("index.html");
    return reply.type("text/html; charset=utf-8").send(NOT_BUILT);
  });
};
