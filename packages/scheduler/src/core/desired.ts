/** The desired document of one host, derived from the state: everything that has not ended there, to run or to stop. */
import type { DesiredAllocation, DesiredDocument, HostId, JobSpec } from "@berth/schema";
import { byId } from "./allocations-on.ts";
import { manifestOf } from "./image-names.ts";
import type { AllocationRecord, ClusterState } from "./state.ts";
import { limitOf, mustExist, usesOf, volumeIdOf } from "./volumes.ts";

/** Bound when it was placed, so all of them are there, until somebody removes one whose task has ended. */
const volumesOf = (state: ClusterState, { index, spec }: AllocationRecord): Pick<DesiredAllocation, "volumes"> => {
  const volumes = usesOf(spec, index).flatMap(({ key, name }) => {
    const volume = state.volumes.get(key);
    if (volume === undefined) return [];
    return [{ name, id: volumeIdOf(volume), mustExist: mustExist(volume), ...limitOf(state, volume) }];
  });
  return volumes.length === 0 ? {} : { volumes };
};

const imageOf = (state: ClusterState, { spec }: AllocationRecord): Pick<DesiredAllocation, "manifest"> => {
  const manifest = manifestOf(state, spec.image);
  return manifest === undefined ? {} : { manifest };
};

/** Allocations are sorted by id, so equal states make equal documents. Unknown hosts get an empty one. */
export const desiredFor = (state: ClusterState, hostId: HostId): DesiredDocument => {
  const host = state.hosts.get(hostId);
  const specs: Record<string, JobSpec> = {};
  const allocations: DesiredAllocation[] = [];
  for (const allocation of [...(host?.allocations ?? [])].sort(byId)) {
    // An agent that knows no secrets cannot read a document that speaks of them: the task waits until it does.
    if (host?.sealingKey === null && (allocation.spec.secrets ?? []).length > 0) continue;
    const spec = `${allocation.key}@${allocation.jobVersion}`;
    specs[spec] = allocation.spec;
    allocations.push({
      id: allocation.id,
      project: allocation.project,
      job: allocation.job,
      jobVersion: allocation.jobVersion,
      index: allocation.index,
      attempt: allocation.attempt,
      epoch: allocation.epoch,
      desired: allocation.desired,
      spec,
      ...(allocation.devices !== undefined && { devices: [...allocation.devices] }),
      ...(allocation.ports !== undefined && { ports: [...allocation.ports] }),
      ...volumesOf(state, allocation),
      ...imageOf(state, allocation),
    });
  }
  return { version: 1, host: hostId, epoch: state.epoch, rev: host?.desiredRev ?? 0, specs, allocations };
};
