/**
 * Who is silent. Judged by heartbeats against this process's own monotonic clock, never by connections or wall clocks.
 * All judgement rests for one grace period after this instance begins to lead, after the bus comes back, and after this
 * process itself was not running (paused, starved): in each case the silence may be ours.
 */
import type { HostId } from "@berth/schema";

export interface LivenessOptions {
  /** How often `judge` is called. */
  readonly tickMs: number;
}

export interface Liveness {
  readonly heard: (host: HostId, nowMs: number) => void;
  readonly lastHeardMs: (host: HostId) => number | undefined;
  /** Starts a grace period. */
  readonly restart: (nowMs: number) => void;
  readonly forget: (host: HostId) => void;
  /** Which of `hosts` have been silent for longer than is said beside them, and for how long. */
  readonly judge: (
    hosts: Iterable<readonly [host: HostId, afterMs: number]>,
    nowMs: number,
  ) => { readonly host: HostId; readonly silentMs: number }[];
}

export const createLiveness = ({ tickMs }: LivenessOptions): Liveness => {
  const heardAt = new Map<HostId, number>();
  let sinceMs = Number.NEGATIVE_INFINITY;
  let judgedMs: number | undefined;
  return {
    heard: (host, nowMs) => void heardAt.set(host, nowMs),
    lastHeardMs: (host) => heardAt.get(host),
    restart: (nowMs) => {
      sinceMs = nowMs;
      judgedMs = nowMs;
    },
    forget: (host) => void heardAt.delete(host),
    judge: (hosts, nowMs) => {
      // A tick that comes late by a tick and a half: heartbeats may wait unread in our own socket.
      if (judgedMs !== undefined && nowMs - judgedMs > 2.5 * tickMs) sinceMs = nowMs;
      judgedMs = nowMs;
      const silent: { host: HostId; silentMs: number }[] = [];
      for (const [host, afterMs] of hosts) {
        const silentMs = nowMs - Math.max(heardAt.get(host) ?? Number.NEGATIVE_INFINITY, sinceMs);
        if (silentMs > afterMs) silent.push({ host, silentMs: Math.round(silentMs) });
      }
      return silent;
    },
  };
};
