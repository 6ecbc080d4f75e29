/** What draining a host would do, tried on a copy of the state: where each of its tasks would go as things are now. */
import type { DrainPlan, HostId } from "@berth/schema";
import { close, copyOf, lastingOn } from "./hypothesis.ts";
import { placeTask, wantingOf } from "./place-task.ts";
import type { ClusterState } from "./state.ts";
import { tentatively } from "./tentative.ts";

type Step = DrainPlan["steps"][number];

/** Costs a copy of the state: for an operator's question, not for a loop. */
export const drainPlan = (state: ClusterState, hostId: HostId, deadlineMs: number, nowMs: number): DrainPlan => {
  const copy = copyOf(state, nowMs);
  const host = copy.hosts.get(hostId);
  if (host === undefined) return { host: hostId, deadlineMs, steps: [] };
  close(copy, host);
  const steps = tentatively(copy.index, (tentative) =>
    lastingOn(copy, host).flatMap(({ id, key, project, job: name, index }): Step[] => {
      const job = copy.jobs.get(key);
      if (job === undefined) return [];
      const task = { allocation: id, project, job: name, index };
      if (job.spec.kind === "daemon") return [{ ...task, kind: "stop", to: null }];
      if (job.spec.kind === "batch" && deadlineMs > 0) return [{ ...task, kind: "finish", to: null }];
      const { chosen } = placeTask(copy, tentative, wantingOf(job, index, id), "place");
      return [{ ...task, kind: chosen === undefined ? "wait" : "move", to: chosen?.hostId ?? null }];
    }),
  );
  return { host: hostId, deadlineMs, steps };
};
