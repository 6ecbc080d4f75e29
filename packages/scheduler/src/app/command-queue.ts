/**
 * Commands that wait for the one loop that decides. Bounded; a command that waits too long is answered that nobody
 * leads, so that no caller hangs while an election or an outage lasts.
 */
import { err, problem, type LogRecord, type Origin, type Problem, type Result } from "@berth/schema";
import type { Clock } from "../ports/clock.ts";
import type { ClusterState, Need } from "../core/index.ts";

/** What a decision wants to happen: records (none: nothing to do) and what the caller is told. */
export interface Decision<T> {
  readonly records: readonly LogRecord[];
  readonly value: T;
}

export interface Committed<T> {
  readonly value: T;
  /** Sequence of the transaction, or the current revision when there was nothing to append. */
  readonly revision: number;
}

export interface Command<T> {
  readonly cause: string;
  /** Who asked for it; absent for what nobody did. */
  readonly origin?: Origin;
  /** What whoever asked must be allowed to; absent: everything. Null: it is only written down that somebody asked. */
  readonly need?: Need | null;
  readonly decide: (state: ClusterState) => Result<Decision<T>, Problem>;
  /** The records are independent of each other and may be appended as several transactions. */
  readonly splittable: boolean;
  /**
   * May be written in one transaction with those right behind it that say so too, under other names: none of them decides
   * anything else because of what the others do. An append takes its time however many records it has.
   */
  readonly joinsAs?: string;
}

export interface Waiting {
  readonly command: Command<unknown>;
  readonly settle: (result: Result<Committed<unknown>, Problem>) => void;
}

export interface CommandQueue {
  readonly push: <T>(command: Command<T>) => Promise<Result<Committed<T>, Problem>>;
  /** The oldest waiting command, with those that join it; from now on their taker settles them. Empty: nobody waits. */
  readonly take: () => readonly Waiting[];
  /** Lets a command that was taken wait again: nothing of it has happened. */
  readonly putBack: (entry: Waiting) => void;
  readonly size: () => number;
  /** Whether anybody waits whose command joins no other. */
  readonly isAsked: () => boolean;
  /** Refuses what waits, as nobody here will take it: somebody else leads. Nothing of it has happened. */
  readonly giveBack: () => void;
  readonly onPush: (listener: () => void) => void;
  /** Refuses what waits and all that comes. */
  readonly close: () => void;
}

/** So many commands at most share a transaction. */
const MAX_JOINED = 64;

const NOBODY_LEADS = "no scheduler leads now; try again soon";

export const createCommandQueue = (
  clock: Clock,
  limits: { readonly length: number; readonly waitMs: number },
): CommandQueue => {
  const waiting = new Set<Waiting>();
  /** Taken ones whose time has run out meanwhile. */
  const expired = new WeakSet<Waiting>();
  let closed = false;
  let notify = (): void => {};
  const unled = (detail: string): Result<never, Problem> =>
    err(problem("leader.unknown", detail, { retryAfterMs: 1_000 }));

  return {
    push: <T>(command: Command<T>) => {
      if (closed) return Promise.resolve(unled("the scheduler is stopping"));
      if (waiting.size >= limits.length) {
        const detail = `${waiting.size} changes wait to be written already`;
        return Promise.resolve(err(problem("log.unavailable", detail, { retryAfterMs: 1_000 })));
      }
      return new Promise<Result<Committed<T>, Problem>>((resolve) => {
        const settle = (result: Result<Committed<unknown>, Problem>): void => {
          cancel();
          waiting.delete(entry);
          // The value is what this very command's `decide` returned.
          resolve(result as Result<Committed<T>, Problem>);
        };
        const entry: Waiting = { command, settle };
        const cancel = clock.after(limits.waitMs, () => {
          if (waiting.has(entry)) settle(unled(NOBODY_LEADS));
          else expired.add(entry);
        });
        waiting.add(entry);
        notify();
      });
    },
    take: () => {
      const turn: Waiting[] = [];
      const names = new Set<string>();
      for (const entry of waiting) {
        const { joinsAs } = entry.command;
        if (turn.length > 0 && (joinsAs === undefined || names.has(joinsAs) || turn.length >= MAX_JOINED)) break;
        waiting.delete(entry);
        turn.push(entry);
        if (joinsAs === undefined) break;
        names.add(joinsAs);
      }
      return turn;
    },
    putBack: (entry) => {
      if (closed || expired.has(entry)) entry.settle(unled(NOBODY_LEADS));
      else waiting.add(entry);
    },
    size: () => waiting.size,
    isAsked: () => {
      for (const { command } of waiting) if (command.joinsAs === undefined) return true;
      return false;
    },
    giveBack: () => {
      for (const entry of waiting) entry.settle(unled("another scheduler leads; try again"));
    },
    onPush: (listener) => {
      notify = listener;
    },
    close: () => {
      closed = true;
      for (const entry of waiting) entry.settle(unled("the scheduler is stopping"));
    },
  };
};
