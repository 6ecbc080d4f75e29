/**
 * The log as the application sees it: the only truth, the lock and the audit trail. An append names the sequence it
 * expects to follow, so that a writer who missed something is refused instead of overwriting.
 */
import type { Transaction } from "@berth/schema";

export interface LogEntry {
  readonly sequence: number;
  readonly transaction: Transaction;
}

/**
 * - `appended`: stored, durable as far as the store promises.
 * - `refused`: another writer was there first; nothing was stored.
 * - `rejected`: the store cannot take it (full, too large); nothing was stored, and the writer may go on.
 * - `uncertain`: it may or may not be stored; the writer must read the log again before it says anything.
 */
export type AppendOutcome =
  | { readonly kind: "appended"; readonly sequence: number }
  | { readonly kind: "refused" }
  | { readonly kind: "rejected"; readonly reason: string }
  | { readonly kind: "uncertain"; readonly reason: string };

export interface LogEnd {
  /** The oldest that is still there; one more than the last when none is. */
  readonly firstSequence: number;
  readonly lastSequence: number;
  /** What it takes on disk, roughly. */
  readonly bytes: number;
  /** Names this very log: a stream that was deleted and made again has another one. */
  readonly incarnation: string;
}

export interface Log {
  /** Where the log ends now, as its leader knows it. Rejects when the store does not answer. */
  readonly end: () => Promise<LogEnd>;
  /**
   * Every entry from `fromSequence` on, in order and without a gap, for ever. Ends when `signal` aborts; throws when the
   * line breaks, a gap shows, or a record cannot be decoded (`UndecodableRecord`).
   */
  readonly read: (fromSequence: number, signal: AbortSignal) => AsyncIterable<LogEntry>;
  readonly append: (transaction: Transaction, expectedLastSequence: number) => Promise<AppendOutcome>;
  /** Lets go of what lies before `sequence`, which must not be beyond the end. */
  readonly purgeBefore: (sequence: number) => Promise<void>;
}

/** A record that this version cannot read. Nobody may lead on a state that leaves it out, so it stops the process. */
export class UndecodableRecord extends Error {
  override readonly name = "UndecodableRecord";
}
