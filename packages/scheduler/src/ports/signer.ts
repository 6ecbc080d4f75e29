/** The cluster key: whatever an agent may believe is signed with it. */
import type { Signed } from "@berth/schema";

export interface Signer {
  readonly sign: (value: unknown) => Signed;
  /** The public half (SPKI, PEM), which an agent gets when it is admitted. */
  readonly publicKey: string;
}
