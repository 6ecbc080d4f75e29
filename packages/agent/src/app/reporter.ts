/**
 * Tells the scheduler what happened, until it has said that it is in its log. One request at a time; what changes
 * meanwhile goes with the next one. A report that the scheduler cannot read must not hold up the others: the batch is
 * halved until the culprit is alone, which then waits for the next session.
 */
import type { AllocationId, AllocationReport, Problem } from "@berth/schema";
import { backoffMs } from "../core/backoff.ts";
import { acknowledge, nextReports } from "../core/reports.ts";
import { isFinished } from "../core/record.ts";
import { errorFields } from "../ports/log.ts";
import type { AgentContext } from "./context.ts";

const RETRY = { firstMs: 200, longestMs: 10_000 };

export interface Reporter {
  readonly wake: () => void;
  /** After a new session: what was refused in the last one may be accepted now. */
  readonly forgiveRefused: () => void;
  /** Tells what is left, for at most `timeoutMs`, and ends. */
  readonly close: (timeoutMs: number) => Promise<void>;
}

export interface ReporterOptions {
  readonly getContext: () => AgentContext;
  /** The scheduler does not know this session any more. */
  readonly onUnknownSession: () => void;
}

export const createReporter = ({ getContext, onUnknownSession }: ReporterOptions): Reporter => {
  const refused = new Set<AllocationId>();
  let limit = Number.POSITIVE_INFINITY;
  let attempts = 0;
  let running: Promise<void> | undefined;
  let cancelRetry: (() => void) | undefined;
  let closed = false;

  const next = (context: AgentContext): readonly AllocationReport[] =>
    nextReports(context.state.records.values(), (record) => refused.has(record.id)).slice(0, limit);

  const run = async (): Promise<void> => {
    const context = getContext();
    while (!closed && context.state.greeted && context.line.isUp()) {
      const batch = next(context);
      if (batch.length === 0) return;
      const result = await context.line.report({ session: context.settings.session, allocations: [...batch] });
      if (result.ok) {
        attempts = 0;
        limit = Number.POSITIVE_INFINITY;
        await acknowledgeAll(context, batch);
      } else if (!takeProblem(context, batch, result.error)) return;
    }
  };

  /** True when the next attempt may follow at once. */
  const takeProblem = (context: AgentContext, batch: readonly AllocationReport[], problem: Problem): boolean => {
    if (problem.code === "message.invalid" || problem.code === "request.invalid") {
      const [only] = batch;
      if (batch.length > 1) limit = Math.ceil(batch.length / 2);
      else if (only !== undefined) {
        refused.add(only.id);
        limit = Number.POSITIVE_INFINITY;
        context.log.error({ allocationId: only.id, problem }, "report.refused");
      }
      return true;
    }
    if (problem.code === "host.unknown") onUnknownSession();
    attempts += 1;
    const waitMs = Math.max(problem.retryAfterMs ?? 0, backoffMs(RETRY, attempts, context.clock.random()));
    context.log.warn({ code: problem.code, detail: problem.detail, waitMs, reports: batch.length }, "report.delayed");
    cancelRetry?.();
    cancelRetry = context.clock.after(waitMs, () => {
      cancelRetry = undefined;
      wake();
    });
    return false;
  };

  const wake = (): void => {
    // While an attempt waits, only its timer goes on: a burst of events must not become a burst of requests.
    if (closed || running !== undefined || cancelRetry !== undefined) return;
    running = run()
      .catch((error: unknown) => getContext().log.error({ error: errorFields(error) }, "report.failed"))
      .finally(() => {
        running = undefined;
        const { line, state } = getContext();
        if (!closed && cancelRetry === undefined && state.greeted && line.isUp() && next(getContext()).length > 0)
          wake();
      });
  };

  return {
    wake,
    forgiveRefused: () => {
      refused.clear();
      attempts = 0;
      cancelRetry?.();
      cancelRetry = undefined;
    },
    close: async (timeoutMs) => {
      const { clock } = getContext();
      cancelRetry?.();
      cancelRetry = undefined;
      wake();
      let cancel: () => void = () => undefined;
      const late = new Promise<void>((resolve) => {
        cancel = clock.after(timeoutMs, resolve);
      });
      await Promise.race([running ?? Promise.resolve(), late]);
      cancel();
      closed = true;
    },
  };
};

const acknowledgeAll = async (context: AgentContext, batch: readonly AllocationReport[]): Promise<void> => {
  const { journal, log, state } = context;
  for (const report of batch) {
    const record = state.records.get(report.id);
    if (record === undefined) continue;
    const acknowledged = acknowledge(record, report);
    state.records.set(report.id, acknowledged);
    // Only the end is worth remembering: anything else is told again after a restart, which does no harm.
    if (!isFinished(acknowledged) || acknowledged.acked !== acknowledged.state) continue;
    await journal.saveRecord(acknowledged, { durable: false }).catch((error: unknown) => {
      log.warn({ allocationId: report.id, error: errorFields(error) }, "journal.write_failed");
    });
  }
};
