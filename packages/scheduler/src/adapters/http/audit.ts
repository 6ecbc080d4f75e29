/**
 * What the API tells the audit trail besides the changes that the log holds anyway: who was refused one, and requests that
 * leave no other record. Only names that have the form of one are noted, never bodies or what else was sent.
 */
import type { FastifyRequest } from "fastify";
import { LRUCache } from "lru-cache";
import {
  isLabel,
  Routes,
  type AllocationId,
  type JobName,
  type HostId,
  type Origin,
  type Problem,
  type ProjectName,
  type RequestRecord,
} from "@berth/schema";
import type { Control } from "../../app/control.ts";
import { createPace } from "../../app/pace.ts";
import type { Clock } from "../../ports/clock.ts";
import { originOf } from "./auth.ts";
import { randomLabel } from "./random-label.ts";

export interface AuditHook {
  /** Somebody was refused: noted if it was a change, as far as the pace allows; nobody waits for it. */
  readonly refused: (request: FastifyRequest, problem: Problem) => void;
  /** Resolves when it is in the log, or the log cannot take it: then it is in the scheduler's own log, and goes on. */
  readonly made: (request: FastifyRequest) => Promise<void>;
}

/** Posted, but they change nothing. */
const ONLY_ASK = new Set<string>([Routes.tickets, Routes.rebalancePlan, Routes.whatIf]);
/** Read, but whoever may gets at everything. */
const LIKE_CHANGES = new Set<string>([
  Routes.allocationExec,
  Routes.allocationRoot,
  Routes.volumeArchive,
  Routes.imageExport,
  Routes.backup,
]);
/** Refusals that one scheduler writes down: so many at once, and so many a second. */
const PACE = { burst: 50, perSecond: 5 };
/** And of one token, so that it takes the turns of no other; without a token, of one address. */
const PACE_EACH = { burst: 20, perSecond: 1 };
const MAX_PACES = 2_000;
/** Whoever needs a shell when nobody leads, or a backup of a full disk, does not wait for longer. */
const PATIENCE_MS = 2_000;

const isChange = ({ method, routeOptions, query }: FastifyRequest): boolean => {
  const url = routeOptions.url ?? "";
  if (LIKE_CHANGES.has(url)) return true;
  const { dryRun } = (query ?? {}) as { readonly dryRun?: unknown };
  return method === "POST" && !ONLY_ASK.has(url) && dryRun !== true && dryRun !== "true";
};

const named = (value: unknown): string | null => (typeof value === "string" && isLabel(value) ? value : null);

const aboutOf = (request: FastifyRequest, state: Control["engine"]["state"]) => {
  const { method, routeOptions } = request;
  const params = (request.params ?? {}) as Readonly<Record<string, unknown>>;
  const query = (request.query ?? {}) as Readonly<Record<string, unknown>>;
  const id = params["allocation"];
  const allocation = typeof id === "string" ? state.allocations.get(id as AllocationId) : undefined;
  return {
    request: `${method} ${routeOptions.url ?? ""}`.slice(0, 256),
    project: allocation?.project ?? (named(params["project"]) as ProjectName | null),
    job: allocation?.job ?? (named(params["job"]) as JobName | null),
    host: allocation?.hostId ?? (named(params["host"] ?? query["host"]) as HostId | null),
  };
};

/** A machine that joins says which token it has; of anybody else without a good one only the address is known. */
const unknownOrigin = (request: FastifyRequest): Origin => {
  const { token } = (request.body ?? {}) as { readonly token?: unknown };
  const id = request.routeOptions.url === Routes.join && typeof token === "string" ? token.split(".")[0] : undefined;
  const who = id !== undefined && /^[a-z0-9]{10}$/.test(id) ? `join token ${id}` : "nobody who is known";
  return { who, via: "token", from: request.ip };
};

export const createAuditHook = (options: {
  readonly control: Pick<Control, "api" | "engine">;
  readonly clock: Clock;
  readonly dropped: () => void;
}): AuditHook => {
  const { clock, control } = options;
  const hasTurn = createPace(PACE, clock.monotonicMs());
  const paces = new LRUCache<string, ReturnType<typeof createPace>>({ max: MAX_PACES });
  const mayNote = ({ principal, ip }: FastifyRequest): boolean => {
    const nowMs = clock.monotonicMs();
    const who = principal === null ? `from ${ip}` : (principal.access?.id ?? principal.name);
    const own = paces.get(who) ?? createPace(PACE_EACH, nowMs);
    paces.set(who, own);
    return own(nowMs) && hasTurn(nowMs);
  };

  const note = async (request: FastifyRequest, record: RequestRecord, origin: Origin): Promise<void> => {
    const done = await control.api.note(randomLabel(), record, origin);
    if (done.ok) return;
    options.dropped();
    request.log.warn({ record, origin, code: done.error.code }, "audit_note_not_written");
  };
  const broken = (request: FastifyRequest) => (error: unknown) =>
    request.log.error({ err: error }, "audit_note_failed");

  return {
    refused: (request, { code, status }) => {
      if (status >= 500 || control.engine.role() === "starting" || !isChange(request)) return;
      if (!mayNote(request)) return options.dropped();
      const record = { kind: "request_refused" as const, ...aboutOf(request, control.engine.state), code };
      const origin = request.principal === null ? unknownOrigin(request) : originOf(request);
      note(request, record, origin).catch(broken(request));
    },
    made: async (request) => {
      const record = { kind: "request_made" as const, ...aboutOf(request, control.engine.state) };
      const noted = note(request, record, originOf(request)).catch(broken(request));
      let cancel = (): void => {};
      const late = new Promise<void>((resolve) => {
        cancel = clock.after(PATIENCE_MS, resolve);
      });
      await Promise.race([noted, late]);
      cancel();
    },
  };
};
