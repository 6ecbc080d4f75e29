/**
 * An agent, whatever its ports are: puts the loops together and gives them life. Order of the start: find out what is
 * true, watch it, then speak. Order of the end: fall silent, finish what has begun, tell what is left, let go; containers
 * run on.
 */
import type { Capacity, Inventory } from "@berth/schema";
import { emptyState, type AgentContext, type Ports, type Settings } from "./context.ts";
import { Turns } from "../core/turns.ts";
import { createExecSessions } from "./exec-sessions.ts";
import { createHeart } from "./heartbeat.ts";
import { createHeldTeller } from "./held.ts";
import { createImageOperations } from "./image-operations.ts";
import { createKeeper } from "./keeper.ts";
import { createLeases } from "./leases.ts";
import { createReconciler } from "./reconcile.ts";
import { recover } from "./recover.ts";
import { createReporter } from "./reporter.ts";
import { answerRpc } from "./rpc.ts";
import { createSession } from "./session.ts";
import { openStanding } from "./snapshots.ts";
import { refuseExport } from "./volume-rpc.ts";
import { openWritten, resumePaused } from "./written.ts";

const FINISH_MS = 5000;
/** A leader that is there answers within this time after a start; a new one is elected in less. */
const CUT_OFF_MS = 15_000;
const STARTS_AT_ONCE = 8;
const TELL_MS = 2000;

export interface Agent {
  /** What it knows, for tests and diagnostics. Not to be changed. */
  readonly context: AgentContext;
  readonly close: () => Promise<void>;
}

/** Resolves when everything that exists on this host is known and watched; the line is dialled from then on. */
export const startAgent = async (
  ports: Ports,
  settings: Settings,
  facts: { readonly inventory: Promise<Inventory>; readonly capacity: Capacity },
): Promise<Agent> => {
  const getContext = (): AgentContext => context;
  const reconciler = createReconciler(getContext);
  const heart = createHeart(getContext);
  const session = createSession({
    getContext,
    ...facts,
    onWelcome: (heartbeatMs) => {
      reporter.forgiveRefused();
      reporter.wake();
      heart.beat(heartbeatMs);
      leases.beat(heartbeatMs);
    },
  });
  const leases = createLeases({
    getContext,
    onBehind: session.askNow,
    onUnknownSession: session.greetAgain,
  });
  const reporter = createReporter({ getContext, onUnknownSession: session.greetAgain });
  const sessions = createExecSessions(getContext);
  const context: AgentContext = {
    ...ports,
    operations: createImageOperations(ports, {
      openTree: (id, options) =>
        options === "standing" ? openStanding(getContext(), id) : openWritten(getContext(), id, options),
      refuseExport: (id) => refuseExport(getContext(), id),
    }),
    starts: new Turns(STARTS_AT_ONCE),
    settings,
    state: emptyState(),
    sessions,
    beat: heart.now,
    wake: reconciler.wake,
    wakeReporter: reporter.wake,
    wakeKeeper: () => keeper.soon(),
  };
  const keeper = createKeeper(getContext);
  const teller = createHeldTeller(getContext);
  await recover(context);
  await resumePaused(context);
  reconciler.wake();
  const cancelCutOff = ports.clock.after(CUT_OFF_MS, () => {
    if (context.state.answered) return;
    context.state.cutOff = true;
    ports.log.warn({ afterMs: CUT_OFF_MS }, "agent.cut_off");
    reconciler.wake();
  });
  ports.line.open({
    onChange: (up) => {
      session.lineChanged(up);
      if (up) reporter.wake();
    },
    onDesired: session.announced,
    onRpc: (request) => answerRpc(context, request),
  });
  return {
    context,
    close: async () => {
      heart.close();
      leases.close();
      cancelCutOff();
      keeper.close();
      teller.close();
      session.close();
      await context.operations.close();
      await sessions.close();
      await reconciler.close(FINISH_MS);
      await reporter.close(TELL_MS);
      await ports.line.close();
      context.state.closing = true;
      await ports.runtime.close();
    },
  };
};
