/**
 * The one loop that decides. Everything that changes the cluster passes through it, one after the other:
 *
 *   following ──caught up, no leader heard──► claims (a record in the log) ──appended──► leading
 *       ▲                                          │ refused, uncertain                     │ refused, uncertain,
 *       └──────────────────────────────────────────┴────────────────────────────────────────┘ another epoch heard
 *
 * While leading: decide on the state → append → fold after the ack → effects. A decision is never folded before its ack,
 * and after an append whose fate is unknown this instance stops leading and reads the log again: it never guesses. The
 * epoch is the sequence number of the record by which it leads.
 */
import {
  err,
  LOG_VERSION,
  ok,
  problem,
  type LogRecord,
  type Origin,
  type Problem,
  type Result,
  type Transaction,
} from "@berth/schema";
import type { Logger } from "pino";
import { createState, fold, type Changes, type ClusterState } from "../core/index.ts";
import type { Clock } from "../ports/clock.ts";
import type { LeaderLine, Line } from "../ports/bus.ts";
import type { Log, LogEnd } from "../ports/log.ts";
import { createCommandQueue, type Command, type Committed } from "./command-queue.ts";
import { Deposed } from "./deposed.ts";
import { createExecute } from "./execute.ts";
import { BrokenState, createFatal, DOUBT_MS } from "./fatal.ts";
import { createGate, type Gate } from "./gate.ts";
import { hearLeaders } from "./heard-leaders.ts";
import { refuseGap, refuseLoss, refuseMissedElection } from "./log-faults.ts";
import { pause } from "./pause.ts";

export type Role = "starting" | "following" | "leading" | "stopped";

export interface EngineOptions {
  readonly instance: string;
  readonly log: Log;
  readonly line: Line;
  readonly leaders: LeaderLine;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Silence of a leader after which another may claim. 0: nobody else can be there. */
  readonly leaseMs: number;
  /** Throws when the log cannot be the one this machine knows. */
  readonly checkEnd: (end: LogEnd) => void;
  /** Fills the empty state from a snapshot; throws when the log cannot be folded without one and none can be used. */
  readonly restore: (end: LogEnd) => Promise<void>;
  /** Throws when this instance must not serve this state. Asked whenever it has read the log to its end. */
  readonly checkState: (state: ClusterState) => void;
  /** What a new leader has to say besides that it leads. */
  readonly claimRecords: (state: ClusterState) => readonly LogRecord[];
  /** Work that nobody asked for: evaluations. Returns whether there is more; called while leading, between commands. */
  readonly background: (state: ClusterState, commit: Commit) => Promise<boolean>;
}

/** Appends and folds; a problem means that nothing was stored. Rejects when this instance must stop leading. */
export type Commit = (
  records: readonly LogRecord[],
  cause: string,
  origin?: Origin | null,
) => Promise<Result<number, Problem>>;

export type FoldListener = (changes: Changes, sequence: number, transaction: Transaction) => void;

export interface Engine {
  readonly state: ClusterState;
  readonly role: () => Role;
  /** It has read the log, and nothing that it sees of the log looks like a loss: its state may be kept. */
  readonly isCertain: () => boolean;
  readonly queueLength: () => number;
  /** Nothing is left to plan, as far as this instance knows. */
  readonly isSettled: () => boolean;
  readonly submit: <T>(command: Command<T>) => Promise<Result<Committed<T>, Problem>>;
  readonly onFold: (listener: FoldListener) => void;
  readonly onRole: (listener: (role: Role) => void) => void;
  /** Called when somebody begins to lead, this instance or another one that is heard of. */
  readonly onLeader: (listener: () => void) => void;
  /** Makes the loop look for background work. */
  readonly nudge: () => void;
  /** True when another instance has announced itself within the lease. */
  readonly othersLead: () => boolean;
  /**
   * How long ago this instance began an append that the log took: then it led for certain. Infinite when it does not lead;
   * 0 when there is nobody else.
   */
  readonly confirmedAgoMs: () => number;
  /** What is known of the log's end. */
  readonly end: () => LogEnd | undefined;
  /** Runs until `signal` aborts. Rejects only for reasons that must end the process. */
  readonly run: (signal: AbortSignal) => Promise<void>;
}

const QUEUE_LENGTH = 1_024;
const QUEUE_WAIT_MS = 8_000;
const ANNOUNCE_MS = 500;
/** So many commands may pass before background work gets its turn. */
const COMMANDS_IN_A_ROW = 32;
const RETRY_MS = 250;
const BACKGROUND_RETRY_MS = 5_000;

