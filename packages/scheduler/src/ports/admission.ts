/** Who may connect to the bus. */
import type { HostId } from "@berth/schema";

export interface AdmittedHost {
  readonly id: HostId;
  readonly publicKey: string;
}

export interface Admission {
  /** Lets exactly these hosts connect. Resolves once the server has taken it over; calls may overlap, the last set wins. */
  readonly admit: (hosts: readonly AdmittedHost[]) => Promise<void>;
  /** Where agents reach the bus. */
  readonly urls: readonly string[];
  /** Who signs the bus's certificate, PEM; null: the bus is plain. */
  readonly ca: string | null;
}
