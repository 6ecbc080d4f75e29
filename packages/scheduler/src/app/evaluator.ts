/**
 * Runs the core's evaluations: plan → validate → append, one batch at a time, and asks to be woken when the core says
 * that time alone will change something (a backoff that ends). A plan that does not validate is a bug: it is not
 * applied, it is counted, and another is made without the hosts at which it failed and the jobs that are wrong anywhere, so
 * that the others go on. Where neither is to blame, the evaluation waits instead of spinning.
 */
import { makeId, type AllocationId, type HostId, type JobKey, type LogRecord } from "@berth/schema";
import type { Logger } from "pino";
import {
  decideDrain,
  decideForget,
  faultsOf,
  planEvaluations,
  validatePlan,
  type ClusterState,
  type ImageSight,
} from "../core/index.ts";
import type { Clock } from "../ports/clock.ts";
import type { Commit } from "./engine.ts";
import { surelyFit } from "./split-records.ts";

export interface EvaluatorCounters {
  readonly planned: (seconds: number, placements: number) => void;
  readonly rejected: (reason: "invalid" | "log") => void;
}

/** As many as fit into a transaction of almost any cluster: an append takes its time however many records it has. */
export const MAX_PLACEMENTS = 768;
const RETRY_MS = 1_000;
/** A host at which a plan failed, or a job that made one fail, is left out for so long. */
const DOUBT_MS = 60_000;
/** So many plans are made at once, each without what made the one before it fail. */
const ATTEMPTS = 4;
/** A plan's records may take this much of a transaction: the envelope needs the rest. */
const PLAN_BYTES = 500 * 1024;

const earlier = (left: number | null, right: number | null): number | null =>
  left === null || right === null ? (left ?? right) : Math.min(left, right);

/** What is left out for a while, each until its own moment. */
class Doubts<T> {
  readonly #untilMs = new Map<T, number>();

  at(nowMs: number): ReadonlySet<T> {
    for (const [one, untilMs] of this.#untilMs) if (untilMs <= nowMs) this.#untilMs.delete(one);
    return new Set(this.#untilMs.keys());
  }

  /** Returns those that were not in doubt already. */
  add(ones: ReadonlySet<T>, untilMs: number): T[] {
    const news = [...ones].filter((one) => !this.#untilMs.has(one));
    for (const one of news) this.#untilMs.set(one, untilMs);
    return news;
  }
}

const bytesOf = (records: readonly LogRecord[]): number => Buffer.byteLength(JSON.stringify(records));

const fits = (records: readonly LogRecord[]): boolean =>
  surelyFit(records, PLAN_BYTES) || bytesOf(records) <= PLAN_BYTES;

export const createEvaluator = (options: {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly counters: EvaluatorCounters;
  readonly nudge: () => void;
  readonly images: ImageSight;
}): ((state: ClusterState, commit: Commit) => Promise<boolean>) => {
  const { clock, logger, counters, images, nudge } = options;
  let cancelWake = (): void => {};
  const wakeIn = (delayMs: number): void => {
    cancelWake();
    cancelWake = clock.after(delayMs, nudge);
  };

  const doubtedHosts = new Doubts<HostId>();
  const doubtedJobs = new Doubts<JobKey>();

  const plan = (state: ClusterState) => {
    const startedMs = clock.monotonicMs();
    const without = doubtedHosts.at(startedMs);
    const withoutJobs = doubtedJobs.at(startedMs);
    const env = {
      images,
      nowMs: clock.nowMs(),
      makeAllocationId: () => makeId("alloc", clock.nowMs(), clock.randomBytes(10)) as AllocationId,
    };
    // A plan too large for one transaction is made again with fewer placements; one placement always fits.
    for (let maxPlacements = MAX_PLACEMENTS; ; maxPlacements = Math.ceil(maxPlacements / 2)) {
      const made = planEvaluations(state, env, { maxPlacements, without, withoutJobs });
      if (maxPlacements === 1 || fits(made.records)) return made;
    }
  };

  /** A plan that stands up to the check; undefined when there is none. */
  const validPlan = (state: ClusterState) => {
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      const made = plan(state);
      const verdict = validatePlan(state, made.records);
      if (verdict.ok) return made;
      const faults = faultsOf(state, made.records);
      const untilMs = clock.monotonicMs() + DOUBT_MS;
      const hosts = doubtedHosts.add(faults.hosts, untilMs);
      const jobs = doubtedJobs.add(faults.jobs, untilMs);
      counters.rejected("invalid");
      logger.error(
        { errors: verdict.error.slice(0, 10), hosts: hosts.slice(0, 10), jobs: jobs.slice(0, 10) },
        "plan_invalid",
      );
      if (hosts.length + jobs.length === 0) return undefined;
      // A look at them again, whatever happens meanwhile.
      clock.after(DOUBT_MS, nudge);
    }
    return undefined;
  };

  const settle = async (commit: Commit, records: readonly LogRecord[], cause: string): Promise<boolean> => {
    const { ok } = await commit(records, cause);
    if (!ok) wakeIn(RETRY_MS);

    return ok;
  };

  return async (state, commit) => {
    const startedMs = clock.monotonicMs();
    const drain = decideDrain(state, clock.nowMs(), doubtedHosts.at(startedMs));
    if (drain.records.length > 0) return settle(commit, drain.records, "drain");
    const planned = validPlan(state);
    if (planned === undefined) {
      wakeIn(RETRY_MS);
      return false;
    }
    const { records, more } = planned;
    const wakeAtMs = earlier(planned.wakeAtMs, drain.wakeAtMs);
    if (records.length === 0) {
      const forgotten = decideForget(state);
      if (forgotten.length > 0) return settle(commit, forgotten, "retention");
      if (wakeAtMs !== null) wakeIn(Math.max(1, wakeAtMs - clock.nowMs()));
      return false;
    }
    const placements = records.filter((record) => record.kind === "allocation_placed").length;
    counters.planned((clock.monotonicMs() - startedMs) / 1_000, placements);
    const appended = await commit(records, "evaluation");
    if (!appended.ok) {
      counters.rejected("log");
      wakeIn(RETRY_MS);
      return false;
    }
    if (wakeAtMs !== null) wakeIn(Math.max(1, wakeAtMs - clock.nowMs()));
    return more;
  };
};
