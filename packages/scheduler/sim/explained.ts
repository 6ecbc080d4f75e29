/** What `why` says of what waits, after a plan that left nothing to do. */
import type { AllocationId } from "@berth/schema";
import { why, type ClusterState } from "../src/core/index.ts";
import { isGivenUp } from "../src/core/patience.ts";

/** Every task that wants a place must be said to be held or blocked, never placeable. */
export const unexplained = (state: ClusterState, nowMs: number): string[] =>
  [...state.jobs.values()].flatMap((job) => {
    const wants = (active: AllocationId | null): boolean => active === null || isGivenUp(state, active);
    const task = job.tasks.find(({ status, active }) => status === "open" && wants(active));
    if (task === undefined || job.desired === "stop") return [];
    const answer = why(state, job.project, job.name, task.index, nowMs);
    if (answer.ok && (answer.value.outcome.kind === "held" || answer.value.outcome.kind === "blocked")) return [];
    return [`why says of ${job.key}[${task.index}]: ${JSON.stringify(answer)}`];
  });
