/** Keeps the values of secrets from whoever has only the log, and gives each to one host. */
import type { Sealed } from "@berth/schema";

export interface Vault {
  /** For the log. `digest` is the same for the same value of this secret, and tells nothing without the key. */
  readonly encrypt: (key: string, value: Uint8Array) => { readonly encrypted: string; readonly digest: string };
  /** Throws when it was not encrypted for this secret, with the key of this cluster. */
  readonly decrypt: (key: string, encrypted: string) => Uint8Array;
  /** What only the host with this sealing key can open, and only as this secret. Throws when it is no key. */
  readonly seal: (to: { readonly host: string; readonly sealingKey: string }, key: string, value: Uint8Array) => Sealed;
}
