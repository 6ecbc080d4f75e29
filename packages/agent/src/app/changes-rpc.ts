/** The scheduler's question what a container has changed of its image. Its writable layer goes when it ends. */
import { problem, type ChangeList, type Reply, type Rpc } from "@berth/schema";
import type { AgentContext } from "./context.ts";

export type ChangesOp = Extract<Rpc["op"], { kind: "changes" }>;

export const answerChanges = async (context: AgentContext, op: ChangesOp): Promise<Reply<ChangeList>> => {
  const { files, images, settings, state } = context;
  const id = op.allocation;
  const notRunning = (): Reply<never> => {
    const detail = `${id} does not run on ${settings.host}: what a container wrote is deleted when it ends`;
    return { ok: false, problem: problem("allocation.not_running", detail) };
  };
  const live = state.containers.get(id);
  const listed = state.document?.allocations.find((one) => one.id === id);
  const image = listed === undefined ? undefined : state.document?.specs[listed.spec]?.image;
  const layers = image === undefined ? undefined : images.layersOf(image, id);
  if (live === undefined || live.exit !== undefined || layers === undefined) return notRunning();
  try {
    const page = await files.listChanges(live.container.writablePath, layers, op.after);
    if (page.ok) return page;
    return { ok: false, problem: problem("allocation.refused", `what ${id} wrote cannot be listed: ${page.error}`) };
  } catch (error) {
    // It ended meanwhile.
    if (state.containers.get(id)?.exit !== undefined || !state.containers.has(id)) return notRunning();
    throw error;
  }
};
