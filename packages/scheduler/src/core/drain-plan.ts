/** What draining a host would do, tried on a copy of the state: where each of its tasks would go as things are now. */
import { noResources, type DrainPlan, type HostId } from "@berth/schema";
import { toVector } from "./feasibility.ts";
import { imageOf, restoreImage, type ImageLine } from "./image.ts";
import { placeTask } from "./place-task.ts";
import { createState, inside, type ClusterState } from "./state.ts";
import { tentatively } from "./tentative.ts";

type Step = DrainPlan["steps"][number];

/** Costs a copy of the state: for an operator's question, not for a loop. */
export const drainPlan = (state: ClusterState, hostId: HostId, deadlineMs: number): DrainPlan => {
  const copy = createState();
  restoreImage(copy, JSON.parse(JSON.stringify([...imageOf(state)])) as ImageLine[]);
  const changed = inside(copy);
  const { allocations, dimensions, hosts, index, jobs } = changed;
  const host = hosts.get(hostId);
  if (host === undefined) return { host: hostId, deadlineMs, steps: [] };
  index.setHost(host.slot, toVector(dimensions, noResources()), false);
  const steps = tentatively(index, (tentative) =>
    [...host.allocations].sort().flatMap((id): Step[] => {
      const allocation = allocations.get(id);
      const job = allocation === undefined ? undefined : jobs.get(allocation.key);
      if (allocation === undefined || job === undefined || allocation.desired === "stop") return [];
      const task = { allocation: id, project: allocation.project, job: allocation.job, index: allocation.index };
      if (job.spec.kind === "batch" && deadlineMs > 0) return [{ ...task, kind: "finish", to: null }];
      const { requestClass, spec } = job;
      const wanting = { spec, requestClass, index: allocation.index };
      const { chosen } = placeTask(changed, tentative, wanting, "place");
      return [{ ...task, kind: chosen === undefined ? "wait" : "move", to: chosen?.hostId ?? null }];
    }),
  );
  return { host: hostId, deadlineMs, steps };
};
