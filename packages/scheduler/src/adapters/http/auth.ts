/** Lets a request in or refuses it, before anything of it is read. */
import type { FastifyRequest } from "fastify";
import { err, ok, problem, type Origin, type Problem, type Result } from "@berth/schema";
import type { Clock } from "../../ports/clock.ts";
import { Refusal } from "./problems.ts";
import type { Principal } from "./server-type.ts";
import type { Sessions } from "./sessions.ts";

const SAFE_METHODS = new Set(["GET", "HEAD", "OPTIONS"]);

/** A page of another origin may make a browser send requests; it cannot make it lie about where they come from. */
const isForeign = (request: FastifyRequest): boolean => {
  const { origin, host } = request.headers;
  if (origin === undefined) return false;
  try {
    return new URL(origin).host !== host;
  } catch {
    return true;
  }
};

const bearerOf = (request: FastifyRequest): string | undefined => {
  const match = /^Bearer +(\S{1,512})$/i.exec(request.headers.authorization ?? "");
  return match?.[1];
};

const identify = (request: FastifyRequest, sessions: Sessions, clock: Clock): Result<Principal, Problem> => {
  const bearer = bearerOf(request);
  if (bearer !== undefined) {
    return sessions.isAdminToken(bearer)
      ? ok({ name: "admin", via: "token" })
      : err(problem("auth.required", "the token is not valid; it is in admin.token of the scheduler's data directory"));
  }
  const cookie = request.cookies[sessions.cookieName];
  if (cookie === undefined || !sessions.isSession(cookie, clock.nowMs())) {
    return err(problem("auth.required", "send Authorization: Bearer TOKEN, or open a login link"));
  }
  const isUpgrade = request.headers.upgrade !== undefined;
  if (isForeign(request) && (isUpgrade || !SAFE_METHODS.has(request.method))) {
    return err(
      problem("auth.forbidden", `requests from pages of ${request.headers.origin ?? "elsewhere"} are not accepted`),
    );
  }
  return ok({ name: "admin", via: "session" });
};

export const createAuthHook =
  (sessions: Sessions, clock: Clock) =>
  async (request: FastifyRequest): Promise<void> => {
    const principal = identify(request, sessions, clock);
    if (!principal.ok) throw new Refusal(principal.error);
    request.principal = principal.value;
  };

/** What the log says about who asked. */
export const originOf = (request: FastifyRequest): Origin => {
  const { name, via } = principalOf(request);
  return { who: name, via, from: request.ip };
};

/** The name for the audit trail. Every route behind the hook has one. */
export const principalOf = (request: FastifyRequest): Principal => {
  if (request.principal === null) throw new Refusal(problem("auth.required", "send Authorization: Bearer TOKEN"));
  return request.principal;
};
