/** What a plan does for a task, said as an explanation. */
import { jobKey, taskName, type AllocationId, type JobKey, type LogRecord } from "@berth/schema";
import type { ImageSight } from "./image-start.ts";
import { explainChosen, preemptsSentence, type Explained } from "./sentences.ts";
import type { MutableJob, MutableState } from "./state.ts";
import { victimOf } from "./victims.ts";

/** What a record of a plan does for a task. */
export const plannedOf = (record: LogRecord) =>
  record.kind === "allocation_placed" ? record.placement : record.kind === "room_reserved" ? record : null;
export type PlannedTask = NonNullable<ReturnType<typeof plannedOf>>;
export const keyOf = ({ job, project }: PlannedTask): JobKey => jobKey(project, job);

export const explainPlanned = (
  state: MutableState,
  job: MutableJob,
  one: PlannedTask,
  images: ImageSight | undefined,
): Explained => {
  const subject = `${job.project}/${taskName(job.name, one.index)}`;
  const { hostId } = one;
  if ("score" in one) {
    const image = images?.of(job.spec.image)?.startOn(hostId);
    const placed = explainChosen(subject, { hostId, score: one.score, runnersUp: [], image });
    const lost = one.replaces === null ? "" : `, because ${silentHost(state, one.replaces)}`;
    return { ...placed, sentence: `${placed.sentence}${lost}` };
  }
  const victims = one.victims.map((id) => victimOf(state, id)).filter((victim) => victim !== undefined);
  return { sentence: preemptsSentence(subject, hostId, victims), outcome: { kind: "preempts", hostId, victims } };
};

const silentHost = (state: MutableState, id: AllocationId): string => {
  const hostId = state.allocations.get(id)?.hostId;
  return `${hostId} is ${hostId === undefined ? "lost" : state.hosts.get(hostId)?.state}`;
};
