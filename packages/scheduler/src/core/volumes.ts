/**
 * Volumes as the cluster knows them: which there are, on which host, and where a task may go for their sake.
 *
 * A volume is bound by the first placement that mounts it, or by a user who made it, and never moves by itself. So a task
 * that mounts one goes to its host or waits for that host; its data is never left behind for an empty directory elsewhere.
 */
import {
  DISK,
  VOLUME_SIZES_NOT_ENFORCED,
  jobKey,
  volumeNameOf,
  type HostId,
  type JobSpec,
  type ProjectName,
  type VolumeState,
} from "@berth/schema";
import { allocationsOn } from "./allocations-on.ts";
import { addResources } from "./feasibility.ts";
import type { RequestClass } from "./request-class.ts";
import type { ClusterState, MutableState } from "./state.ts";

/** `project/name`: unique in a cluster, as long as it is there. */
export type VolumeKey = string;

export interface VolumeRecord {
  readonly key: VolumeKey;
  readonly project: ProjectName;
  readonly name: string;
  /** Sequence of the record that made it. */
  readonly generation: number;
  /** May be a host that is no longer one of the cluster. */
  readonly hostId: HostId;
  readonly sizeBytes: number;
  readonly readOnly: boolean;
  readonly state: VolumeState;
  readonly from: string | null;
  readonly createdAtMs: number;
  readonly createdBy: string;
}

/** What one task does with one volume. */
export interface VolumeUse {
  readonly key: VolumeKey;
  readonly name: string;
  readonly sizeBytes: number;
  readonly writes: boolean;
  /** Others may write it at the same time. */
  readonly shared: boolean;
}

type Mounting = Pick<JobSpec, "project" | "volumes">;

/** The task that would mount them. What it has left on a lost host stands in nobody's way. */
export interface Mounter {
  readonly spec: JobSpec;
  readonly index: number;
}

export const volumeKey = (project: ProjectName, name: string): VolumeKey => `${project}/${name}`;
export const volumeIdOf = ({ project, name, generation }: VolumeRecord): string => `${project}.${name}.${generation}`;

const NO_USES: readonly VolumeUse[] = [];

export const mountsVolumes = ({ volumes }: Pick<JobSpec, "volumes">): boolean =>
  volumes.some((volume) => "volume" in volume);

/** The volumes that a task mounts, in the order of its spec. */
export const usesOf = ({ project, volumes }: Mounting, index: number): readonly VolumeUse[] => {
  if (!mountsVolumes({ volumes })) return NO_USES;
  return volumes.flatMap((volume) => {
    if (!("volume" in volume)) return [];
    const name = volumeNameOf(volume.volume, index);
    const { readOnly, shared, sizeBytes } = volume;
    return [{ key: volumeKey(project, name), name, sizeBytes, writes: !readOnly, shared }];
  });
};

/** What this task does with that volume. */
export const volumeUseOf = (spec: Mounting, index: number, key: VolumeKey): VolumeUse | undefined =>
  usesOf(spec, index).find((use) => use.key === key);

/** What a plan that is being made has given to tasks already. */
export interface PlannedVolumes {
  readonly hostOf: (key: VolumeKey) => HostId | undefined;
  readonly usesOf: (key: VolumeKey) => readonly VolumeUse[];
}

export type VolumeSight =
  /** None of them has a place yet. `newBytes`: what they will book, wherever that is. */
  | { readonly kind: "anywhere"; readonly newBytes: number }
  | { readonly kind: "host"; readonly hostId: HostId; readonly name: string; readonly newBytes: number }
  | { readonly kind: "nowhere"; readonly name: string; readonly why: string };

/** At most one writer at a time, unless every writer shares. Readers may always come along. */
const clashes = (one: VolumeUse, other: VolumeUse): boolean =>
  one.writes && other.writes && !(one.shared && other.shared);

/** Who writes it now such that `use` must wait, by the name of its task. */
const writerBeside = (
  state: ClusterState,
  hostId: HostId,
  use: VolumeUse,
  { index, spec }: Mounter,
): string | undefined => {
  if (!use.writes) return undefined;
  for (const allocation of allocationsOn(state, hostId)) {
    if (!mountsVolumes(allocation.spec)) continue;
    if (allocation.index === index && allocation.key === jobKey(spec.project, spec.name)) continue;
    const others = usesOf(allocation.spec, allocation.index);
    if (others.some((other) => other.key === use.key && clashes(use, other)))
      return `${allocation.job}[${allocation.index}]`;
  }
  return undefined;
};

/** A copy of it that is under way: whoever writes it now would change that one, whoever removes it would break it. */
export const copyOf = (state: ClusterState, project: ProjectName, name: string): VolumeRecord | undefined => {
  for (const volume of state.volumes.values()) {
    if (volume.state === "filling" && volume.from === name && volume.project === project) return volume;
  }
  return undefined;
};

