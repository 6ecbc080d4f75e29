/**
 * Agents on the bus. Who asks is who the subject says; an answer goes to that host's own inbox and nowhere else, since
 * the server checks the right to publish but never the reply address, and a service that answers anywhere would publish
 * for whoever asks.
 */
import { ErrorCode, NatsError, type Msg } from "nats";
import type { Logger } from "pino";
import {
  Type,
  decodeJson,
  decoder,
  err,
  hostOfSubject,
  isProblemCode,
  ok,
  problem,
  replySchema,
  Subjects,
  type HostId,
  type Reply,
} from "@berth/schema";
import type { AgentRefusal } from "../../app/counters.ts";
import type { AgentLine, AgentRequest } from "../../ports/bus.ts";
import type { BusConnection } from "./connection.ts";
import { createHostPace } from "./host-pace.ts";
import { messageOf } from "./errors.ts";
import { bytesOf, textOf } from "./json.ts";

/** A heartbeat carries a few numbers per container; a thousand of them fit. */
const MAX_HEARTBEAT_BYTES = 256 * 1024;
const MAX_REQUEST_BYTES = 1024 * 1024;
/** Requests being worked on: in all, and of one host, so that a noisy one does not crowd out the others. */
const MAX_IN_FLIGHT = 512;
const MAX_IN_FLIGHT_PER_HOST = 16;

const decodeReply = decoder(replySchema(Type.Unknown()));

export interface AgentCounters {
  /** A message of an agent was not worked on. */
  readonly refused: (reason: AgentRefusal) => void;
}

export const openAgentLine = (bus: BusConnection, counters: AgentCounters, log: Logger): AgentLine => {
  const pace = createHostPace(log, () => performance.now());
  const inFlight = new Map<HostId, number>();
  let total = 0;

  const answer = (message: Msg, reply: Reply<unknown>): void => {
    try {
      message.respond(bytesOf(JSON.stringify(reply)));
    } catch (error) {
      log.error({ err: error, subject: message.subject }, "agent_answer_failed");
      // Too large for the bus, most likely. An agent that hears nothing would only ask again and again.
      const refused = problem("internal", `the answer could not be sent: ${messageOf(error)}`, {
        retryAfterMs: 10_000,
      });
      message.respond(bytesOf(JSON.stringify({ ok: false, problem: refused })));
    }
  };

  const refuse = (host: string, reason: AgentRefusal, fields: object = {}): void => {
    counters.refused(reason);
    pace.say(host, reason, fields);
  };

  const serve = async (
    message: Msg,
    handler: (request: AgentRequest) => Promise<Reply<unknown> | undefined>,
  ): Promise<void> => {
    const host = hostOfSubject(message.subject);
    const operation = message.subject.split(".")[2] ?? "";
    if (host === undefined) return refuse("none", "inbox");
    if (!pace.mayPass(host, operation === "blob" ? "blob" : "request")) return refuse(host, "rate");
    if (message.reply?.startsWith(`${Subjects.inboxPrefix(host)}.`) !== true) {
      return refuse(host, "inbox", { reply: message.reply?.slice(0, 128) });
    }
    const mine = inFlight.get(host) ?? 0;
    if (total >= MAX_IN_FLIGHT || mine >= MAX_IN_FLIGHT_PER_HOST) {
      refuse(host, "busy");
      answer(message, {
        ok: false,
        problem: problem("log.unavailable", "too many requests wait already", { retryAfterMs: 500 }),
      });
      return;
    }
    if (message.data.length > MAX_REQUEST_BYTES) {
      refuse(host, "size");
      answer(message, {
        ok: false,
        problem: problem("request.too_large", `a request has at most ${MAX_REQUEST_BYTES} bytes`),
      });
      return;
    }
    const body = textOf(message.data);
    if (body === undefined) {
      refuse(host, "text");
      answer(message, { ok: false, problem: problem("message.invalid", "the request is not UTF-8") });
      return;
    }
    total += 1;
    inFlight.set(host, mine + 1);
    try {
      const isForeign = (about: string): void => refuse(host, "foreign", { operation, about });
      const reply = await handler({ host, operation, body, replyTo: message.reply, isForeign });
      if (reply?.ok === false && reply.problem.code === "message.invalid") refuse(host, "form");
      if (reply !== undefined) answer(message, reply);
    } catch (error) {
      log.error({ err: error, host, operation }, "agent_request_failed");
      answer(message, { ok: false, problem: problem("internal", "the request could not be worked on") });
    } finally {
      total -= 1;
      const left = (inFlight.get(host) ?? 1) - 1;
      if (left === 0) inFlight.delete(host);
      else inFlight.set(host, left);
    }
  };

  return {
    onHeartbeat: (handler) => {
      bus.nats.subscribe(Subjects.heartbeats, {
        callback: (error, message) => {
          if (error !== null) return log.warn({ err: error }, "heartbeat_subscription_failed");
          const host = hostOfSubject(message.subject);
          if (host === undefined) return refuse("none", "text");
          if (!pace.mayPass(host, "heartbeat")) return refuse(host, "rate");
          if (message.data.length > MAX_HEARTBEAT_BYTES) return refuse(host, "size");
          const body = textOf(message.data);
          if (body === undefined) return refuse(host, "text");
          handler(host, body);
        },
      });
    },
    onRequest: (handler) => {
      bus.nats.subscribe(Subjects.requests, {
        callback: (error, message) => {
          if (error !== null) return log.warn({ err: error }, "request_subscription_failed");
          void serve(message, handler);
        },
      });
    },
    openSession: (host, id, onFrame) => {
      const subject = Subjects.sessionIn(host, id);
      const subscription = bus.nats.subscribe(Subjects.sessionOut(host, id), {
        callback: (error, message) => {
          if (error !== null) log.warn({ err: error }, "session_subscription_failed");
          else onFrame(message.data);
        },
      });
      return {
        // While the bus is down frames are lost; the sequence shows it, and the session ends.
        send: (frame) => {
          if (!bus.nats.isClosed()) bus.nats.publish(subject, frame);
        },
        close: () => subscription.unsubscribe(),
      };
    },
    ask: async (host, request, timeoutMs) => {
      const unreachable = (why: string) =>
        err(problem("agent.unreachable", `the agent of ${host} does not answer: ${why}`, { retryAfterMs: 1_000 }));
      if (!bus.isUp()) return unreachable("the bus is down");
      let message: Msg;
      try {
        message = await bus.nats.request(Subjects.rpc(host), bytesOf(JSON.stringify(request)), { timeout: timeoutMs });
      } catch (error) {
        const gone = error instanceof NatsError && error.code === ErrorCode.NoResponders;
        return unreachable(gone ? "it is not connected" : messageOf(error).toLowerCase());
      }
      const text = textOf(message.data);
      const decoded = text === undefined ? undefined : decodeJson(decodeReply, text, `the answer of ${host}`);
      if (decoded?.ok !== true) return unreachable("its answer cannot be read");
      if (decoded.value.ok) return ok(decoded.value.value);
      const { code, detail } = decoded.value.problem;
      // Made anew from its code: an agent chooses among our problems, it does not write their text, status and type.
      return err(problem(isProblemCode(code) ? code : "internal", detail ?? `the agent of ${host} gave no reason`));
    },
    introduce: (host, request, replyTo) => {
      bus.nats.publish(Subjects.rpc(host), bytesOf(JSON.stringify(request)), { reply: replyTo });
    },
  };
};
