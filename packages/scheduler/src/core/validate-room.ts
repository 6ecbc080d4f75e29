/** The question of fit as a check of a plan asks it: of facts, counted anew, and by the function that the packer asks. */
import { noResources, type JobSpec, type Resources } from "@berth/schema";
import { NO_WISHES } from "./devices.ts";
import { toVector, unknownIn, type HostRoom, type Request } from "./feasibility.ts";
import { groupsOf, rulesOf, type Rules } from "./rules.ts";
import type { HostRecord } from "./state.ts";
import { addRow, BASE, type Vector } from "./vector.ts";

/**
 * What tasks ask for and by which rules, read from their specs once: a host is counted from all that stands on it, and most of
 * that asks for the same, also in the next plan. A function of the specs and of the dimensions that are known.
 */
class Reading {
  readonly #names: readonly string[];
  readonly #asked = new WeakMap<Resources, Request>();
  readonly #rules = new WeakMap<JobSpec, Rules | null>();
  readonly #groups = new WeakMap<JobSpec, readonly string[]>();

  constructor(names: readonly string[]) {
    this.#names = names;
  }

  /** Devices are counted one by one: here it is totals alone. */
  asked(requests: Resources): Request {
    const known = this.#asked.get(requests);
    if (known !== undefined) return known;
    const made = {
      request: toVector(this.#names, requests).subarray(0, BASE),
      unknown: unknownIn(this.#names, requests),
      wishes: NO_WISHES,
      daemon: false,
    };
    this.#asked.set(requests, made);
    return made;
  }

  rules(spec: JobSpec): Rules | null {
    const known = this.#rules.get(spec);
    if (known !== undefined) return known;
    const made = rulesOf(spec);
    this.#rules.set(spec, made);
    return made;
  }

  groups(spec: JobSpec): readonly string[] {
    const known = this.#groups.get(spec) ?? groupsOf(spec);
    this.#groups.set(spec, known);
    return known;
  }

  /** A host on which nothing stands yet. */
  room({ id, allocatable }: HostRecord): HostRoom {
    const all = toVector(this.#names, allocatable);
    return { hostId: id, ready: true, open: true, allocatable: all, free: all.slice(), models: NO_MODELS };
  }

  /** Nothing: for sums. */
  nothing(): Vector {
    return toVector(this.#names, noResources());
  }
}

const NO_MODELS = new Int32Array();

const readings = new WeakMap<readonly string[], Reading>();

/** By the names of the dimensions, which are another list when they are others. */
export const readingOf = (names: readonly string[]): Reading => {
  const known = readings.get(names) ?? new Reading(names);
  readings.set(names, known);
  return known;
};

/** More (`sign` 1) or less (-1) of what is asked for is in the sum. */
export const count = (sum: Vector, { request }: Request, sign: 1 | -1): void => addRow(sum, 0, request, sign, BASE);
