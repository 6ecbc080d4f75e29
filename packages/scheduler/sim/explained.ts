/** What `why` says of what waits, after a plan that left nothing to do. */
import type { AllocationId } from "@berth/schema";
import { why, whyNot, type ClusterState } from "../src/core/index.ts";
import { isGivenUp } from "../src/core/patience.ts";

/**
 * Every task that wants a place must be said to be held or blocked, never placeable; and of one that is blocked nobody may
 * hear of a host, asked for by name, that it could take it.
 */
export const unexplained = (state: ClusterState, nowMs: number): string[] =>
  [...state.jobs.values()].flatMap((job) => {
    const wants = (active: AllocationId | null): boolean => active === null || isGivenUp(state, active);
    const task = job.tasks.find(({ status, active }) => status === "open" && wants(active));
    if (task === undefined || job.desired === "stop") return [];
    const answer = why(state, job.project, job.name, task.index, nowMs);
    if (answer.ok && answer.value.outcome.kind === "held") return [];
    if (!answer.ok || answer.value.outcome.kind !== "blocked")
      return [`why says of ${job.key}[${task.index}]: ${JSON.stringify(answer)}`];
    const said = new Set(answer.value.outcome.hosts.map(({ hostId }) => hostId));
    return [...state.hosts.keys()].flatMap((hostId) => {
      if (said.has(hostId)) return [];
      const one = whyNot(state, job.project, job.name, task.index, hostId, nowMs);
      // Asked of a daemon, the answer is of the task that it has there.
      return one.ok && one.value.index === task.index && one.value.score !== null
        ? [`why says that ${job.key}[${task.index}] is blocked, and why-not that ${hostId} could take it`]
        : [];
    });
  });
