/**
 * Gives one task a host: the best one, or, when it mounts volumes that are somewhere already, theirs. Whoever places or
 * tries to does it here, so that plans, dry runs, drains and explanations agree.
 */
import type { AllocationId, HostId, JobSpec } from "@berth/schema";
import { ownHost } from "./daemons.ts";
import { stayOf } from "./ends.ts";
import type { RequestClass } from "./request-class.ts";
import type { MutableJob, MutableState } from "./state.ts";
import type { Chosen, Tentative } from "./tentative.ts";
import { mountsVolumes, sightOfVolumes, usesOf, withDisk, type VolumeSight } from "./volumes.ts";

export interface Wanting {
  readonly spec: JobSpec;
  readonly requestClass: RequestClass;
  readonly index: number;
  /** Of a daemon: there or nowhere. */
  readonly hostId?: HostId | undefined;
  /** The attempt whose place it takes. */
  readonly previous?: AllocationId | null | undefined;
}

/** `previous`: when it is not the one that the task has now. */
export const wantingOf = (job: MutableJob, index: number, previous = job.tasks[index]?.active): Wanting => ({
  spec: job.spec,
  requestClass: job.requestClass,
  index,
  hostId: ownHost(job, index),
  previous,
});

/** Where each task of its job may go is a question of its own: its volumes are there, or it belongs there. */
export const isBound = (spec: JobSpec): boolean => spec.kind === "daemon" || mountsVolumes(spec);

export interface Placed {
  readonly chosen: Chosen | undefined;
  /** What was asked of hosts: the task's own request, with what its new volumes will book. */
  readonly asked: RequestClass;
  readonly sight: VolumeSight;
}

const ANYWHERE: VolumeSight = { kind: "anywhere", newBytes: 0 };

const placeDaemon = (
  state: MutableState,
  tentative: Tentative,
  { requestClass, spec }: Wanting,
  hostId: HostId,
  how: "look" | "place",
): Placed => {
  const slot = state.hosts.get(hostId)?.slot;
  const at = how === "place" ? "placeAt" : "lookAt";
  const chosen = slot === undefined ? undefined : tentative[at](requestClass, slot, tentative.images?.of(spec.image));
  return { chosen, asked: requestClass, sight: { kind: "host", hostId, name: "", newBytes: 0 } };
};

/**
 * From here on this attempt stands nowhere, until the caller undoes it. One whose place a task takes is over as soon as that is
 * placed, so by no rule may it stand in its way.
 */
export const setAside = (state: MutableState, tentative: Tentative, id: AllocationId | null | undefined): void => {
  const attempt = id === null || id === undefined ? undefined : state.allocations.get(id);
  const host = attempt === undefined ? undefined : state.hosts.get(attempt.hostId);
  if (attempt === undefined || host?.allocations.includes(attempt) !== true) return;
  tentative.setAside(host.slot, attempt.requestClass, stayOf(attempt));
};

/** `place` books it, and frees what its previous attempt has; `look` does neither; `only`: there or nowhere. */
export const placeTask = (
  state: MutableState,
  tentative: Tentative,
  wanting: Wanting,
  how: "look" | "place",
  runnersUp = 0,
  only?: number,
): Placed => {
  const mark = tentative.bookings;
  setAside(state, tentative, wanting.previous);
  const placed = find(state, tentative, wanting, how, runnersUp, only);
  if (how === "look" || placed.chosen === undefined) tentative.undoTo(mark);
  return placed;
};

const find = (
  state: MutableState,
  tentative: Tentative,
  wanting: Wanting,
  how: "look" | "place",
  runnersUp: number,
  only: number | undefined,
): Placed => {
  const { hostId, index, requestClass, spec } = wanting;
  if (hostId !== undefined) return placeDaemon(state, tentative, wanting, hostId, how);
  const uses = usesOf(spec, index);
  const image = tentative.images?.of(spec.image);
  if (uses.length === 0 && only === undefined)
    return { chosen: tentative[how](requestClass, runnersUp, image), asked: requestClass, sight: ANYWHERE };
  const sight = sightOfVolumes(state, tentative.volumes, wanting);
  if (sight.kind === "nowhere") return { chosen: undefined, asked: requestClass, sight };
  const asked = withDisk(state, requestClass, spec, sight.newBytes);
  let chosen: Chosen | undefined;
  if (sight.kind === "anywhere" && only === undefined) chosen = tentative[how](asked, runnersUp, image);
  else {
    const slot = sight.kind === "anywhere" ? only : state.hosts.get(sight.hostId)?.slot;
    const at = how === "place" ? "placeAt" : "lookAt";
    const isElsewhere = slot === undefined || (only !== undefined && slot !== only);
    chosen = isElsewhere ? undefined : tentative[at](asked, slot, image);
  }
  if (chosen !== undefined && how === "place") tentative.mount(uses, chosen.hostId);
  return { chosen, asked, sight };
};
