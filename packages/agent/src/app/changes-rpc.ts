/** The scheduler's question what a container has changed of its image, while it runs and as long as that is kept. */
import { problem, type ChangeList, type Reply, type Rpc } from "@berth/schema";
import type { AgentContext } from "./context.ts";
import { openWritten } from "./written.ts";

export type ChangesOp = Extract<Rpc["op"], { kind: "changes" }>;

export const answerChanges = async (context: AgentContext, op: ChangesOp): Promise<Reply<ChangeList>> => {
  const { files, settings } = context;
  const id = op.allocation;
  const written = await openWritten(context, id, { pause: false });
  if (!written.ok) return { ok: false, problem: written.error };
  const { release, tree } = written.value;
  try {
    const page = await files.listChanges(tree.directory(), tree.layers, op.after);
    if (page.ok) return page;
    return { ok: false, problem: problem("allocation.refused", `what ${id} wrote cannot be listed: ${page.error}`) };
  } catch (error) {
    const live = context.state.containers.get(id);
    if (live !== undefined && live.exit === undefined) throw error;
    const detail = `${id} has just ended on ${settings.host}: ask again for what is kept of it`;
    return { ok: false, problem: problem("allocation.not_running", detail, { retryAfterMs: 500 }) };
  } finally {
    release();
  }
};
