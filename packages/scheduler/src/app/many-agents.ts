/** Asking many hosts the same thing, some at a time. */
import type { HostId } from "@berth/schema";
import type { ClusterState } from "../core/index.ts";

/** Hosts that are asked at a time. */
const PARALLEL = 32;

export const inParallel = async <T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> => {
  const results: R[] = [];
  for (let at = 0; at < items.length; at += PARALLEL) {
    results.push(...(await Promise.all(items.slice(at, at + PARALLEL).map(work))));
  }
  return results;
};

/** Hosts that can be asked now, by name. */
export const answeringHosts = (state: ClusterState): HostId[] =>
  [...state.hosts.values()]
    .filter((host) => host.session !== null && host.state !== "lost" && host.state !== "disconnected")
    .map(({ id }) => id)
    .toSorted();
