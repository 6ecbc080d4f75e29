/**
 * The loop that makes actual what is desired. Whatever happens (a document, an exit, a timer, the end of a step) only
 * wakes it; it looks at everything, begins what can begin, and sleeps. Steps run beside each other, each allocation in at
 * most one, starts and collections a few at a time: what does not fit is found again at the next look.
 */
import type { AllocationId } from "@berth/schema";
import { diff, type Action } from "../core/diff.ts";
import type { ContainerFact } from "../core/container.ts";
import { errorFields } from "../ports/log.ts";
import type { AgentContext } from "./context.ts";
import { finishContainer, release, settle, stop } from "./end.ts";
import { limit } from "./limit.ts";
import { adopt, bookSlot, revive, start } from "./start.ts";

/**
 * Steps of one kind at a time. Stopping is waiting, so it has no bound but the number of containers. Most of a start may
 * be waiting, too, for its image: how many containers are started at a time is `context.starts`.
 */
const MAX_AT_ONCE: Readonly<Record<Action["kind"], number>> = {
  start: 256,
  revive: 8,
  adopt: 16,
  limit: 8,
  stop: Number.POSITIVE_INFINITY,
  finish: 8,
  settle: 16,
  release: 8,
};
const AFTER_BUG_MS = 5000;

export interface Reconciler {
  readonly wake: () => void;
  /** Begins nothing more and resolves when what has begun is done, or after `timeoutMs`. */
  readonly close: (timeoutMs: number) => Promise<void>;
}

export const createReconciler = (getContext: () => AgentContext): Reconciler => {
  const busy = new Set<AllocationId>();
  const underWay = new Map<Action["kind"], number>();
  const steps = new Set<Promise<void>>();
  let scheduled = false;
  let closed = false;
  let cancelTimer: () => void = () => undefined;

  const wake = (): void => {
    if (scheduled || closed) return;
    scheduled = true;
    setImmediate(look);
  };

  const look = (): void => {
    scheduled = false;
    if (closed) return;
    const context = getContext();
    cancelTimer();
    const work = diff({
      document: context.state.document,
      confirmed: context.state.confirmed,
      cutOff: context.state.cutOff,
      grant: context.state.grant,
      boottimeMs: context.clock.boottimeMs(),
      records: context.state.records,
      containers: factsOf(context),
      busy,
    });
    // One warning and one search are enough: ranges do not become free while we look.
    let hasRanges = true;
    for (const action of work.actions) {
      if (action.kind !== "start" && action.kind !== "revive") begin(context, action);
      else if (hasRanges && hasRoom(action.kind)) {
        hasRanges = bookSlot(context, action);
        if (hasRanges) begin(context, action);
        else context.log.debug({ allocationId: action.allocation.id }, "allocation.no_free_id_range");
      }
    }
    if (work.nextDueMs !== undefined) cancelTimer = context.clock.after(work.nextDueMs + 1, wake);
  };

  const hasRoom = (kind: Action["kind"]): boolean => (underWay.get(kind) ?? 0) < MAX_AT_ONCE[kind];

  const begin = (context: AgentContext, action: Action): void => {
    if (!hasRoom(action.kind)) return;
    const id = action.kind === "start" || action.kind === "revive" ? action.allocation.id : action.id;
    busy.add(id);
    underWay.set(action.kind, (underWay.get(action.kind) ?? 0) + 1);
    const step = perform(context, action)
      .catch(async (error: unknown) => {
        // A bug: not to be repeated as fast as the loop turns.
        context.log.error({ allocationId: id, action: action.kind, error: errorFields(error) }, "step.failed");
        await new Promise<void>((resolve) => void context.clock.after(AFTER_BUG_MS, resolve));
      })
      .finally(() => {
        busy.delete(id);
        underWay.set(action.kind, (underWay.get(action.kind) ?? 1) - 1);
        steps.delete(step);
        wake();
      });
    if (action.kind !== "stop") steps.add(step);
  };

  return {
    wake,
    close: async (timeoutMs) => {
      closed = true;
      cancelTimer();
      let cancel: () => void = () => undefined;
      const late = new Promise<void>((resolve) => {
        cancel = getContext().clock.after(timeoutMs, resolve);
      });
      await Promise.race([Promise.all(steps), late]);
      cancel();
    },
  };
};

const perform = (context: AgentContext, action: Action): Promise<void> => {
  switch (action.kind) {
    case "start":
      return start(context, action);
    case "revive":
      return revive(context, action);
    case "adopt":
      return adopt(context, action);
    case "limit":
      return limit(context, action);
    case "stop":
      return stop(context, action);
    case "finish":
      return finishContainer(context, action);
    case "settle":
      return settle(context, action);
    case "release":
      return release(context, action);
  }
};

const factsOf = ({ clock, state }: AgentContext): ReadonlyMap<AllocationId, ContainerFact> => {
  const now = clock.monotonicMs();
  const facts = new Map<AllocationId, ContainerFact>();
  for (const [id, { container, exit, limits, startedMonotonicMs }] of state.containers) {
    facts.set(
      id,
      exit === undefined
        ? { phase: "running", startedAtMs: container.startedAtMs, runningForMs: now - startedMonotonicMs, limits }
        : { phase: "ended", exit },
    );
  }
  return facts;
};
