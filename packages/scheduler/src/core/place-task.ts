/**
 * Gives one task a host: the best one, or, when it mounts volumes that are somewhere already, theirs. Whoever places or
 * tries to does it here, so that plans, dry runs, drains and explanations agree.
 */
import type { JobSpec } from "@berth/schema";
import type { RequestClass } from "./request-class.ts";
import type { MutableJob, MutableState } from "./state.ts";
import type { Chosen, Tentative } from "./tentative.ts";
import { sightOfVolumes, usesOf, withDisk, type VolumeSight } from "./volumes.ts";

export interface Wanting {
  readonly spec: JobSpec;
  readonly requestClass: RequestClass;
  readonly index: number;
}

export const wantingOf = ({ requestClass, spec }: MutableJob, index: number): Wanting => ({
  spec,
  requestClass,
  index,
});

export interface Placed {
  readonly chosen: Chosen | undefined;
  /** What was asked of hosts: the task's own request, with what its new volumes will book. */
  readonly asked: RequestClass;
  readonly sight: VolumeSight;
}

const ANYWHERE: VolumeSight = { kind: "anywhere", newBytes: 0 };

/** `place` books it, `look` does not; `only`: there or nowhere. */
export const placeTask = (
  state: MutableState,
  tentative: Tentative,
  wanting: Wanting,
  how: "look" | "place",
  runnersUp = 0,
  only?: number,
): Placed => {
  const { index, requestClass, spec } = wanting;
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
