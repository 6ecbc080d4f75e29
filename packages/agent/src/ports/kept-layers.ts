/** What ended containers have written over their images, kept for a while. */
import type { AllocationId } from "@berth/schema";

export interface KeptLayer {
  readonly allocation: AllocationId;
  readonly project: string;
  readonly job: string;
  readonly index: number;
  readonly image: string;
  /** What it was run with, for an image that is made of it. */
  readonly command: readonly string[];
  readonly workdir: string;
  readonly user: string;
  /** First of the ids that its files have on this host. */
  readonly idBase: number;
  readonly endedAtMs: number;
  /** Null until it was counted. */
  readonly sizeBytes: number | null;
}

export interface KeptLayers {
  /** Takes `writable` away from an ended container. False when there is nothing in it, or nothing is to be kept. */
  readonly keep: (layer: Omit<KeptLayer, "sizeBytes">, writable: string) => Promise<boolean>;
  readonly get: (id: AllocationId) => KeptLayer | undefined;
  /** The newest first. */
  readonly list: () => readonly KeptLayer[];
  readonly directory: (id: AllocationId) => string;
  /** It stays until what is returned is called, whatever its age; also what is only kept later. */
  readonly hold: (id: AllocationId) => () => void;
  readonly isHeld: (id: AllocationId) => boolean;
  /** False when it is not there, or somebody reads it. */
  readonly remove: (id: AllocationId) => Promise<boolean>;
  /** Counts what was not counted yet, and drops what is beyond the limits; resolves to what was dropped, when its room is free. */
  readonly drop: (nowMs: number, excessBytes: number) => Promise<readonly AllocationId[]>;
  /** What was kept since the last time survives the machine from now on. */
  readonly flush: () => Promise<void>;
}
