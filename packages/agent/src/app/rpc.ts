/**
 * Answers the scheduler's requests: pieces of logs and outputs, what a container changed, sessions in containers, and what
 * concerns images (image-rpc.ts). A request is answered only if the cluster key signed it, it names this host and this
 * life of the agent, and no newer leader has been seen; everything else is refused with a problem and a line in the log.
 * Every request has a number and is obeyed once (replay.ts); one that changes something expires besides, so that it cannot
 * be held back and delivered when it suits somebody.
 */
import {
  decodeJson,
  decoder,
  problem,
  RPC_VALID_MS,
  RpcSchema,
  type AllocationId,
  type Chunk,
  type OutputList,
  type Problem,
  type Reply,
  type Rpc,
  type Signed,
} from "@berth/schema";
import { allocationIn } from "../core/desired.ts";
import { isFinished } from "../core/record.ts";
import type { ReadableFile } from "../ports/files.ts";
import type { BlobPiece } from "../ports/line.ts";
import { errorFields } from "../ports/log.ts";
import type { AgentContext } from "./context.ts";
import { answerChanges } from "./changes-rpc.ts";
import { raiseFence } from "./fence.ts";
import { answerImages } from "./image-rpc.ts";
import { answerLayers, isLayersOp } from "./layers-rpc.ts";
import { answerPause } from "./pause-rpc.ts";
import { answerVolumes, isVolumeOp } from "./volume-rpc.ts";

/** How often a file is looked at while somebody waits for it to grow. */
const LOOK_MS = 50;

type ReadOp = Extract<Rpc["op"], { kind: "read" }>;

const decodeRpc = decoder(RpcSchema);

const refusal = (context: AgentContext, reason: Problem): Reply<never> => {
  context.log.warn({ code: reason.code, detail: reason.detail }, "rpc.refused");
  return { ok: false, problem: reason };
};

/** They tell what is there, and are answered by a host whose clock is wrong as well. */
const READS: ReadonlySet<Rpc["op"]["kind"]> = new Set([
  ...([
    "read",
    "list_outputs",
    "images",
    "image",
    "image_watch",
    "image_bringing",
    "image_operations",
    "image_read",
    "blob_read",
    "volume_stat",
    "volume_filling",
    "layers",
  ] as const),
]);

const expired = ({ clock, settings }: AgentContext, { op, expiresAtMs }: Rpc): Problem | undefined => {
  const nowMs = clock.nowMs();
  if (READS.has(op.kind) || (expiresAtMs >= nowMs && expiresAtMs <= nowMs + 2 * RPC_VALID_MS)) return undefined;
  const detail = `the request is not valid now on ${settings.host}; do the clocks of the hosts agree?`;
  return problem("message.stale", detail);
};

export const answerRpc = async (context: AgentContext, signed: Signed): Promise<Reply<unknown> | BlobPiece> => {
  const { settings, state, verifier } = context;
  const payload = verifier.verify(signed);
  if (payload === undefined)
    return refusal(context, problem("auth.forbidden", "the request is not signed by the cluster key"));
  const decoded = decodeJson(decodeRpc, payload, "the request");
  if (!decoded.ok) return refusal(context, decoded.error);
  const rpc = decoded.value;
  if (rpc.host !== settings.host)
    return refusal(context, problem("auth.forbidden", `the request is for ${rpc.host}, this is ${settings.host}`));
  if (rpc.session !== settings.session) {
    return refusal(
      context,
      problem("message.stale", `the agent of ${settings.host} was started again since; ask with its present session`),
    );
  }
  if (rpc.epoch < state.fence) {
    return refusal(
      context,
      problem("message.stale", `the request carries epoch ${rpc.epoch}, a leader of epoch ${state.fence} was seen`),
    );
  }
  const untimely = expired(context, rpc);
  if (untimely !== undefined) return refusal(context, untimely);
  const verdict = state.replay.admit(rpc.epoch, rpc.issuer, rpc.seq);
  if (verdict !== "new") {
    const why = verdict === "seen" ? "this very request was obeyed already" : "too many schedulers ask in one epoch";
    return refusal(context, problem("message.stale", `${why}: ${rpc.op.kind} ${rpc.seq} of ${rpc.issuer}`));
  }
  if (rpc.epoch > state.fence) await raiseFence(context, rpc.epoch);
  try {
    switch (rpc.op.kind) {
      case "read":
        return await readChunk(context, rpc.op);
      case "list_outputs":
        return await listOutputs(context, rpc.op.allocation, rpc.op.offset);
      case "changes":
        return await answerChanges(context, rpc.op);
      case "pause":
      case "resume":
        return await answerPause(context, rpc.op);
      case "open":
        return await context.sessions.open(rpc.op);
      default:
        if (isVolumeOp(rpc.op)) return await answerVolumes(context, rpc.op);
        if (isLayersOp(rpc.op)) return await answerLayers(context, rpc.op);
        return await answerImages(context, rpc.op);
    }
  } catch (error) {
    context.log.error({ op: rpc.op.kind, error: errorFields(error) }, "rpc.failed");
    return { ok: false, problem: problem("internal", `${settings.host} could not answer`) };
  }
};

