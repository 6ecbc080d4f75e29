/** The scheduler's requests about volumes. What an allocation here mounts, or may come to mount, is never deleted. */
import {
  absurd,
  problem,
  volumeImportId,
  volumeNameOf,
  type Problem,
  type Reply,
  type Rpc,
  type VolumeFill,
} from "@berth/schema";
import { allocationIn, specIn } from "../core/desired.ts";
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

/** Who mounts it to write it, in words. */
const writerOf = ({ state }: AgentContext, id: string): string | undefined => {
  for (const record of state.records.values()) {
    // Nothing of it runs, whether its container has been cleared away or not.
    if (isFinished(record)) continue;
    if (isOrphan(record)) return `${record.id}, which nobody knows anything of,`;
    if (record.volumes?.includes(id) !== true) continue;
    const allocation = allocationIn(state.document, record.id);
    const spec = specIn(state.document, allocation);
    const name = allocation?.volumes?.find((one) => one.id === id)?.name;
    const reads = spec?.volumes.some(
      (one) => "volume" in one && one.readOnly && volumeNameOf(one.volume, allocation?.index ?? 0) === name,
    );
    // What is no longer in the document may write until it has ended.
    if (reads !== true) return record.task;
  }
  return undefined;
};

/** An archive is of one moment: of one that is being written there is none. */
export const refuseExport = (context: AgentContext, id: string): Problem | undefined => {
  const writer = writerOf(context, id);
  if (writer === undefined) return undefined;
  return problem("volume.in_use", `${writer} writes ${id}: stop it first, so that the archive is of one moment`);
};

/** Of the operation that makes it of an archive; see scheduler/app/volume-archives.ts, which begins it. */
const importOf = ({ operations }: AgentContext, id: string): VolumeFill => {
  const found = operations.look(volumeImportId(id));
  if (found === undefined) return { state: "absent", error: null };
  if (found.state === "running") return { state: "copying", error: null };
  return found.state === "succeeded" ? { state: "ready", error: null } : { state: "failed", error: found.error };
};

export const answerVolumes = async (context: AgentContext, op: VolumeOp): Promise<Reply<unknown>> => {
  const { log, settings, volumes } = context;
  switch (op.kind) {
    case "volume_stat": {
      const found = await volumes.stat(op.id);
      if (found !== undefined) return { ok: true, value: found };
      return { ok: false, problem: problem("volume.not_found", `${settings.host} has nothing of the volume ${op.id}`) };
    }
    case "volume_fill": {
      try {
        const from = { id: op.from, mustExist: op.mustExist ?? false };
        return { ok: true, value: await volumes.fill(op.id, from, op.sizeBytes) };
      } catch (error) {
        return { ok: false, problem: problem("volume.failed", `${settings.host}: ${messageOf(error)}`) };
      }
    }
    case "volume_filling":
      // On disk it is whole: it was made by renaming it there.
      if (await volumes.isHere(op.id)) return { ok: true, value: { state: "ready", error: null } satisfies VolumeFill };
      return { ok: true, value: importOf(context, op.id) };
    case "volume_remove": {
      if (volumes.isGiven(op.id)) {
        return { ok: false, problem: problem("volume.in_use", `${op.id} is being exported from ${settings.host}`) };
      }
      const holder = holderOf(context, op.id);
      if (holder !== undefined) {
        return { ok: false, problem: problem("volume.in_use", `${holder} still uses ${op.id} on ${settings.host}`) };
      }
      context.operations.cancel(volumeImportId(op.id));
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
