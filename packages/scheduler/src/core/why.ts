/** The answer to `why`: where a task is or what keeps it from a place, what it could have now, and where none of a daemon is. */
import { ok, type Candidate, type JobName, type Problem, type ProjectName, type Result, type Why } from "@berth/schema";
import { lackingHosts } from "./daemon-hosts.ts";
import { explainTask, explainWaiting, RUNNERS_UP, taskAt, waits } from "./explain.ts";
import type { ImageSight } from "./image-start.ts";
import { placeTask, wantingOf } from "./place-task.ts";
import { queuePlace } from "./queue-place.ts";
import { inside, type ClusterState, type MutableJob, type MutableState, type TaskRecord } from "./state.ts";
import { tentatively, type Tentative } from "./tentative.ts";

/**
 * The best hosts for an attempt that has one, on the room and the rules of now with its own given back: what it scored when
 * it was placed says nothing of the others, which have changed since. Costs as much as one placement.
 */
const placedNow = (
  state: MutableState,
  tentative: Tentative,
  job: MutableJob,
  { active, index }: TaskRecord,
): readonly Candidate[] | undefined => {
  const allocation = active === null ? undefined : state.allocations.get(active);
  const host = allocation === undefined ? undefined : state.hosts.get(allocation.hostId);
  const isOld = job.desired === "stop" || allocation?.jobVersion !== job.version;
  if (allocation === undefined || host === undefined || isOld) return undefined;
  const { chosen } = placeTask(state, tentative, wantingOf(job, index), "look", RUNNERS_UP);
  return chosen === undefined ? [] : [{ hostId: chosen.hostId, score: chosen.score }, ...chosen.runnersUp];
};

/** Why this task is placed, held, blocked or over, with every host's first failing check when it is blocked. */
export const why = (
  clusterState: ClusterState,
  project: ProjectName,
  name: JobName,
  index: number,
  nowMs: number,
  images?: ImageSight,
): Result<Why, Problem> => {
  const state = inside(clusterState);
  const found = taskAt(state, project, name, index);
  if (!found.ok) return found;
  const { job, task } = found.value;
  const isWaiting = waits(state, job, task);
  state.index.setNow(nowMs);
  const { sentence, outcome } = tentatively(state.index, (tentative) =>
    isWaiting
      ? explainWaiting(state, tentative, job, task, nowMs, images)
      : explainTask(state, tentative, job, task, nowMs),
  );
  const queue = isWaiting ? queuePlace(state, job, nowMs) : undefined;
  const now = isWaiting
    ? undefined
    : tentatively(state.index, (tentative) => {
        tentative.images = images;
        return placedNow(state, tentative, job, task);
      });
  const lacking = lackingHosts(state, job, nowMs);
  const more = {
    ...(queue !== undefined && { queue }),
    ...(now !== undefined && { now: [...now] }),
    ...(lacking !== undefined && { lacking }),
  };
  return ok({ project, job: name, index, sentence, outcome, ...more });
};
