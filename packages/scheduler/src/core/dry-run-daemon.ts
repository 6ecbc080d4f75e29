/** What running a daemon would do now: it is submitted to a copy of the state, and planned there. */
import type { HostId, JobSpec, LogRecord, PlanView } from "@berth/schema";
import { explainTask } from "./explain.ts";
import { explainPlanned, keyOf, plannedOf } from "./planned-task.ts";
import { copyOf, suppose } from "./hypothesis.ts";
import { planOn, type PlanBounds, type PlanEnv } from "./plan.ts";
import type { ClusterState, MutableJob } from "./state.ts";
import { tentatively } from "./tentative.ts";

type TaskPlan = PlanView["tasks"][number];

interface DaemonPlan {
  /** The first of them, each explained. */
  readonly tasks: readonly TaskPlan[];
  readonly total: number;
  readonly hostsUsed: ReadonlySet<HostId>;
}

/** `version` is the one that it would have. Costs a copy of the state: its tasks follow from hosts and what runs on them. */
export const planDaemon = (
  state: ClusterState,
  spec: JobSpec,
  version: number,
  env: PlanEnv,
  bounds: PlanBounds,
  most: number,
): DaemonPlan => {
  const copy = copyOf(state, env.nowMs);
  const about = { by: "plan", idempotencyKey: null, requestDigest: "" };
  const record: LogRecord = { kind: "job_submitted", spec, jobVersion: version, ...about };
  suppose(copy, [record], env.nowMs);
  const job = copy.jobs.get(`${spec.project}/${spec.name}` as MutableJob["key"]);
  if (job === undefined) return { tasks: [], total: 0, hostsUsed: new Set() };
  return tentatively(copy.index, (tentative) =>
    planOn(copy, tentative, env, bounds, ({ records }, serving) => {
      const planned = new Map(
        records
          .map(plannedOf)
          .filter((one) => one !== null)
          .filter((one) => keyOf(one) === job.key)
          .map((one) => [one.index, one] as const),
      );
      const tasks = job.tasks.slice(0, most).map((task): TaskPlan => {
        const one = planned.get(task.index);
        const { outcome, sentence } =
          one === undefined
            ? explainTask(copy, tentative, job, task, env.nowMs, serving)
            : explainPlanned(copy, job, one, env.images);
        return { index: task.index, sentence, outcome };
      });
      return { tasks, total: job.tasks.length, hostsUsed: new Set([...planned.values()].map(({ hostId }) => hostId)) };
    }),
  );
};
