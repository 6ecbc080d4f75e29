/**
 * Scheduler instances among themselves: a follower's request goes to all, and only the leader answers. Nobody but
 * schedulers may speak on this subject: agents have no right to it.
 */
import type { Logger } from "pino";
import { Type, decodeJson, decoder, problem, replySchema, Subjects, type Reply } from "@berth/schema";
import type { PeerLine } from "../../ports/bus.ts";
import type { BusConnection } from "./connection.ts";
import { bytesOf, textOf } from "./json.ts";

/** Requests of followers that are worked on at a time. */
const MAX_IN_FLIGHT = 256;

const decodeReply = decoder(replySchema(Type.Unknown()));
const decodeRequest = decoder(Type.Unknown());

export const openPeerLine = (bus: BusConnection, log: Logger): PeerLine => {
  let inFlight = 0;
  return {
    serve: (handler) => {
      bus.nats.subscribe(Subjects.write, {
        callback: (error, message) => {
          if (error !== null) return log.warn({ err: error }, "peer_subscription_failed");
          const text = textOf(message.data);
          const request = text === undefined ? undefined : decodeJson(decodeRequest, text, "the request");
          if (request?.ok !== true) return log.warn("peer_request_unreadable");
          const answer = (reply: Reply<unknown>): void => void message.respond(bytesOf(JSON.stringify(reply)));
          if (inFlight >= MAX_IN_FLIGHT) {
            const detail = `${inFlight} changes wait to be written already`;
            return answer({ ok: false, problem: problem("log.unavailable", detail, { retryAfterMs: 1_000 }) });
          }
          inFlight += 1;
          handler(request.value)
            .then((reply) => {
              if (reply !== undefined) answer(reply);
            })
            .catch((failure: unknown) => log.error({ err: failure }, "peer_request_failed"))
            .finally(() => {
              inFlight -= 1;
            });
        },
      });
    },
    ask: async (request, timeoutMs) => {
      if (!bus.isUp()) return undefined;
      try {
        const message = await bus.nats.request(Subjects.write, bytesOf(JSON.stringify(request)), {
          timeout: timeoutMs,
        });
        const text = textOf(message.data);
        const decoded = text === undefined ? undefined : decodeJson(decodeReply, text, "the leader's answer");
        // Schedulers are of one kind: their problems are ours.
        return decoded?.ok === true ? (decoded.value as Reply<unknown>) : undefined;
      } catch {
        return undefined;
      }
    },
  };
};
