/** Folding what happens to volumes. Each returns false when the record contradicts the state. */
import { jobKey, type HostId, type JobSpec, type LogRecord } from "@berth/schema";
import type { Folding } from "./fold-tasks.ts";
import { bookVolume, usesOf, volumeKey, type VolumeRecord } from "./volumes.ts";

type RecordOf<K extends LogRecord["kind"]> = Extract<LogRecord, { kind: K }>;

const add = ({ state }: Folding, volume: VolumeRecord): void => {
  state.volumes.set(volume.key, volume);
  bookVolume(state, volume, 1);
};

/** The first placement that mounts a volume makes it, where the placement is. */
export const foldBinding = (
  folding: Folding,
  { hostId, index, spec }: { readonly hostId: HostId; readonly index: number; readonly spec: JobSpec },
): void => {
  for (const { key, name, sizeBytes } of usesOf(spec, index)) {
    if (folding.state.volumes.has(key)) continue;
    add(folding, {
      ...{ key, name, project: spec.project, generation: folding.sequence, hostId, sizeBytes },
      ...{ readOnly: false, state: "new", from: null },
      createdAtMs: folding.atMs,
      createdBy: jobKey(spec.project, spec.name),
    });
  }
};

/** Something has run with them: from here on an empty one would be a loss. */
export const foldUsed = ({ state }: Folding, spec: JobSpec, index: number): void => {
  for (const { key } of usesOf(spec, index)) {
    const volume = state.volumes.get(key);
    if (volume?.state === "new") state.volumes.set(key, { ...volume, state: "ready" });
  }
};

export const foldVolumeCreated = (folding: Folding, record: RecordOf<"volume_created">): boolean => {
  const { by, from, hostId, project, readOnly, sizeBytes, state: reached, volume: name } = record;
  const key = volumeKey(project, name);
  if (folding.state.volumes.has(key) || !folding.state.hosts.has(hostId)) return false;
  add(folding, {
    ...{ key, name, project, generation: folding.sequence, hostId, sizeBytes, readOnly, state: reached, from },
    createdAtMs: folding.atMs,
    createdBy: by,
  });
  folding.changes.hosts.push(hostId);
  return true;
};

export const foldVolumeStep = (
  folding: Folding,
  record: RecordOf<"volume_filled" | "volume_removing" | "volume_removed">,
): boolean => {
  const { state, changes } = folding;
  const key = volumeKey(record.project, record.volume);
  const volume = state.volumes.get(key);
  if (volume === undefined || volume.generation !== record.generation) return false;
  switch (record.kind) {
    case "volume_filled":
      if (volume.state !== "filling") return false;
      state.volumes.set(key, { ...volume, state: "ready" });
      return true;
    case "volume_removing":
      if (volume.state === "removing") return false;
      state.volumes.set(key, { ...volume, state: "removing" });
      return true;
    case "volume_removed":
      if (volume.state !== "removing") return false;
      bookVolume(state, volume, -1);
      state.volumes.delete(key);
      if (state.hosts.has(volume.hostId)) changes.hosts.push(volume.hostId);
      return true;
  }
};
