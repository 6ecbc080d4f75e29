/** Why a task is not on a certain host: what that host lacks, or how much worse it scores than the one that was chosen. */
import {
  err,
  jobKey,
  ok,
  problem,
  taskName,
  type HostId,
  type HostRejection,
  type JobName,
  type Problem,
  type ProjectName,
  type Result,
  type ScoreBreakdown,
  type WhyNot,
} from "@berth/schema";
import { withoutPromises, type Promised } from "./backfill.ts";
import { whyNoneOn } from "./daemons.ts";
import { AHEAD, explainLeft, noIds, refusalAt, taskAt, waits } from "./explain.ts";
import { keptFrom } from "./explain-policy.ts";
import type { ImageSight } from "./image-start.ts";
import { placeTask, setAside, wantingOf } from "./place-task.ts";
import { planOn } from "./plan.ts";
import { servedBefore } from "./queue-place.ts";
import { rejectionPhrase } from "./sentences.ts";
import { inside, type ClusterState, type MutableJob, type MutableState } from "./state.ts";
import { tentatively, type Tentative } from "./tentative.ts";
import { scoreOf } from "./kept-score.ts";

interface Asked {
  readonly state: MutableState;
  readonly job: MutableJob;
  readonly index: number;
  readonly slot: number;
  readonly nowMs: number;
}

type Answer =
  | { readonly refusal: HostRejection; readonly score: null }
  | { readonly refusal: null; readonly score: ScoreBreakdown };

const askHost = (
  { state, job, index, slot, nowMs }: Asked,
  tentative: Tentative,
  promised: readonly Promised[],
): Answer => {
  const wanting = wantingOf(job, index);
  const kept = keptFrom(state, promised, wanting, nowMs).find(({ hostId }) => hostId === state.index.idOf(slot));
  const { asked, sight } = placeTask(state, tentative, wanting, "look");
  return withoutPromises(tentative, promised, () => {
    setAside(state, tentative, wanting.previous);
    const refusal = refusalAt(state, slot, asked, sight) ?? kept;
    return refusal === undefined
      ? { refusal: null, score: state.index.explain(slot, asked, tentative.images?.of(job.spec.image)) }
      : { refusal, score: null };
  });
};

/**
 * Looks at the host as it is now, after what is queued before the task: its room may have been another when the task was
 * placed. Room that is promised to somebody else is there and not for this task.
 */
export const whyNot = (
  clusterState: ClusterState,
  project: ProjectName,
  name: JobName,
  asked: number,
  hostId: HostId,
  nowMs: number,
  images?: ImageSight,
): Result<WhyNot, Problem> => {
  const state = inside(clusterState);
  const host = state.hosts.get(hostId);
  // A daemon has a task for every host that may have one.
  const daemon = state.jobs.get(jobKey(project, name));
  const none = daemon === undefined || host === undefined ? undefined : whyNoneOn(state, daemon, host);
  if (none !== undefined) {
    const sentence = `${none}, so ${project}/${name} has no task there`;
    return ok({ project, job: name, index: asked, host: hostId, sentence, refusal: null, score: null, chosen: null });
  }
  const found = taskAt(state, project, name, daemon?.daemon?.places.get(hostId) ?? asked);
  if (!found.ok) return found;
  const { job, task } = found.value;
  const { index } = task;
  if (host === undefined || host.capacity === null) {
    return err(problem("host.not_found", `there is no host ${hostId} that has said what it has; see berth hosts`));
  }
  const subject = `${project}/${taskName(name, index)}`;
  const active = task.active === null ? undefined : state.allocations.get(task.active);
  const head = { project, job: name, index, host: hostId };
  if (active?.hostId === hostId) {
    return ok({ ...head, sentence: `${subject} is on ${hostId}`, refusal: null, score: scoreOf(active), chosen: null });
  }
  const left = task.hostId === hostId ? explainLeft(state, job, subject, index) : undefined;
  if (left !== undefined) return ok({ ...head, sentence: left.sentence, refusal: null, score: null, chosen: null });
  const chosen = active === undefined ? null : { hostId: active.hostId, score: scoreOf(active) };
  const isFirst = servedBefore(state, job, nowMs);
  // Of a task that waits it matters what goes before it; beside one that is placed everything may.
  const isWaiting = waits(state, job, task);
  const isAhead = (other: MutableJob): boolean => !isWaiting || (other !== job && isFirst(other) > 0);
  const question = { state, job, index, slot: host.slot, nowMs };
  const { refusal, score } = tentatively(state.index, (tentative) =>
    planOn(
      state,
      tentative,
      { nowMs, makeAllocationId: noIds, images },
      { ...AHEAD, isAhead },
      (_planned, { promised }) => askHost(question, tentative, promised),
    ),
  );
  if (refusal !== null) {
    const sentence = `${rejectionPhrase(refusal)}, so it cannot take ${subject} now`;
    return ok({ ...head, sentence, refusal, score: null, chosen });
  }
  const share = (total: number): string => total.toFixed(3);
  const sentence =
    chosen === null
      ? `${hostId} could take ${subject} now, with a score of ${share(score.total)}`
      : `${hostId} could take ${subject} now, with a score of ${share(score.total)}; ` +
        `${chosen.hostId} was chosen with ${share(chosen.score.total)}`;
  return ok({ ...head, sentence, refusal: null, score, chosen });
};
