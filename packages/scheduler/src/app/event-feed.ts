/**
 * What has happened, by sequence. The newest transactions are kept rendered, in bounds; older ones are read from the log
 * again, a piece at a time and one reader at a time. Every reader has nothing but a place in the log and pulls from there,
 * so that a slow one costs no memory: it only falls back to the log, and ends when the log was cut behind it.
 */
import {
  err,
  ok,
  problem,
  type AllocationId,
  type Event,
  type Problem,
  type Result,
  type Transaction,
} from "@berth/schema";
import { eventsOf, type ClusterState, type Whereabouts } from "../core/index.ts";
import type { Clock } from "../ports/clock.ts";
import type { Log, LogEnd } from "../ports/log.ts";

export interface EventRequest {
  /** Events after this sequence; undefined: those to come. */
  readonly since: number | undefined;
  /** Instead: about so many of the newest ones first, by whole transactions. */
  readonly tail: number | undefined;
  /** Goes on with what comes; else it ends with what is there now. */
  readonly follow: boolean;
  readonly wants: (event: Event) => boolean;
  /** Aborts when the reader is gone: its place is free again. */
  readonly signal: AbortSignal;
}

/** Events of one transaction, or none: a sign of life that says how far the reader is. */
export interface EventBlock {
  readonly sequence: number;
  readonly events: readonly Event[];
}

export interface EventFeed {
  readonly folded: (sequence: number, transaction: Transaction) => void;
  /** Begins to keep; before, the log is still being read. */
  readonly start: () => void;
  readonly open: (request: EventRequest) => Promise<Result<AsyncIterable<EventBlock>, Problem>>;
  readonly readers: () => number;
  readonly close: () => void;
}

export interface EventLimits {
  readonly readers: number;
  readonly keptEvents: number;
  /** Transactions that one look into the log reads. */
  readonly piece: number;
  readonly readMs: number;
  readonly quietMs: number;
}

export const EVENT_LIMITS: EventLimits = {
  readers: 256,
  keptEvents: 20_000,
  piece: 256,
  readMs: 5_000,
  quietMs: 15_000,
};

/** Allocations of older transactions that are remembered while those are read. */
const MAX_MET = 100_000;

const gone = (since: number, oldest: number): Result<never, Problem> =>
  err(
    problem("events.gone", `what followed ${since} has been cut off; the oldest there is follows ${oldest - 1}`, {
      oldestSequence: oldest,
    }),
  );

