/**
 * Snapshots of containers that stand still by themselves: paused by a user, or ended. Nothing is paused for one, so that
 * whoever takes it knows which moment it is of.
 */
import { err, ok, problem, type AllocationId, type ImageRequest, type Problem, type Result } from "@berth/schema";
import type { AgentContext } from "./context.ts";
import { inPauseTurn, openWritten, timesResumed, type OpenWritten } from "./written.ts";

/** What one wrote that a user has paused, or that has ended: nothing is paused for it, and it must not be resumed meanwhile. */
export const openStanding = async (context: AgentContext, id: AllocationId): Promise<Result<OpenWritten, Problem>> => {
  const { files, settings, state } = context;
  const live = state.containers.get(id);
  if (live === undefined || live.exit !== undefined) return await openWritten(context, id, { pause: false });
  const { container } = live;
  const stands = await inPauseTurn(container, async () => {
    // One that only stands still for somebody who reads it goes on soon.
    if (!(await container.isPaused()) || (await files.pausesNoted()).includes(id)) return undefined;
    // Nor does one that is being stopped stand still for long.
    return state.records.get(id)?.state === "running" ? timesResumed(container) : undefined;
  });
  if (stands === undefined) {
    const detail = `${id} runs on ${settings.host}: pause it first (berth pause), or wait for its end`;
    return err(problem("allocation.running", detail));
  }
  const opened = await openWritten(context, id, { pause: false });
  if (!opened.ok) return opened;
  const checkStood = (): void => {
    if (timesResumed(container) !== stands)
      throw new Error(`${id} was resumed while it was read: pause it and try again`);
  };
  return ok({ ...opened.value, tree: { ...opened.value.tree, checkStood } });
};

/** Why it cannot be begun at all. What changes afterwards is looked at again when it is read, and when it gets its name. */
export const refuseSnapshot = async (
  context: AgentContext,
  { allocation, image }: Extract<ImageRequest, { kind: "snapshot" }>,
): Promise<Problem | undefined> => {
  const opened = await openStanding(context, allocation);
  if (!opened.ok) return opened.error;
  opened.value.release();
  if ((await context.images.verbs.inspect(image)) === undefined) return undefined;
  return problem("snapshot.exists", `${image} is there already: remove it first, or choose another name`);
};
