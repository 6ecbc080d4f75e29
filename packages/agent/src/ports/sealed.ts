/** What the scheduler has sealed for this host alone. */
import type { Sealed } from "@berth/schema";

export interface SealedSecrets {
  /** For the scheduler: what it seals to. */
  readonly sealingKey: string;
  /** Undefined when it was sealed for another host or as another secret, or is damaged. */
  readonly open: (key: string, sealed: Sealed) => Uint8Array | undefined;
}