/** Something may be in it: an empty one in its place would be a loss. */
export const mustExist = ({ state }: VolumeRecord): boolean => state !== "new";

/** What its host is to let it hold at most; nothing where the host cannot. */
export const limitOf = (state: ClusterState, { hostId, sizeBytes }: VolumeRecord): { readonly sizeBytes?: number } => {
  const inventory = state.hosts.get(hostId)?.inventory ?? null;
  if (sizeBytes === 0 || inventory === null || inventory.notEnforced.includes(VOLUME_SIZES_NOT_ENFORCED)) return {};
  return { sizeBytes };
};

const whyNot = (state: ClusterState, planned: PlannedVolumes, use: VolumeUse, mounter: Mounter): string | undefined => {
  const known = state.volumes.get(use.key);
  if (known?.state === "removing") return "it is being removed";
  if (known?.state === "filling") return "its content is still being copied";
  if (known?.readOnly === true && use.writes) return "it is a snapshot, to be mounted with readOnly: true";
  if (known !== undefined && !state.hosts.has(known.hostId)) {
    return `its data was on ${known.hostId}, which is no longer a host; berth volume rm ${use.name} gives it up`;
  }
  if (planned.usesOf(use.key).some((other) => clashes(use, other))) return "another task is about to write it";
  if (use.writes && copyOf(state, mounter.spec.project, use.name) !== undefined) return "it is being copied";
  const writer = known === undefined ? undefined : writerBeside(state, known.hostId, use, mounter);
  return writer === undefined ? undefined : `${writer} writes it, and does not share it`;
};

/** Where a task that mounts these may go. Asked before its room is. */
export const sightOfVolumes = (state: ClusterState, planned: PlannedVolumes, mounter: Mounter): VolumeSight => {
  let newBytes = 0;
  let bound: { readonly hostId: HostId; readonly name: string } | undefined;
  for (const use of usesOf(mounter.spec, mounter.index)) {
    const why = whyNot(state, planned, use, mounter);
    if (why !== undefined) return { kind: "nowhere", name: use.name, why };
    const hostId = state.volumes.get(use.key)?.hostId ?? planned.hostOf(use.key);
    if (hostId === undefined) newBytes += use.sizeBytes;
    else if (bound !== undefined && bound.hostId !== hostId) {
      const there = `it is on ${hostId}, and the volume ${bound.name} on ${bound.hostId}`;
      return { kind: "nowhere", name: use.name, why: there };
    } else bound ??= { hostId, name: use.name };
  }
  return bound === undefined ? { kind: "anywhere", newBytes } : { kind: "host", ...bound, newBytes };
};

interface Widened {
  readonly width: number;
  readonly byBytes: Map<number, RequestClass>;
}
const widened = new WeakMap<RequestClass, Widened>();
const MAX_WIDENED = 64;

/** The class of a task together with what its new volumes will book. The same one for the same question. */
export const withDisk = (
  state: MutableState,
  requestClass: RequestClass,
  spec: JobSpec,
  newBytes: number,
): RequestClass => {
  if (newBytes === 0) return requestClass;
  const width = state.dimensions.length;
  let known = widened.get(requestClass);
  if (known?.width !== width) widened.set(requestClass, (known = { width, byBytes: new Map() }));
  const made =
    known.byBytes.get(newBytes) ??
    state.classes.passing(state.dimensions, {
      ...spec,
      requests: addResources(spec.requests, diskOf(newBytes), 1),
    });
  if (known.byBytes.size < MAX_WIDENED) known.byBytes.set(newBytes, made);
  return made;
};

export const diskOf = (bytes: number) => ({
  cpuMillis: 0,
  memoryBytes: 0,
  pids: 0,
  ...(bytes === 0 ? {} : { more: { [DISK]: bytes } }),
});

/** Books (1) or frees (-1) what a volume takes of its host, as long as that is one of the cluster. */
export const bookVolume = (state: MutableState, volume: VolumeRecord, sign: 1 | -1): void => {
  const host = state.hosts.get(volume.hostId);
  if (host === undefined || volume.sizeBytes === 0) return;
  state.index.book(host.slot, sizeClass(state, volume), sign);
};

/** For what is booked and never asked about. */
export const sizeClass = (state: MutableState, { project, sizeBytes }: Pick<VolumeRecord, "project" | "sizeBytes">) =>
  state.classes.passing(state.dimensions, { project, name: "" as JobSpec["name"], requests: diskOf(sizeBytes) });

/** Those of one host, whether it is one of the cluster or was. */
export const volumesOn = (state: ClusterState, hostId: HostId): VolumeRecord[] =>
  state.volumes.size === 0 ? [] : [...state.volumes.values()].filter((volume) => volume.hostId === hostId);
