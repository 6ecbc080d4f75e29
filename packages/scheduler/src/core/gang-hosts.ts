/**
 * Where a gang goes whose tasks all mount one volume that is nowhere yet: together onto one host. The best host for the first
 * of them need not be one that holds all of them, so others are tried after it.
 */
import { volumeNameOf, type JobSpec } from "@berth/schema";
import type { RequestClass } from "./request-class.ts";
import type { MutableState } from "./state.ts";
import { STRIDE } from "./vector.ts";
import { mountsVolumes, volumeKey } from "./volumes.ts";

/** So many are tried for one gang in one plan. */
const MAX_TRIED = 64;

const hasNewCommonVolume = (state: MutableState, { project, volumes }: JobSpec): boolean =>
  volumes.some((one) => {
    if (!("volume" in one)) return false;
    const [first, second] = [volumeNameOf(one.volume, 0), volumeNameOf(one.volume, 1)];
    return first === second && !state.volumes.has(volumeKey(project, first));
  });

/** Hosts with room for so many of these tasks, the best for one of them first; none where the gang may spread. */
export const hostsForAll = (
  state: MutableState,
  { spec, requestClass }: { readonly spec: JobSpec; readonly requestClass: RequestClass },
  many: number,
): number[] => {
  if (many < 2 || !mountsVolumes(spec) || !hasNewCommonVolume(state, spec)) return [];
  const { index } = state;
  const { free } = index.rows();
  const { request } = requestClass;
  const holdsAll = (slot: number): boolean => {
    for (let at = 0; at < STRIDE; at += 1) {
      const wanted = request[at] as number;
      if (wanted > 0 && wanted * many > (free[slot * STRIDE + at] as number)) return false;
    }
    return true;
  };
  const able = index.inOrder().filter((slot) => holdsAll(slot) && index.takes(slot, requestClass));
  if (able.length === 0) return [];
  const best = index.choose(requestClass, MAX_TRIED).map(({ slot }) => slot);
  return [...new Set([...best.filter(holdsAll), ...able])].slice(0, MAX_TRIED);
};
