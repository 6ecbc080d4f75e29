/** Why a task is not on a certain host: what that host lacks, or how much worse it scores than the one that was chosen. */
import {
  err,
  ok,
  problem,
  taskName,
  type HostId,
  type JobName,
  type Problem,
  type ProjectName,
  type Result,
  type WhyNot,
} from "@berth/schema";
import { refusalAt, taskAt } from "./explain.ts";
import { rejectionPhrase } from "./sentences.ts";
import { inside, type ClusterState } from "./state.ts";

/** Looks at the host as it is now: its room may have been another when the task was placed. */
export const whyNot = (
  clusterState: ClusterState,
  project: ProjectName,
  name: JobName,
  index: number,
  hostId: HostId,
): Result<WhyNot, Problem> => {
  const state = inside(clusterState);
  const found = taskAt(state, project, name, index);
  if (!found.ok) return found;
  const { job, task } = found.value;
  const host = state.hosts.get(hostId);
  if (host === undefined || host.capacity === null) {
    return err(problem("host.not_found", `there is no host ${hostId} that has said what it has; see berth hosts`));
  }
  const subject = `${project}/${taskName(name, index)}`;
  const active = task.active === null ? undefined : state.allocations.get(task.active);
  const head = { project, job: name, index, host: hostId };
  if (active?.hostId === hostId) {
    return ok({ ...head, sentence: `${subject} is on ${hostId}`, refusal: null, score: active.score, chosen: null });
  }
  const refusal = refusalAt(state, host.slot, job.requestClass);
  const chosen = active === undefined ? null : { hostId: active.hostId, score: active.score };
  if (refusal !== undefined) {
    const sentence = `${rejectionPhrase(refusal)}, so it cannot take ${subject} now`;
    return ok({ ...head, sentence, refusal, score: null, chosen });
  }
  const score = state.index.explain(host.slot, job.requestClass);
  const share = (total: number): string => total.toFixed(3);
  const sentence =
    chosen === null
      ? `${hostId} could take ${subject} now, with a score of ${share(score.total)}`
      : `${hostId} could take ${subject} now, with a score of ${share(score.total)}; ` +
        `${chosen.hostId} was chosen with ${share(chosen.score.total)}`;
  return ok({ ...head, sentence, refusal: null, score, chosen });
};
