/** The scheduler's requests about images: lists, and operations. */
import {
  absurd,
  problem,
  type AllocationId,
  type ImageBringing,
  type ImageDetail,
  type ImagePage,
  type Problem,
  type Reply,
  type Result,
  type Rpc,
} from "@berth/schema";
import { allocationIn, specIn } from "../core/desired.ts";
import type { BlobPiece } from "../ports/line.ts";
import type { AgentContext } from "./context.ts";
import type { LayersOp } from "./layers-rpc.ts";
import { refuseSnapshot } from "./snapshots.ts";
import type { VolumeOp } from "./volume-rpc.ts";

const PAGE = 200;
export type ImageOp = Exclude<
  Rpc["op"],
  { kind: "read" | "list_outputs" | "changes" | "pause" | "resume" | "open" } | VolumeOp | LayersOp
>;

const replyOf = <T>(result: Result<T, Problem>): Reply<T> =>
  result.ok ? result : { ok: false, problem: result.error };

export const answerImages = async (context: AgentContext, op: ImageOp): Promise<Reply<unknown> | BlobPiece> => {
  const { images, operations } = context;
  switch (op.kind) {
    case "images":
      return { ok: true, value: await pageOfImages(context, op.offset) };
    case "image": {
      const found: ImageDetail | undefined = await images.verbs.inspect(op.image);
      if (found !== undefined) return { ok: true, value: found };
      return { ok: false, problem: problem("image.not_found", `${context.settings.host} has no image ${op.image}`) };
    }
    case "image_start": {
      const refused = op.request.kind === "snapshot" ? await refuseSnapshot(context, op.request) : undefined;
      return refused === undefined ? replyOf(operations.start(op.id, op.request)) : { ok: false, problem: refused };
    }
    case "image_watch":
      return replyOf(await operations.watch(op.id, op.revision, op.waitMs));
    case "image_operations":
      return { ok: true, value: operations.running() };
    case "image_bringing":
      return { ok: true, value: bringingOf(context, op.allocation) };
    case "image_cancel":
      return replyOf(operations.cancel(op.id));
    case "image_write": {
      const taken = await operations.write(op.id, op.offset, Buffer.from(op.data, "base64"), op.last);
      return taken.ok ? { ok: true, value: { offset: taken.value } } : { ok: false, problem: taken.error };
    }
    case "image_read": {
      const piece = await operations.read(op.id, op.offset);
      if (!piece.ok) return { ok: false, problem: piece.error };
      const { data, done } = piece.value;
      const size = op.offset + data.length;
      return { ok: true, value: { data: Buffer.from(data).toString("base64"), offset: op.offset, size, done } };
    }
    case "blob_read": {
      const piece = await images.verbs.blob(op.digest, op.offset);
      if (piece !== undefined) return piece;
      return { ok: false, problem: problem("image.not_found", `${context.settings.host} has no blob ${op.digest}`) };
    }
    default:
      return absurd(op);
  }
};

/** For one that this host does not know, nothing is brought. */
const bringingOf = ({ images, state }: AgentContext, id: AllocationId): ImageBringing => {
  const spec = specIn(state.document, allocationIn(state.document, id));
  return spec === undefined ? { image: "", layers: [] } : { image: spec.image, layers: images.bringing(spec.image) };
};

const pageOfImages = async ({ images }: AgentContext, offset: number): Promise<ImagePage> => {
  const all = await images.verbs.list();
  const next = offset + PAGE;
  return { items: all.slice(offset, next), next: next < all.length ? next : null };
};
