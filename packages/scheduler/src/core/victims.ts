/** Those who are, or would be, stopped for somebody more important, as they are shown. */
import { formatPriority, type AllocationId, type Victim } from "@berth/schema";
import type { MutableState } from "./state.ts";

export const victimOf = (state: MutableState, id: AllocationId): Victim | undefined => {
  const allocation = state.allocations.get(id);
  if (allocation === undefined) return undefined;
  const { project, job, index, spec } = allocation;
  return { id, project, job, index, priority: formatPriority(spec) };
};
