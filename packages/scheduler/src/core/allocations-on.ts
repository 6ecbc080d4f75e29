/** What stands on a host and has not ended, what is being stopped included; nothing on one that is not known. */
import type { AllocationId, HostId } from "@berth/schema";

export const allocationsOn = <A>(
  state: { readonly hosts: ReadonlyMap<HostId, { readonly allocations: readonly A[] }> },
  hostId: HostId,
): readonly A[] => state.hosts.get(hostId)?.allocations ?? [];

export const byId = (left: { readonly id: AllocationId }, right: { readonly id: AllocationId }): number =>
  left.id < right.id ? -1 : 1;
