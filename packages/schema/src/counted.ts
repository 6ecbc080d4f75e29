/** Which further dimensions can be counted in one cluster: those that Berth books itself, and so many that people make up. */
import { NETWORK } from "./network.ts";
import { PORTS } from "./ports.ts";
import { DISK } from "./volume.ts";

/** Whose place no name that somebody has made up can take: dimensions that count once count for good. */
export const KEPT: readonly string[] = [DISK, PORTS, NETWORK.ingress, NETWORK.egress];
/** So many others count in a cluster, and so a job can ask for no more of them. */
export const MAX_COUNTED = 9;
