/**
 * What an agent may conclude from a lease: until when its singletons may run. Counted from before the question on a clock
 * that nobody sets and that goes on while the machine sleeps, so that the leader, who heard the question later, always
 * waits for longer. A lease rests on a document; with an older one nothing follows from it.
 */
import { err, leaseTermsOf, ok, type JobSpec, type Lease, type Result } from "@berth/schema";

export interface Grant {
  /** Before the question was sent, on the clock of the boot. */
  readonly askedAtMs: number;
  /** The host's document that the leader had in mind, or a newer one. */
  readonly rev: number;
}

export interface Question {
  readonly host: string;
  readonly session: string;
  readonly nonce: string;
  /** The highest epoch that was seen. */
  readonly fence: number;
}

/** The signature was verified before. The error is what does not fit. */
export const acceptLease = (lease: Lease, asked: Question, askedAtMs: number): Result<Grant, string> => {
  if (lease.host !== asked.host) return err(`it is for ${lease.host}`);
  if (lease.session !== asked.session) return err("it is for another life of the agent");
  if (lease.nonce !== asked.nonce) return err("it answers another question");
  if (lease.epoch < asked.fence) return err(`its leader has epoch ${lease.epoch}, one of ${asked.fence} was seen`);
  return ok({ askedAtMs, rev: lease.rev });
};

/** Until when a task of this spec may run; undefined when there is nothing that allows it. Infinite when it needs no lease. */
export const mayRunUntil = (spec: JobSpec, rev: number, grant: Grant | undefined): number | undefined => {
  const terms = leaseTermsOf(spec);
  if (terms === null) return Number.POSITIVE_INFINITY;
  return grant === undefined || rev < grant.rev ? undefined : grant.askedAtMs + terms.leaseMs;
};

/** A start takes its time: with less than this left it waits for the next lease. */
const LEAST_FOR_A_START_MS = 2_000;

export const mayStart = (spec: JobSpec, rev: number, grant: Grant | undefined, nowMs: number): boolean => {
  const untilMs = mayRunUntil(spec, rev, grant);
  return untilMs !== undefined && untilMs - nowMs >= LEAST_FOR_A_START_MS;
};
