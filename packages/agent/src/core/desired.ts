/** Looking things up in a desired document, which may be absent. */
import type { AllocationId, DesiredAllocation, DesiredDocument, JobSpec } from "@berth/schema";

export const allocationIn = (document: DesiredDocument | undefined, id: AllocationId): DesiredAllocation | undefined =>
  document?.allocations.find((allocation) => allocation.id === id);

/** Undefined as well when the document lacks it. */
export const specIn = (
  document: DesiredDocument | undefined,
  allocation: DesiredAllocation | undefined,
): JobSpec | undefined =>
  allocation === undefined || document === undefined || !Object.hasOwn(document.specs, allocation.spec)
    ? undefined
    : document.specs[allocation.spec];
