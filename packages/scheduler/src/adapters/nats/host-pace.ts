/**
 * How much one host may send before anything of it is read: heartbeats, requests, and pieces of images apart. Far beyond
 * what an agent ever sends; what is more is dropped, counted, and said once in a while.
 */
import type { HostId } from "@berth/schema";
import type { Logger } from "pino";
import { createPace, type Pace } from "../../app/pace.ts";

export type Traffic = "heartbeat" | "request" | "blob";

export const HOST_PACES: Readonly<Record<Traffic, Pace>> = {
  heartbeat: { burst: 200, perSecond: 50 },
  request: { burst: 1_000, perSecond: 300 },
  blob: { burst: 4_000, perSecond: 2_000 },
};
/** Only hosts that are admitted can send; this bounds what those that are not any more leave behind. */
const MAX_HOSTS = 20_000;
const SAY_AGAIN_MS = 10_000;

export interface HostPace {
  readonly mayPass: (host: HostId, traffic: Traffic) => boolean;
  /** Writes a line about a host and a reason at most every ten seconds, with how often it happened since. */
  readonly say: (host: string, reason: string, fields?: object) => void;
}

export const createHostPace = (log: Logger, monotonicMs: () => number): HostPace => {
  const paces = new Map<string, (nowMs: number) => boolean>();
  const said = new Map<string, { atMs: number; since: number }>();
  return {
    mayPass: (host, traffic) => {
      const key = `${host} ${traffic}`;
      const nowMs = monotonicMs();
      let take = paces.get(key);
      if (take === undefined) {
        if (paces.size >= MAX_HOSTS) paces.clear();
        take = createPace(HOST_PACES[traffic], nowMs);
        paces.set(key, take);
      }
      return take(nowMs);
    },
    say: (host, reason, fields = {}) => {
      const key = `${host} ${reason}`;
      const nowMs = monotonicMs();
      const last = said.get(key) ?? { atMs: Number.NEGATIVE_INFINITY, since: 0 };
      last.since += 1;
      if (said.size >= MAX_HOSTS) said.clear();
      said.set(key, last);
      if (nowMs - last.atMs < SAY_AGAIN_MS) return;
      log.warn({ host, reason, times: last.since, ...fields }, "agent_message_refused");
      last.atMs = nowMs;
      last.since = 0;
    },
  };
};
