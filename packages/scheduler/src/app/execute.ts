/**
 * What becomes of commands when their turn comes: each is decided on the state as it is, what they decide is written, and
 * their callers are told. Those that join each other share a transaction: an append costs a round trip to the log and a write
 * there, whether it has the reports of one host or those of sixty that have come meanwhile.
 */
import { err, MAX_TRANSACTION_BYTES, ok, problem, type Problem, type Result } from "@berth/schema";
import type { Logger } from "pino";
import { refusalAtWrite, type ClusterState } from "../core/index.ts";
import type { Clock } from "../ports/clock.ts";
import type { Decision, Waiting } from "./command-queue.ts";
import { Deposed } from "./deposed.ts";
import type { Commit } from "./engine.ts";
import { splitRecords } from "./split-records.ts";

const UNCERTAIN =
  "it is not known whether the change was written; look, or send it again with the same Idempotency-Key";

export const createExecute = (options: {
  readonly state: ClusterState;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly commit: Commit;
  /** Lets a command wait again of which nothing has happened. */
  readonly putBack: (waiting: Waiting) => void;
}): ((turn: readonly Waiting[]) => Promise<void>) => {
  const { state, clock, commit, logger, putBack } = options;

  /** What it wants to happen now, or what its caller is told instead. */
  const decide = (command: Waiting["command"]): Result<Decision<unknown>, Problem> => {
    const { origin, need = { role: "admin" } } = command;
    const refused =
      origin === undefined || need === null ? undefined : refusalAtWrite(state, origin, need, clock.nowMs());
    if (refused !== undefined) return err(refused);
    try {
      return command.decide(state);
    } catch (error) {
      // A bug in one decision must cost this caller its answer and nobody else anything.
      logger.error({ err: error, cause: command.cause }, "decision_failed");
      return err(problem("internal", `deciding on the ${command.cause} failed; it is in the scheduler's log`));
    }
  };

  return async (turn) => {
    const decided: { readonly waiting: Waiting; readonly decision: Decision<unknown> }[] = [];
    for (const waiting of turn) {
      const decision = decide(waiting.command);
      if (decision.ok) decided.push({ waiting, decision: decision.value });
      else waiting.settle(decision);
    }
    const [first] = decided;
    if (first === undefined) return;
    const records = decided.flatMap(({ decision }) => decision.records);
    const { command } = first.waiting;
    const cause = decided.length === 1 ? command.cause : `${command.cause} and ${decided.length - 1} more`;
    const parts = command.splittable ? splitRecords(records, MAX_TRANSACTION_BYTES) : [records];
    let { revision } = state;
    try {
      for (const part of parts) {
        const appended = await commit(part, cause, command.origin);
        if (!appended.ok) {
          for (const { waiting } of decided) waiting.settle(appended);
          return;
        }
        revision = appended.value;
      }
      for (const { waiting, decision } of decided) waiting.settle(ok({ value: decision.value, revision }));
    } catch (error) {
      // It is decided again, on the state as it is then; parts that were appended before are not news any more.
      for (const { waiting } of decided) {
        if (error instanceof Deposed && error.nothingStored) putBack(waiting);
        else waiting.settle(err(problem("log.unavailable", UNCERTAIN, { retryAfterMs: 1_000 })));
      }
      throw error;
    }
  };
};
