/** What the agent reads of its host while it runs. Cheap: a few small files, no processes. */
import type { HostUsage, Pressure } from "@berth/schema";

export interface HostSample {
  readonly usage: HostUsage;
  readonly pressure: Pressure | null;
}

export interface HostProbe {
  /** Use since the last call. */
  readonly sample: () => HostSample;
  /** The first host id of the user namespace of this process; undefined when it cannot be read. */
  readonly idBaseOf: (pid: number) => number | undefined;
  /** How long this process has existed, by a clock that nobody can set; undefined when it cannot be read. */
  readonly ageMsOf: (pid: number) => number | undefined;
}

/** Whether bytes come from the holder of the cluster key. */
export interface Verifier {
  /** The signed text, or undefined when the signature does not fit. */
  readonly verify: (signed: { readonly payload: string; readonly signature: string }) => string | undefined;
}