export const createEventFeed = (options: {
  readonly state: ClusterState;
  readonly log: Pick<Log, "read" | "end">;
  readonly clock: Clock;
  readonly limits: EventLimits;
}): EventFeed => {
  const { state, log, clock, limits } = options;
  /** By sequence, without a gap, the oldest first. */
  const kept = new Map<number, readonly Event[]>();
  let keptEvents = 0;
  let started = false;
  let readers = 0;
  const waiting = new Set<() => void>();
  const closing = new AbortController();
  let reading: Promise<unknown> = Promise.resolve();

  const firstKept = (): number => {
    for (const sequence of kept.keys()) return sequence;
    return state.revision + 1;
  };

  const known = (id: AllocationId): Whereabouts | undefined => state.allocations.get(id);

  /** Resolves when something was folded, the reader is gone, or it has been quiet for long. */
  const news = (signal: AbortSignal): Promise<void> =>
    new Promise((resolve) => {
      if (signal.aborted) return resolve();
      const done = (): void => {
        waiting.delete(done);
        signal.removeEventListener("abort", done);
        cancel();
        resolve();
      };
      const cancel = clock.after(limits.quietMs, done);
      waiting.add(done);
      signal.addEventListener("abort", done);
    });

  const readPiece = async (from: number, to: number, signal: AbortSignal): Promise<EventBlock[]> => {
    const found: EventBlock[] = [];
    const met = new Map<AllocationId, Whereabouts>();
    const enough = new AbortController();
    const cancel = clock.after(limits.readMs, () => enough.abort());
    try {
      for await (const { sequence, transaction } of log.read(from, AbortSignal.any([signal, enough.signal]))) {
        if (sequence !== from + found.length) break;
        for (const record of transaction.records) {
          if (record.kind === "allocation_placed" && met.size < MAX_MET) met.set(record.placement.id, record.placement);
        }
        found.push({ sequence, events: eventsOf(sequence, transaction, (id) => met.get(id) ?? known(id)) });
        if (sequence >= to || found.length >= limits.piece) break;
      }
    } finally {
      cancel();
    }
    return found;
  };

  /** One reader of the log at a time: whoever is behind waits for its turn. */
  const readOlder = (from: number, to: number, signal: AbortSignal): Promise<EventBlock[]> => {
    const turn = reading.then(async () => (signal.aborted ? [] : readPiece(from, to, signal)));
    reading = turn.catch(() => undefined);
    return turn;
  };

  async function* blocks(after: number, request: EventRequest, signal: AbortSignal): AsyncGenerator<EventBlock> {
    let at = after;
    const end = state.revision;
    // Says where it begins: whoever is cut off before the first event goes on from here.
    yield { sequence: at, events: [] };
    const wanted = (events: readonly Event[]): Event[] => events.filter(request.wants);
    while (!signal.aborted && (request.follow || at < end)) {
      if (at + 1 < firstKept()) {
        const piece = await readOlder(at + 1, Math.min(firstKept() - 1, request.follow ? Infinity : end), signal);
        // Cut off meanwhile, or the log cannot be read now: the reader asks again from where it is, and is told.
        if (piece.length === 0) return;
        for (const { sequence, events } of piece) {
          at = sequence;
          const some = wanted(events);
          if (some.length > 0) yield { sequence, events: some };
        }
        continue;
      }
      const next = kept.get(at + 1);
      if (next !== undefined) {
        at += 1;
        const some = wanted(next);
        if (some.length > 0) yield { sequence: at, events: some };
        continue;
      }
      const before = state.revision;
      await news(signal);
      if (!signal.aborted && state.revision === before) yield { sequence: at, events: [] };
    }
  }

  /** Behind which transaction the newest `count` wanted events begin, as far back as the log goes. */
  const beforeTail = (count: number, wants: (event: Event) => boolean, oldest: number): number => {
    let missing = count;
    let at = state.revision;
    for (let events = kept.get(at); events !== undefined && missing > 0; events = kept.get(at)) {
      missing -= events.filter(wants).length;
      at -= 1;
    }
    return missing > 0 ? Math.max(oldest - 1, at - missing) : at;
  };

  const open: EventFeed["open"] = async (request) => {
    if (readers >= limits.readers) {
      return err(problem("request.too_many", "too many readers of events", { retryAfterMs: 5_000 }));
    }
    const { since, tail } = request;
    if (since !== undefined && since > state.revision) {
      const detail = `nothing has the sequence ${since} yet; the newest is ${state.revision}`;
      return err(problem("request.invalid", detail, { errors: [{ pointer: "/since", message: detail }] }));
    }
    let after = since ?? state.revision;
    if (tail !== undefined || after + 1 < firstKept()) {
      let end: LogEnd;
      try {
        end = await log.end();
      } catch {
        return err(problem("log.unavailable", "the log cannot be read now", { retryAfterMs: 2_000 }));
      }
      if (tail !== undefined) after = beforeTail(tail, request.wants, end.firstSequence);
      if (after + 1 < end.firstSequence && after < state.revision) return gone(after, end.firstSequence);
    }
    if (request.signal.aborted) return err(problem("request.malformed", "the reader has gone"));
    readers += 1;
    request.signal.addEventListener("abort", () => (readers -= 1), { once: true });
    return ok(blocks(after, request, AbortSignal.any([request.signal, closing.signal])));
  };

  return {
    folded: (sequence, transaction) => {
      if (!started) return;
      if (kept.size > 0 && !kept.has(sequence - 1)) {
        kept.clear();
        keptEvents = 0;
      }
      const events = eventsOf(sequence, transaction, known);
      kept.set(sequence, events);
      keptEvents += events.length;
      for (const [oldest, { length }] of kept) {
        if (keptEvents <= limits.keptEvents || oldest === sequence) break;
        kept.delete(oldest);
        keptEvents -= length;
      }
      for (const wake of [...waiting]) wake();
    },
    start: () => {
      started = true;
    },
    open,
    readers: () => readers,
    close: () => closing.abort(),
  };
};
