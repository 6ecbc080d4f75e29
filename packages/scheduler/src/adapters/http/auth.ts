/** Lets a request in or refuses it, before anything of it is read: who is it, and may it use this address. */
import { createHmac } from "node:crypto";
import type { FastifyRequest, RouteOptions } from "fastify";
import {
  ADMIN_NAME,
  err,
  includesRole,
  ok,
  problem,
  Routes,
  type AllocationId,
  type Origin,
  type Problem,
  type ProjectName,
  type Result,
} from "@berth/schema";
import type { Control } from "../../app/control.ts";
import { refusalOf, seesProject, type AccessRecord } from "../../core/index.ts";
import type { Clock } from "../../ports/clock.ts";
import { Refusal } from "./problems.ts";
import { RIGHTS, type Method, type Right } from "./rights.ts";
import type { Principal } from "./server-type.ts";
import type { Sessions } from "./sessions.ts";

export const SAFE_METHODS = new Set(["GET", "HEAD", "OPTIONS"]);

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

const principal = (access: AccessRecord | null, via: "token" | "session"): Principal =>
  access === null
    ? { name: ADMIN_NAME, via, role: "admin", projects: null, access: null }
    : { name: access.name, via, role: access.role, projects: access.projects, access };

export interface AuthOptions {
  readonly sessions: Sessions;
  readonly clock: Clock;
  readonly control: Pick<Control, "access" | "engine">;
}

const identify = (request: FastifyRequest, { sessions, clock, control }: AuthOptions): Result<Principal, Problem> => {
  const { access } = control;
  const bearer = bearerOf(request);
  if (bearer !== undefined) {
    if (sessions.isAdminToken(bearer)) return ok(principal(null, "token"));
    const found = access.byToken(bearer);
    if (found !== undefined) return ok(principal(found, "token"));
    const detail =
      "the token is not valid: it was revoked, has expired or never was; that of the cluster is in admin.token of the scheduler's data directory";
    return err(problem("auth.required", detail));
  }
  const cookie = request.cookies[sessions.cookieName];
  const session = cookie === undefined ? undefined : sessions.sessionOf(cookie, clock.nowMs());
  if (session === undefined) {
    return err(problem("auth.required", "send Authorization: Bearer TOKEN, or open a login link"));
  }
  const isUpgrade = request.headers.upgrade !== undefined;
  if (isForeign(request) && (isUpgrade || !SAFE_METHODS.has(request.method))) {
    return err(
      problem("auth.forbidden", `requests from pages of ${request.headers.origin ?? "elsewhere"} are not accepted`),
    );
  }
  if (session.owner === null) return ok(principal(null, "session"));
  const found = access.byId(session.owner);
  if (found !== undefined) return ok(principal(found, "session"));
  return err(problem("auth.required", "the token that this session came from was revoked or has expired"));
};

const ROUTE_NAMES = new Map(
  Object.entries(Routes).map(([name, address]) => [address as string, name as keyof typeof Routes]),
);

const rightOf = (address: string, method: string): Right | undefined => {
  const name = ROUTE_NAMES.get(address);
  // Whoever may read a document may ask for its head.
  return name === undefined ? undefined : RIGHTS[name][(method === "HEAD" ? "GET" : method) as Method];
};

/**
 * For a part of the server whose routes are all `public`, or all not: registering one that the table does not have, or has
 * as the other kind, throws, so that such a server never starts.
 */
export const checkRights =
  (kind: "public" | "guarded") =>
  ({ method, url }: Pick<RouteOptions, "method" | "url">): void => {
    for (const one of [method].flat()) {
      const right = rightOf(url, one);
      if (right === undefined) throw new Error(`${one} ${url} has no entry in the table of rights (rights.ts)`);
      if ((right === "public") !== (kind === "public")) throw new Error(`${one} ${url} is not ${kind} by its right`);
    }
  };

const allocationNotFound = (id: string): Problem => problem("allocation.not_found", `there is no allocation ${id}`);

/** Why this principal may not use this address; undefined when it may, as far as the address tells. */
const refusedAddress = (
  request: FastifyRequest,
  who: Principal,
  state: Control["engine"]["state"],
): Problem | undefined => {
  const right = rightOf(request.routeOptions.url ?? "", request.method);
  if (right === undefined || right === "public") return problem("auth.forbidden", "nobody may use this address");
  const { role } = right;
  if (right.of === "cluster") return refusalOf(who, { role });
  const params = (request.params ?? {}) as Readonly<Record<string, string | undefined>>;
  const allocation = params["allocation"];
  const found = allocation === undefined ? undefined : state.allocations.get(allocation as AllocationId);
  // What one may not see is not there.
  if (found !== undefined && !seesProject(who, found.project)) return allocationNotFound(found.id);
  const project = found?.project ?? (params["project"] as ProjectName | undefined);
  if (project !== undefined) return refusalOf(who, { role, project });
  // The handler knows whose it is; the role is asked here all the same.
  return includesRole(who.role, role) ? undefined : refusalOf(who, { role });
};

/** A token that is revoked ends what is open with it: feeds, followed logs, sessions in containers. */
const endWithToken = (request: FastifyRequest, access: AccessRecord, check: Control["access"], done: Ended): void => {
  const { socket } = request.raw;
  const giveUp = check.whenEnded(access, () => socket.destroy());
  // An upgraded connection is not an answer any more: it lasts as long as its socket.
  if (request.headers.upgrade === undefined) done(giveUp);
  else socket.once("close", giveUp);
};
type Ended = (listener: () => void) => void;

export const createAuthHook =
  (options: AuthOptions) =>
  async (
    request: FastifyRequest,
    reply: { readonly raw: { once: (name: "close", listener: () => void) => unknown } },
  ): Promise<void> => {
    const found = identify(request, options);
    if (!found.ok) throw new Refusal(found.error);
    // Before it is refused: the audit trail names who was.
    request.principal = found.value;
    const refused = refusedAddress(request, found.value, options.control.engine.state);
    if (refused !== undefined) throw new Refusal(refused);
    const { access } = found.value;
    if (access === null) return;
    endWithToken(request, access, options.control.access, (listener) => void reply.raw.once("close", listener));
  };

/** What the log says about who asked. */
export const originOf = (request: FastifyRequest): Origin => {
  const { name, via, access } = principalOf(request);
  const number = requestNumber(request, name);
  return {
    ...{ who: name, via, from: request.ip },
    ...(access === null ? {} : { access: access.id }),
    ...(number === undefined ? {} : { request: number }),
  };
};

/**
 * The same for the same request of the same user under the same Idempotency-Key. It goes into the log, and a body may hold
 * a secret: without the key, which does not, nobody can try what it was made of.
 */
const requestNumber = (request: FastifyRequest, who: string): string | undefined => {
  const key = request.headers["idempotency-key"];
  if (typeof key !== "string" || SAFE_METHODS.has(request.method)) return undefined;
  const about = JSON.stringify([who, request.method, request.url, request.body ?? null]);
  return createHmac("sha256", key).update(about).digest("base64url").slice(0, 36);
};

/** Every route behind the hook has one. */
export const principalOf = (request: FastifyRequest): Principal => {
  if (request.principal === null) throw new Refusal(problem("auth.required", "send Authorization: Bearer TOKEN"));
  return request.principal;
};

/** A filter by a project that the caller does not see is refused, rather than answered with nothing. */
export const refuseForeignProject = (request: FastifyRequest, project: ProjectName | undefined): void => {
  if (project === undefined) return;
  const refused = refusalOf(principalOf(request), { role: "viewer", project });
  if (refused !== undefined) throw new Refusal(refused);
};
