/** What stands on a host and has not ended, what is being stopped included; nothing on one that is not known. */
import type { AllocationId, HostId } from "@berth/schema";
import type { AllocationRecord, HostRecord } from "./state.ts";

export const allocationsOn = <A extends AllocationRecord>(
  state: {
    readonly hosts: ReadonlyMap<HostId, Pick<HostRecord, "allocations">>;
    readonly allocations: ReadonlyMap<AllocationId, A>;
  },
  hostId: HostId,
): A[] => {
  const found: A[] = [];
  for (const id of state.hosts.get(hostId)?.allocations ?? []) {
    const allocation = state.allocations.get(id);
    if (allocation !== undefined) found.push(allocation);
  }
  return found;
};
