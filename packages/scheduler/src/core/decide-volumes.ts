/** What users ask of volumes: decides which records say it, or why it cannot be. Changes nothing. */
import {
  err,
  ok,
  problem,
  type HostId,
  type LogRecord,
  type Problem,
  type ProjectName,
  type Result,
  type VolumeState,
} from "@berth/schema";
import { allocationsOn } from "./allocations-on.ts";
import { rejection } from "./feasibility.ts";
import { formatAmount } from "./sentences.ts";
import { inside, type AllocationRecord, type ClusterState } from "./state.ts";
import { copyOf, sizeClass, usesOf, volumeIdOf, volumeKey, volumeUseOf, type VolumeRecord } from "./volumes.ts";

/** Of a cluster. */
export const MAX_VOLUMES = 20_000;

export interface NewVolume {
  readonly project: ProjectName;
  readonly name: string;
  /** Null: where there is the best room. */
  readonly hostId: HostId | null;
  readonly sizeBytes: number;
  readonly readOnly: boolean;
  readonly state: VolumeState;
  readonly from: string | null;
  readonly by: string;
}

const findVolume = (state: ClusterState, project: ProjectName, name: string): Result<VolumeRecord, Problem> => {
  const volume = state.volumes.get(volumeKey(project, name));
  return volume === undefined
    ? err(problem("volume.not_found", `there is no volume ${project}/${name}; berth volume ls shows all`))
    : ok(volume);
};

const hostFor = (clusterState: ClusterState, { hostId, project, sizeBytes }: NewVolume): Result<HostId, Problem> => {
  const state = inside(clusterState);
  const asked = sizeClass(state, { project, sizeBytes });
  const noRoom = (detail: string): Result<never, Problem> => err(problem("volume.no_room", detail));
  if (hostId === null) {
    const slot = state.index.pick(asked);
    return slot < 0
      ? noRoom(`no host that takes new work has ${formatAmount("diskBytes", sizeBytes)} of disk left`)
      : ok(state.index.idOf(slot));
  }
  const host = state.hosts.get(hostId);
  if (host === undefined || host.capacity === null) return err(problem("host.not_found", `there is no host ${hostId}`));
  const refused = rejection({ ...state.index.room(host.slot), ready: true }, asked, state.dimensions);
  return refused === undefined || !("short" in refused)
    ? ok(hostId)
    : noRoom(`${hostId} has ${formatAmount("diskBytes", refused.short)} of disk too little for it`);
};

export const decideVolume = (state: ClusterState, volume: NewVolume): Result<LogRecord[], Problem> => {
  const { by, from, name, project, readOnly, sizeBytes, state: reached } = volume;
  const known = state.volumes.get(volumeKey(project, name));
  if (known !== undefined) {
    // Said twice by a follower whose answer was lost.
    const same = known.createdBy === by && known.sizeBytes === sizeBytes && known.readOnly === readOnly;
    // Nor may two bring their archives for one.
    const isImport = reached === "filling" && from === null;
    if (
      same &&
      !isImport &&
      known.state !== "removing" &&
      known.from === from &&
      (volume.hostId ?? known.hostId) === known.hostId
    )
      return ok([]);
    return err(problem("volume.exists", `there is a volume ${project}/${name} already, on ${known.hostId}`));
  }
  if (state.volumes.size >= MAX_VOLUMES) {
    return err(problem("request.too_many", `there are ${MAX_VOLUMES} volumes; remove some first`));
  }
  const hostId = hostFor(state, volume);
  if (!hostId.ok) return hostId;
  return ok([
    {
      kind: "volume_created",
      ...{ project, volume: name, hostId: hostId.value, sizeBytes, readOnly, state: reached, from, by },
    },
  ]);
};

export interface VolumeCopy {
  readonly project: ProjectName;
  readonly from: string;
  readonly name: string;
  readonly snapshot: boolean;
  readonly by: string;
}

/** On the host of the other one, of the same size. Nobody may write the other one meanwhile. */
export const decideCopyVolume = (state: ClusterState, copy: VolumeCopy): Result<LogRecord[], Problem> => {
  const { by, from, name, project, snapshot } = copy;
  const source = findVolume(state, project, from);
  if (!source.ok) return source;
  const { hostId, key, sizeBytes, state: reached } = source.value;
  if (reached === "removing" || reached === "filling") {
    return err(
      problem(
        "volume.in_use",
        `${project}/${from} is ${reached === "removing" ? "being removed" : "a copy that is not complete"}`,
      ),
    );
  }
  if (!state.hosts.has(hostId)) {
    return err(problem("volume.not_found", `${project}/${from} was on ${hostId}, which is no longer a host`));
  }
  const writer = holdersOf(state, source.value).find(
    ({ spec, index }) => volumeUseOf(spec, index, key)?.writes === true,
  );
  if (writer !== undefined) {
    const detail = `${writer.job}[${writer.index}] writes ${project}/${from}; stop it first, so that the copy is of one moment`;
    return err(problem("volume.in_use", detail));
  }
  return decideVolume(state, { project, name, hostId, sizeBytes, readOnly: snapshot, state: "filling", from, by });
};

/** Allocations that have not ended and mount it. */
export const holdersOf = (state: ClusterState, { hostId, key }: VolumeRecord): AllocationRecord[] =>
  allocationsOn(state, hostId).filter(({ index, spec }) => usesOf(spec, index).some((use) => use.key === key));

/** Of whoever says an id: there may be another one of its name by now. */
export const refuseAnother = (volume: VolumeRecord, id: string | null): Problem | undefined => {
  const { name, project } = volume;
  if (id === null || id === volumeIdOf(volume)) return undefined;
  return problem("volume.not_found", `there is no volume ${id} any more: ${project}/${name} is ${volumeIdOf(volume)}`);
};

/** Of one that is on no host any more, all there is is forgotten. Null `id`: whichever has that name. */
export const decideRemoveVolume = (
  state: ClusterState,
  project: ProjectName,
  name: string,
  by: string,
  id: string | null = null,
): Result<LogRecord[], Problem> => {
  const found = findVolume(state, project, name);
  if (!found.ok) return found;
  const another = refuseAnother(found.value, id);
  if (another !== undefined) return err(another);
  const { generation, hostId, state: reached } = found.value;
  const [holder] = holdersOf(state, found.value);
  if (holder !== undefined) {
    const task = `${holder.project}/${holder.job}[${holder.index}]`;
    return err(problem("volume.in_use", `${task} uses ${project}/${name} on ${hostId}; stop it first`));
  }
  const copy = copyOf(state, project, name);
  if (copy !== undefined) {
    const detail = `${project}/${copy.name} is being copied from ${project}/${name}: wait, or remove ${copy.name} first`;
    return err(problem("volume.in_use", detail));
  }
  const steps: LogRecord[] =
    reached === "removing" ? [] : [{ kind: "volume_removing", project, volume: name, generation, by }];
  const isGone = !state.hosts.has(hostId);
  return ok(isGone ? [...steps, { kind: "volume_removed", project, volume: name, generation }] : steps);
};

/** Its host says that it is deleted, or filled. Nothing when that is known, or was said of an earlier one. */
export const decideVolumeStep = (
  state: ClusterState,
  kind: "volume_removed" | "volume_filled",
  { key, generation, name, project }: VolumeRecord,
): LogRecord[] => {
  const now = state.volumes.get(key);
  const from = kind === "volume_removed" ? "removing" : "filling";
  if (now?.generation !== generation || now.state !== from) return [];
  return [{ kind, project, volume: name, generation }];
};
