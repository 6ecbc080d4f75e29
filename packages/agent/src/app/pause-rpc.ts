/**
 * Pausing and resuming a container for a user. The kernel remembers which containers stand still, so nothing of it is
 * written down, and an agent that was started again knows it. One that is being stopped is left alone: stopping lets a
 * paused one go on, so that it can use its grace.
 */
import { problem, type Reply, type Rpc } from "@berth/schema";
import { errorFields } from "../ports/log.ts";
import type { AgentContext } from "./context.ts";
import { messageOf } from "./record-changes.ts";
import { inPauseTurn, noteResumed } from "./written.ts";

export type PauseOp = Extract<Rpc["op"], { kind: "pause" | "resume" }>;

export const answerPause = async (context: AgentContext, op: PauseOp): Promise<Reply<Record<string, never>>> => {
  const { files, log, settings, state } = context;
  const id = op.allocation;
  const live = state.containers.get(id);
  const refused = (detail: string): Reply<never> => ({
    ok: false,
    problem: problem("allocation.not_running", detail),
  });
  if (live === undefined || live.exit !== undefined) return refused(`${id} does not run on ${settings.host}`);
  if (state.records.get(id)?.state === "stopping") return refused(`${id} is being stopped`);
  try {
    await inPauseTurn(live.container, async () => {
      // Also when a copy is being made of it: that does not let it go on then.
      if (op.kind === "pause") await files.notePause(id, false);
      if (op.kind === "resume") noteResumed(live.container);
      await (op.kind === "pause" ? live.container.pause() : live.container.resume());
    });
    // What it was told to end with came first: it must be able to hear that.
    if (op.kind === "pause" && state.records.get(id)?.state === "stopping") {
      await live.container.resume();
      return refused(`${id} is being stopped`);
    }
  } catch (error) {
    if (state.containers.get(id)?.exit !== undefined) return refused(`${id} has ended`);
    log.warn({ allocationId: id, op: op.kind, error: errorFields(error) }, "container.not_paused");
    return { ok: false, problem: problem("allocation.not_paused", messageOf(error)) };
  }
  log.info({ allocationId: id }, op.kind === "pause" ? "container.paused" : "container.resumed");
  live.paused = op.kind === "pause";
  context.beat();
  return { ok: true, value: {} };
};
