/** What an instance hears of others that lead. */
import type { Announcement, LeaderLine } from "../ports/bus.ts";
import type { Clock } from "../ports/clock.ts";

export interface HeardLeaders {
  /** When another one was heard last, of the monotonic clock; minus infinity: never, or it has left since. */
  readonly atMs: () => number;
  readonly onBegin: (listener: () => void) => void;
  /** Somebody begins to lead: another one, at the first announcement of an epoch, or this instance, which says so here. */
  readonly begins: () => void;
}

export const hearLeaders = (options: {
  readonly instance: string;
  readonly leaders: LeaderLine;
  readonly clock: Clock;
  /** Who leads by the log, as far as it was read: who leads with an older epoch only does not know it yet. */
  readonly epoch: () => number;
  /** At each announcement. */
  readonly leads: (announcement: Announcement) => void;
  /** One that stops in order says so, and nobody waits for its lease to run out. */
  readonly leaves: () => void;
}): HeardLeaders => {
  let atMs = Number.NEGATIVE_INFINITY;
  let newest = 0;
  const listeners: (() => void)[] = [];
  const begins = (): void => listeners.forEach((listener) => listener());
  options.leaders.onAnnouncement((announcement) => {
    if (announcement.instance === options.instance || announcement.epoch < options.epoch()) return;
    if (announcement.leaving === true) {
      atMs = Number.NEGATIVE_INFINITY;
      return options.leaves();
    }
    atMs = options.clock.monotonicMs();
    options.leads(announcement);
    if (announcement.epoch <= newest) return;
    newest = announcement.epoch;
    begins();
  });
  return { atMs: () => atMs, onBegin: (listener) => void listeners.push(listener), begins };
};
