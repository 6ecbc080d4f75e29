/**
 * Lets sessions of users into containers, or refuses them: a signed request opens one, before it expires and once. How
 * many there may be is bounded, and what is remembered of their requests as well.
 */
import { problem, SESSION_OPEN_MS, type AllocationId, type Problem, type Reply, type Rpc } from "@berth/schema";
import { errorFields } from "../ports/log.ts";
import type { AgentContext } from "./context.ts";
import { startSession, type SessionContext } from "./exec-session.ts";
import { isTooOld, openProgram } from "./session-program.ts";

const MAX_SESSIONS = 64;
const MAX_SESSIONS_PER_ALLOCATION = 8;
/** Ids of opened sessions are remembered until their requests have expired. */
const MAX_REMEMBERED = 4096;

type OpenOp = Extract<Rpc["op"], { kind: "open" }>;

export interface SessionsContext extends SessionContext, Pick<AgentContext, "state"> {
  readonly settings: Pick<AgentContext["settings"], "host">;
}

export interface ExecSessions {
  readonly open: (op: OpenOp) => Promise<Reply<{ readonly terminal: boolean }>>;
  /** Ends all of them; resolves when their programs are told. */
  readonly close: () => Promise<void>;
  readonly count: () => number;
}

const refuse = (reason: Problem): Reply<never> => ({ ok: false, problem: reason });

export const createExecSessions = (getContext: () => SessionsContext): ExecSessions => {
  /** By session: its allocation, and how to end it. */
  const live = new Map<string, { readonly allocation: AllocationId; end: () => Promise<void> }>();
  const opened = new Map<string, number>();

  const admit = (op: OpenOp): Problem | undefined => {
    const { clock, settings, state } = getContext();
    const nowMs = clock.nowMs();
    for (const [id, untilMs] of opened) if (untilMs < nowMs) opened.delete(id);
    if (op.expiresAtMs < nowMs || op.expiresAtMs > nowMs + 2 * SESSION_OPEN_MS) {
      return problem(
        "message.stale",
        `the request is not valid now on ${settings.host}; do the clocks of the hosts agree?`,
      );
    }
    if (opened.has(op.id)) return problem("message.stale", "a session of this id was opened already");
    const found = state.containers.get(op.allocation);
    if (found === undefined || found.exit !== undefined) {
      return problem("allocation.not_running", `${op.allocation} does not run on ${settings.host}`);
    }
    const mine = [...live.values()].filter(({ allocation }) => allocation === op.allocation).length;
    if (live.size >= MAX_SESSIONS || mine >= MAX_SESSIONS_PER_ALLOCATION || opened.size >= MAX_REMEMBERED) {
      return problem(
        "request.too_many",
        `${mine} sessions are open in ${op.allocation}, ${live.size} on ${settings.host}`,
        {
          retryAfterMs: 1_000,
        },
      );
    }
    opened.set(op.id, op.expiresAtMs);
    return undefined;
  };

  return {
    count: () => live.size,
    open: async (op) => {
      const refused = admit(op);
      if (refused !== undefined) return refuse(refused);
      const context = getContext();
      const container = context.state.containers.get(op.allocation)?.container;
      if (container === undefined) return refuse(problem("allocation.not_running", `${op.allocation} has ended`));
      const place = { allocation: op.allocation, end: () => Promise.resolve() };
      live.set(op.id, place);
      try {
        if (op.request.kind === "exec" && (await container.isPaused())) {
          live.delete(op.id);
          const detail = `${op.allocation} is paused; what is started in it would stand still`;
          return refuse(problem("allocation.paused", detail));
        }
        const made = await openProgram(container, op.request);
        if (!made.ok) {
          live.delete(op.id);
          return refuse(made.error);
        }
        const program = made.value;
        const ended = (): void => void live.delete(op.id);
        const session = startSession(context, op.id, program, ended);
        if (session === undefined) {
          program.close();
          live.delete(op.id);
          return refuse(problem("agent.unreachable", "the bus is not connected"));
        }
        place.end = session;
        context.log.info({ allocation: op.allocation, kind: op.request.kind }, "exec.opened");
        return { ok: true, value: { terminal: program.terminal } };
      } catch (error) {
        live.delete(op.id);
        context.log.warn({ allocation: op.allocation, error: errorFields(error) }, "exec.failed");
        if (isTooOld(error)) return refuse(problem("request.invalid", error.message));
        return refuse(
          problem(
            "allocation.not_running",
            `the container of ${op.allocation} does not answer; it may just have ended`,
          ),
        );
      }
    },
    close: async () => {
      await Promise.all([...live.values()].map(({ end }) => end()));
    },
  };
};
