/** The scheduler's requests about volumes. What an allocation here mounts, or may come to mount, is never deleted. */
import { absurd, problem, type Reply, type Rpc } from "@berth/schema";
import { isFinished, isOrphan } from "../core/record.ts";
import { errorFields } from "../ports/log.ts";
import type { AgentContext } from "./context.ts";
import { messageOf } from "./record-changes.ts";

export type VolumeOp = Extract<Rpc["op"], { kind: `volume_${string}` }>;

export const isVolumeOp = (op: Rpc["op"]): op is VolumeOp => op.kind.startsWith("volume_");

/** Who holds it, in words; undefined when nobody does. */
const holderOf = ({ state }: AgentContext, id: string): string | undefined => {
  for (const record of state.records.values()) {
    if (isFinished(record) && !state.containers.has(record.id)) continue;
    if (record.volumes?.includes(id) === true) return record.task;
    // Nothing says what it mounts.
    if (isOrphan(record)) return `${record.id}, which nobody knows anything of,`;
  }
  return state.document?.allocations.find((allocation) => allocation.volumes?.some((one) => one.id === id))?.id;
};

export const answerVolumes = async (context: AgentContext, op: VolumeOp): Promise<Reply<unknown>> => {
  const { log, settings, volumes } = context;
  switch (op.kind) {
    case "volume_stat": {
      const found = await volumes.stat(op.id);
      if (found !== undefined) return { ok: true, value: found };
      return { ok: false, problem: problem("volume.not_found", `${settings.host} has nothing of the volume ${op.id}`) };
    }
    case "volume_fill":
      try {
        return { ok: true, value: await volumes.fill(op.id, op.from) };
      } catch (error) {
        return { ok: false, problem: problem("volume.failed", `${settings.host}: ${messageOf(error)}`) };
      }
    case "volume_remove": {
      const holder = holderOf(context, op.id);
      if (holder !== undefined) {
        return { ok: false, problem: problem("volume.in_use", `${holder} still uses ${op.id} on ${settings.host}`) };
      }
      try {
        await volumes.remove(op.id);
      } catch (error) {
        log.error({ volume: op.id, error: errorFields(error) }, "volume.remove_failed");
        const detail = `${settings.host} cannot delete ${op.id}: ${messageOf(error)}; ask again when that is put right`;
        return { ok: false, problem: problem("volume.failed", detail) };
      }
      log.info({ volume: op.id }, "volume.removed");
      return { ok: true, value: {} };
    }
    default:
      return absurd(op);
  }
};
