/** What happens to volumes of a simulation beside the tasks that mount them. */
import type { LogRecord } from "@berth/schema";
import { decideRemoveVolume, decideVolumeStep, type ClusterState } from "../src/core/index.ts";
import type { Random } from "./random.ts";

/** A user removes a volume; or a host has deleted one that was to be removed. */
export const volumeStep = (state: ClusterState, { chance, pick }: Random): readonly LogRecord[] => {
  const volume = pick([...state.volumes.values()]);
  if (volume === undefined) return [];
  if (volume.state === "removing") return chance(0.7) ? decideVolumeStep(state, "volume_removed", volume) : [];
  const decided = decideRemoveVolume(state, volume.project, volume.name, "ann");
  return decided.ok ? decided.value : [];
};
