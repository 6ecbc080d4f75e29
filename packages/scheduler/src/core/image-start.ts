/**
 * How soon a task could start on a host for its image's sake: what is known of hosts' images beside the log, as a parameter
 * of plans. Nothing of it decides whether a task fits; among hosts that pack about as well, the sooner one wins.
 */
import type { HostId, ImageStart } from "@berth/schema";

export interface ImageNeed {
  /** Hosts that have all of it. Never changed: others mean another need. */
  readonly holders: readonly HostId[];
  readonly startOn: (host: HostId) => ImageStart;
}

export interface ImageSight {
  /** Undefined: no host has it, so that none is better than another. */
  readonly of: (image: string) => ImageNeed | undefined;
}

/** A start after so long is worth half of one at once. */
const HALF_MS = 10_000;
/** Where nothing was measured yet: 16 MiB a second. */
const ASSUMED_BYTES_PER_MS = 2 ** 24 / 1_000;

/** 1: at once; towards 0: after minutes. */
export const soonness = ({ fetchBytes, startMs }: ImageStart): number =>
  fetchBytes === 0 ? 1 : HALF_MS / (HALF_MS + (startMs ?? fetchBytes / ASSUMED_BYTES_PER_MS));
