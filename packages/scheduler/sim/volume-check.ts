/** Where volumes are and what they take of their hosts' disks, as the checker counts it, by itself. */
import { DISK, type JobSpec, type Placement, type Resources } from "@berth/schema";

interface Known {
  readonly hostId: string;
  readonly sizeBytes: number;
}

export interface VolumeCheck {
  /** A task is placed that mounts these; `allocatable`: what its host has in all. */
  readonly placed: (placement: Placement, spec: JobSpec, allocatable: Resources | null | undefined) => string[];
  readonly created: (name: string, volume: Known) => void;
  /** False when there is no such volume. */
  readonly removed: (name: string) => boolean;
}

export const createVolumeCheck = (): VolumeCheck => {
  /** By `project/name`, for as long as it is one. */
  const known = new Map<string, Known>();
  const diskOn = (hostId: string): number =>
    [...known.values()].reduce((sum, one) => (one.hostId === hostId ? sum + one.sizeBytes : sum), 0);
  return {
    created: (name, volume) => {
      known.set(name, volume);
    },
    removed: (name) => known.delete(name),
    placed: ({ project, job, index, hostId }, { volumes }, allocatable) => {
      const wrong: string[] = [];
      const task = `${project}/${job}[${index}]`;
      let newBytes = 0;
      for (const volume of volumes) {
        if (!("volume" in volume)) continue;
        const name = `${project}/${volume.volume.replace("${INDEX}", String(index))}`;
        const at = known.get(name)?.hostId;
        if (at !== undefined && at !== hostId) wrong.push(`${task} placed on ${hostId}, ${name} is on ${at}`);
        if (at !== undefined) continue;
        known.set(name, { hostId, sizeBytes: volume.sizeBytes });
        newBytes += volume.sizeBytes;
      }
      const [disk, all] = [diskOn(hostId), allocatable?.more?.[DISK] ?? 0];
      // Without a new one it does not grow, and may be over after the host has shrunk.
      if (newBytes > 0 && disk > all) wrong.push(`${hostId} disk: ${disk} of ${all} is booked by volumes of ${task}`);
      return wrong;
    },
  };
};