const unknownAllocation = (context: AgentContext, id: AllocationId): Reply<never> => ({
  ok: false,
  problem: problem(
    "allocation.not_found",
    `${context.settings.host} has no files of ${id}: it was never here, or they are no longer kept`,
  ),
});

const listOutputs = async (context: AgentContext, id: AllocationId, offset: number): Promise<Reply<OutputList>> => {
  const known = context.state.records.get(id) ?? allocationIn(context.state.document, id);
  if (known === undefined) return unknownAllocation(context, id);
  return { ok: true, value: await context.files.listOutputs(id, offset) };
};

const readChunk = async (context: AgentContext, op: ReadOp): Promise<Reply<Chunk>> => {
  const deadlineMs = context.clock.monotonicMs() + op.waitMs;
  let file: ReadableFile | undefined;
  try {
    for (;;) {
      // The end is looked at before the size: bytes that came in between are then seen, not missed.
      const over = isOver(context, op.allocation);
      if (over === undefined) return unknownAllocation(context, op.allocation);
      file ??= await openFile(context, op);
      const size = file === undefined ? 0 : await file.size();
      const late = context.clock.monotonicMs() >= deadlineMs;
      if (file !== undefined && (size > op.offset || over || late)) {
        const wanted = Math.min(op.maxBytes, Math.max(0, size - op.offset));
        const { offset, data } =
          wanted === 0 ? { offset: op.offset, data: new Uint8Array() } : await file.read(op.offset, wanted);
        const done = over && offset + data.length >= size;
        return { ok: true, value: { data: Buffer.from(data).toString("base64"), offset, size, done } };
      }
      if (file === undefined && over && op.file.kind !== "output" && saidNothing(context, op.allocation)) {
        return { ok: true, value: { data: "", offset: op.offset, size: 0, done: true } };
      }
      if (file === undefined && (over || op.file.kind === "output")) {
        return { ok: false, problem: problem("allocation.no_logs", `${op.allocation} has no ${fileName(op)}`) };
      }
      if (late) return { ok: true, value: { data: "", offset: op.offset, size, done: false } };
      await new Promise<void>((resolve) => void context.clock.after(LOOK_MS, resolve));
    }
  } finally {
    await file?.close();
  }
};

/** It ran to an end that its supervisor saw: then a log that is not there is one that nothing was written to. */
const saidNothing = ({ state }: AgentContext, id: AllocationId): boolean => {
  const exit = state.containers.get(id)?.exit ?? state.records.get(id)?.exit;
  return exit !== undefined && exit !== null && exit.startedAtMs !== null && exit.cause !== "supervisor_lost";
};

const fileName = ({ file }: ReadOp): string => (file.kind === "output" ? `output file "${file.path}"` : file.kind);

const openFile = ({ files, state }: AgentContext, { allocation, file }: ReadOp): Promise<ReadableFile | undefined> => {
  if (file.kind === "output") return files.openOutput(allocation, file.path);
  return files.openLog(allocation, file.kind, state.containers.get(allocation)?.container.logPath);
};

/** True when nothing will be written any more; undefined when this host knows nothing of it. */
const isOver = ({ state }: AgentContext, id: AllocationId): boolean | undefined => {
  if (state.containers.get(id)?.exit !== undefined) return true;
  const record = state.records.get(id);
  if (record !== undefined) return isFinished(record);
  return allocationIn(state.document, id) === undefined ? undefined : false;
};
