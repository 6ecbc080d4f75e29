/**
 * What the agent remembers across its own death. Writes of one record happen in the order of the calls. `durable` means
 * that a power cut after the promise resolved cannot undo it; otherwise only a kill of the agent cannot.
 */
import type { AllocationId, Signed } from "@berth/schema";
import type { Version } from "../core/accept.ts";
import type { AllocationRecord } from "../core/record.ts";

export interface LoadedDesired {
  /** The last document, as it was signed; undefined when there is none that can be read. */
  readonly document: Signed | undefined;
  /** Documents older than this were already replaced once. */
  readonly floor: Version;
  /** The highest epoch that a signed message has shown. */
  readonly fence: number;
}

export interface LoadedRecords {
  readonly records: readonly AllocationRecord[];
  /** Allocations that have files here, but whose record cannot be read: they may have run. */
  readonly unreadable: readonly AllocationId[];
}

export interface Journal {
  readonly loadDesired: () => Promise<LoadedDesired>;
  readonly saveDesired: (document: Signed, version: Version) => Promise<void>;
  readonly saveFence: (epoch: number) => Promise<void>;
  readonly loadRecords: () => Promise<LoadedRecords>;
  readonly saveRecord: (record: AllocationRecord, options: { readonly durable: boolean }) => Promise<void>;
  /** Forgets the allocation with everything that is kept of it. */
  readonly forget: (id: AllocationId) => Promise<void>;
}
