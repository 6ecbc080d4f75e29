/** The scheduler's questions about what ended containers wrote: which layers are kept, and one that is kept no longer. */
import { absurd, problem, type KeptLayerPage, type Reply, type Rpc } from "@berth/schema";
import type { AgentContext } from "./context.ts";

export type LayersOp = Extract<Rpc["op"], { kind: "layers" | "layer_remove" }>;

const PAGE = 500;

export const isLayersOp = (op: Rpc["op"]): op is LayersOp => op.kind === "layers" || op.kind === "layer_remove";

export const answerLayers = async (context: AgentContext, op: LayersOp): Promise<Reply<unknown>> => {
  const { images, kept } = context;
  switch (op.kind) {
    case "layers":
      return { ok: true, value: pageOf(context, op.offset) };
    case "layer_remove": {
      const { allocation } = op;
      if (kept.get(allocation) === undefined) return { ok: true, value: { removed: false } };
      if (!(await kept.remove(allocation))) {
        const detail = `what ${allocation} wrote is being read: try again when that is done`;
        return { ok: false, problem: problem("request.too_many", detail, { retryAfterMs: 2_000 }) };
      }
      await images.release(allocation);
      return { ok: true, value: { removed: true } };
    }
    default:
      return absurd(op);
  }
};

const pageOf = ({ kept }: AgentContext, offset: number): KeptLayerPage => {
  const all = kept.list();
  const next = offset + PAGE;
  return {
    items: all.slice(offset, next).map(({ allocation, endedAtMs, image, index, job, project, sizeBytes }) => ({
      ...{ allocation, project, job, index, image, endedAtMs, sizeBytes },
    })) as KeptLayerPage["items"],
    next: next < all.length ? next : null,
  };
};
