/** The live feed for somebody who sees some projects only: what belongs to others is left out of every message. */
import type { AllocationId, ProjectName, WatchMessage } from "@berth/schema";

export type Sees = (project: ProjectName) => boolean;

/** Ids of allocations that are gone stay: they say nothing. */
export const scoped = (
  message: WatchMessage,
  sees: Sees,
  projectOf: (id: AllocationId) => ProjectName | undefined,
): WatchMessage => {
  const seen = (one: { readonly project: ProjectName }): boolean => sees(one.project);
  switch (message.kind) {
    case "snapshot":
      return { ...message, jobs: message.jobs.filter(seen), allocations: message.allocations.filter(seen) };
    case "delta":
      return {
        ...message,
        jobs: message.jobs.filter(seen),
        allocations: message.allocations.filter(seen),
        removed: { ...message.removed, jobs: message.removed.jobs.filter(seen) },
      };
    case "usage": {
      const mine = Object.entries(message.allocations).filter(([id]) => {
        const project = projectOf(id as AllocationId);
        return project !== undefined && sees(project);
      });
      return { ...message, allocations: Object.fromEntries(mine) };
    }
    case "ping":
      return message;
  }
};
