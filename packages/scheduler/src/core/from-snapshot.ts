/** Jobs that start from a snapshot: the one that it was taken of, in a new version, and clones of it. Changes nothing. */
import {
  err,
  jobKey,
  ok,
  problem,
  snapshotImage,
  type JobSpec,
  type Problem,
  type Result,
  type SnapshotClone,
  volumeNameOf,
  type SnapshotId,
} from "@berth/schema";
import type { ClusterState, JobRecord } from "./state.ts";

const refused = (detail: string): Result<never, Problem> => err(problem("request.invalid", detail));

/**
 * A clone's one task is number 0 of 1, and goes on as the one that it was taken of all the same: with the command, the
 * environment and the volumes that this one had.
 */
const asTask = (spec: JobSpec, index: number): Pick<JobSpec, "command" | "env" | "volumes"> => {
  const numbered = (text: string): string =>
    text.replaceAll("${INDEX}", String(index)).replaceAll("${COUNT}", String(spec.count));
  return {
    command: spec.command.map(numbered),
    env: Object.fromEntries(Object.entries(spec.env).map(([name, value]) => [name, numbered(value)])),
    volumes: spec.volumes.map((mount) =>
      "volume" in mount ? { ...mount, volume: volumeNameOf(mount.volume, index) } : mount,
    ),
  };
};

/** `clone` null: the job itself. */
export const specFromSnapshot = (
  state: ClusterState,
  id: SnapshotId,
  clone: SnapshotClone | null,
): Result<JobSpec, Problem> => {
  const { index, job, project } = id;
  const record = state.jobs.get(jobKey(project, job));
  if (record === undefined) {
    const detail = `there is no job ${project}/${job} any more; a snapshot is an image, so any job can name ${snapshotImage(id)}`;
    return err(problem("job.not_found", detail));
  }
  const { spec } = record;
  const image = snapshotImage(id);
  if (clone === null) {
    if (spec.kind === "daemon")
      return refused(`${job} has one task for each host and this is a snapshot of ${job}[${index}] alone: clone it`);
    if (spec.count === 1 && index === 0) return ok({ ...spec, image });
    if (spec.count === 1) return refused(`${job} has one task and this is a snapshot of ${job}[${index}]: clone it`);
    return refused(`${job} has ${spec.count} tasks and this is a snapshot of ${job}[${index}] alone: clone it`);
  }
  if (clone.job === job) return refused(`body/job: ${job} is the job that it was taken of: restore it`);
  if (spec.volumes.length > 0 && clone.volumes === undefined) {
    const what = spec.volumes.map((mount) => ("source" in mount ? mount.source : mount.volume)).join(", ");
    return refused(
      `body/volumes: ${job} mounts ${what}: say "same" for a clone that mounts them too, "none" for one without`,
    );
  }
  const { disruption: _disruption, gangMin: _gang, ...alone } = spec;
  const task = asTask(spec, index);
  return ok({
    ...alone,
    ...task,
    name: clone.job,
    image,
    // One task of a daemon is none any more: it has a choice of hosts, and runs once.
    kind: spec.kind === "daemon" ? "service" : spec.kind,
    count: 1,
    maxRunning: null,
    volumes: clone.volumes === "none" ? [] : task.volumes,
  });
};

/** The first job that has not finished and starts from it. */
export const startsFrom = (state: ClusterState, image: string): JobRecord | undefined =>
  [...state.jobs.values()].find((job) => job.finishedAtMs === null && job.spec.image === image);