export const createEngine = (options: EngineOptions): Engine => {
  const { clock, log, line, leaders, logger, instance } = options;
  const state = createState();
  const queue = createCommandQueue(clock, { length: QUEUE_LENGTH, waitMs: QUEUE_WAIT_MS });
  const work: Gate = createGate();
  /** Whoever is alone with a server of its own has nobody who could be right instead. */
  const fatal = createFatal(clock, options.leaseMs === 0 ? 0 : DOUBT_MS);
  const foldListeners: FoldListener[] = [];
  const roleListeners: ((role: Role) => void)[] = [];
  let role: Role = "starting";
  let known: LogEnd | undefined;
  let deposedBy: string | undefined;
  let confirmedAtMs = Number.NEGATIVE_INFINITY;
  let [wanted, isPlanning] = [true, false];
  let leaderLeft: (() => void) | undefined;
  queue.onPush(work.open);
  const heard = hearLeaders({
    ...options,
    epoch: () => state.epoch,
    leads: ({ instance: other, epoch }) => {
      if (role === "leading" && epoch > state.epoch) {
        deposedBy = `${other} leads with epoch ${epoch}`;
        work.open();
      }
      // What came while nobody led would wait here for a turn that another instance has got.
      if (role !== "leading") queue.giveBack();
    },
    leaves: () => leaderLeft?.(),
  });

  const enter = (next: Role): void => {
    if (role === next) return;
    role = next;
    logger.info({ role, epoch: state.epoch, revision: state.revision }, "role_changed");
    for (const listener of roleListeners) listener(next);
    if (next === "leading") heard.begins();
  };

  const apply = (sequence: number, transaction: Transaction): void => {
    let changes: Changes;
    refuseMissedElection(sequence, transaction.epoch, state.epoch);
    try {
      changes = fold(state, sequence, transaction);
    } catch (error) {
      throw new BrokenState(`transaction ${sequence} could not be folded`, { cause: error });
    }
    fatal.cleared();
    if (changes.ignored > 0)
      logger.warn({ sequence, ignored: changes.ignored, cause: transaction.cause }, "records_ignored");
    wanted = true;
    for (const listener of foldListeners) {
      try {
        listener(changes, sequence, transaction);
      } catch (error) {
        // The state is right; a view of it is not. Stopping the log for that would make it worse.
        logger.error({ err: error, sequence }, "fold_listener_failed");
      }
    }
  };

  const append = async (
    records: readonly LogRecord[],
    cause: string,
    origin: Origin | null,
  ): Promise<Result<number, Problem>> => {
    const transaction: Transaction = {
      version: LOG_VERSION,
      epoch: state.epoch,
      atMs: clock.nowMs(),
      cause: cause.slice(0, 256),
      origin,
      records: [...records],
    };
    const sinceMs = clock.monotonicMs();
    const outcome = await log.append(transaction, state.revision);
    switch (outcome.kind) {
      case "appended":
        confirmedAtMs = sinceMs;
        apply(outcome.sequence, transaction);
        return ok(outcome.sequence);
      case "rejected":
        logger.error({ reason: outcome.reason, cause }, "append_rejected");
        return err(problem("log.unavailable", `the log does not take it: ${outcome.reason}`, { retryAfterMs: 2_000 }));
      case "refused":
        throw new Deposed("another instance has written to the log", true);
      case "uncertain":
        throw new Deposed(`the fate of an append is unknown: ${outcome.reason}`, false);
    }
  };

  /** Records that belong together go into one transaction or none. */
  const commit: Commit = async (records, cause, origin = null) => {
    if (records.length === 0) return ok(state.revision);
    return append(records, cause, origin);
  };

  const execute = createExecute({ state, clock, logger, commit, putBack: queue.putBack });

  /** Folds what is there and what comes, until this instance may claim: caught up, and no leader heard for a lease. */
  const follow = async (signal: AbortSignal): Promise<void> => {
    const end = await log.end();
    options.checkEnd(end);
    if (state.revision === 0 && end.lastSequence > 0) await options.restore(end);
    refuseLoss(end, state.revision);
    known = end;
    // Two that claim at once cost nothing, since the log takes one of them; the spread only keeps that rare.
    const patienceMs = options.leaseMs === 0 ? 0 : options.leaseMs + (clock.randomBytes(1)[0] ?? 0) * 2;
    const caughtUp = (): boolean => state.revision >= end.lastSequence;
    if (caughtUp()) {
      options.checkState(state);
      fatal.cleared();
    }
    if (caughtUp() && patienceMs === 0) return;
    let sinceMs = clock.monotonicMs();
    leaderLeft = () => {
      // Of several followers one claims first, the others see it in the log.
      sinceMs = clock.monotonicMs() - options.leaseMs;
    };
    const mayClaim = (): boolean => caughtUp() && clock.monotonicMs() - Math.max(sinceMs, heard.atMs()) >= patienceMs;
    const reading = new AbortController();
    const stop = (): void => reading.abort();
    signal.addEventListener("abort", stop, { once: true });
    const timer = setInterval(() => {
      if (mayClaim()) stop();
    }, 100);
    try {
      if (caughtUp()) enter("following");
      for await (const entry of log.read(state.revision + 1, reading.signal)) {
        refuseGap(entry.sequence, state.revision);
        apply(entry.sequence, entry.transaction);
        if (caughtUp()) options.checkState(state);
        if (caughtUp()) enter("following");
        if (mayClaim()) stop();
      }
    } finally {
      leaderLeft = undefined;
      clearInterval(timer);
      signal.removeEventListener("abort", stop);
    }
  };

  /** True when this instance leads now. */
  const claim = async (): Promise<boolean> => {
    options.checkState(state);
    deposedBy = undefined;
    const outcome = await append(
      [{ kind: "leader_elected", instance }, ...options.claimRecords(state)],
      "election",
      null,
    );
    return outcome.ok;
  };

  /** A bug there must not end in an election every time: the work waits, users are served. */
  const runBackground = async (): Promise<boolean> => {
    try {
      return await options.background(state, commit);
    } catch (error) {
      if (error instanceof Deposed || fatal.is(error, false)) throw error;
      logger.error({ err: error }, "background_failed");
      clock.after(BACKGROUND_RETRY_MS, nudge);
      return false;
    }
  };

  const nudge = (): void => {
    wanted = true;
    work.open();
  };

  const lead = async (signal: AbortSignal): Promise<void> => {
    enter("leading");
    const announce = (): void => leaders.announce({ instance, epoch: state.epoch });
    announce();
    const announcing = setInterval(announce, ANNOUNCE_MS);
    // Cut off from the log, others may lead soon; whoever is alone has nobody to make way for.
    const stopListening = line.onChange((up) => {
      if (up || options.leaseMs === 0) return;
      deposedBy = "the line to the log is down";
      work.open();
    });
    let inARow = 0;
    try {
      while (!signal.aborted) {
        if (deposedBy !== undefined) throw new Deposed(deposedBy, true);
        const turn = inARow < COMMANDS_IN_A_ROW || !wanted ? queue.take() : [];
        if (turn.length > 0) {
          // Of what joins, more shares a transaction the longer it waits: once is enough, unless others wait behind it.
          inARow += turn[0]?.command.joinsAs === undefined || queue.isAsked() ? turn.length : COMMANDS_IN_A_ROW;
          await execute(turn);
        } else if (wanted) {
          inARow = 0;
          // Before the call: whoever nudges while it runs is heard afterwards.
          wanted = false;
          isPlanning = true;
          if (await runBackground()) wanted = true;
          isPlanning = false;
        } else {
          inARow = 0;
          await work.passed();
        }
      }
    } finally {
      isPlanning = false;
      clearInterval(announcing);
      stopListening();
    }
  };

  return {
    state,
    role: () => role,
    isCertain: () => (role === "following" || role === "leading") && !fatal.isInDoubt(),
    queueLength: queue.size,
    isSettled: () => role !== "leading" || !(wanted || isPlanning),
    submit: queue.push,
    onFold: (listener) => void foldListeners.push(listener),
    onRole: (listener) => void roleListeners.push(listener),
    onLeader: heard.onBegin,
    nudge,
    othersLead: () =>
      role !== "leading" && clock.monotonicMs() - heard.atMs() < Math.max(options.leaseMs, 4 * ANNOUNCE_MS),
    confirmedAgoMs: () => {
      if (role !== "leading") return Number.POSITIVE_INFINITY;
      return options.leaseMs === 0 ? 0 : clock.monotonicMs() - confirmedAtMs;
    },
    end: () => (known === undefined ? undefined : { ...known, lastSequence: state.revision }),
    run: async (signal) => {
      const wake = (): void => work.open();
      signal.addEventListener("abort", wake, { once: true });
      try {
        while (!signal.aborted) {
          try {
            if (line.isUp()) {
              await follow(signal);
              if (!signal.aborted && (await claim())) await lead(signal);
            }
          } catch (error) {
            if (fatal.is(error, role === "starting")) {
              // At once: to stop in order takes a while.
              logger.error({ reason: error instanceof Error ? error.message : String(error) }, "must_end");
              throw error;
            }
            if (error instanceof Deposed) logger.warn({ reason: error.message }, "stopped_leading");
            else logger.error({ err: error }, "following_failed");
          }
          if (signal.aborted) break;
          // Whoever has never read the log to its end does not follow yet: it shows nothing.
          if (role !== "starting") enter("following");
          await pause(clock, RETRY_MS, signal);
        }
      } finally {
        if (role === "leading" && line.isUp()) leaders.announce({ instance, epoch: state.epoch, leaving: true });
        enter("stopped");
        queue.close();
      }
    },
  };
};
