/** The question of fit as a check of a plan asks it: of facts, counted anew, and by the function that the packer asks. */
import { noResources, type Resources } from "@berth/schema";
import { NO_WISHES } from "./devices.ts";
import { toVector, unknownIn } from "./feasibility.ts";
import type { HostRecord } from "./state.ts";

/** Devices are counted one by one: here it is totals alone. */
export const askingFor = (names: readonly string[], requests: Resources) => ({
  request: toVector(names, requests),
  unknown: unknownIn(names, requests),
  wishes: NO_WISHES,
  daemon: false,
});

const NO_MODELS = new Int32Array();

/** The room of a host with so much left of it, true until it is asked for again. */
export const roomsOf = (names: readonly string[], { id, allocatable }: HostRecord) => {
  const all = toVector(names, allocatable);
  const free = toVector(names, noResources());
  const room = { hostId: id, ready: true, open: true, allocatable: all, free, models: NO_MODELS };
  return (left: Resources): typeof room => {
    toVector(names, left, free);
    return room;
  };
};
