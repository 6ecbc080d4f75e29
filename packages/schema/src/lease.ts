/**
 * How long a singleton may run on a host that nobody hears, and when it may run elsewhere. Both sides ask this file, so
 * that they cannot disagree:
 *
 *   agent    asks ──leaseMs──► stops it ──graceMs──► kills it
 *   leader        hears ─────────────────replaceAfterMs────────────────────────► places it elsewhere
 *
 * The agent counts from before it asked, the leader from when it last heard anything of the host, each on its own clock
 * that nobody sets; so the leader's count begins later. It is longer by the grace, by what a kill takes, by what two
 * clocks may differ, and by how long a leader that was deposed may still take itself for one (LEADER_TERM_MS).
 * After C. Gray, D. Cheriton, "Leases: an efficient fault-tolerant mechanism for distributed file cache consistency", 1989.
 */
import type { JobSpec } from "./job.ts";

/** Three heartbeats: one may be late, and one may be lost. */
export const LEASE_LEAST_MS = 6_000;
/** A leader grants leases for as long as this after the beginning of an append that the log took; then it asks the log again. */
export const LEADER_TERM_MS = 3_000;
const MARGIN_MS = 2_000;
/** Clocks of two machines run apart by at most this: NTP bends one by 500 ppm, and quartz adds less than that. */
const DRIFT = 1 / 1_000;

export interface LeaseTerms {
  /** From the question to the stop signal. */
  readonly leaseMs: number;
  /** From the stop signal to the kill. */
  readonly graceMs: number;
  /** From the last sign of the host to the replacement. */
  readonly replaceAfterMs: number;
}

const around = (stopTimeoutMs: number): number => stopTimeoutMs + LEADER_TERM_MS + MARGIN_MS;

/** The shortest `disconnect.after` that a singleton with this stop timeout can have. */
export const leastSingletonAfterMs = (stopTimeoutMs: number): number =>
  Math.ceil(LEASE_LEAST_MS * (1 + DRIFT)) + around(stopTimeoutMs);

/** Null for tasks that are no singletons: they hold no lease. */
export const leaseTermsOf = ({ disconnect, stopTimeoutMs }: JobSpec): LeaseTerms | null => {
  if (disconnect?.singleton !== true) return null;
  const replaceAfterMs = Math.max(disconnect.afterMs ?? 0, leastSingletonAfterMs(stopTimeoutMs));
  const leaseMs = Math.floor((replaceAfterMs - around(stopTimeoutMs)) / (1 + DRIFT));
  return { leaseMs, graceMs: stopTimeoutMs, replaceAfterMs };
};
