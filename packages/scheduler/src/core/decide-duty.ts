/** What operators ask of hosts: closed, opened, emptied, removed. Decides which records say it. Changes nothing. */
import { err, ok, problem, type HostId, type LogRecord, type Problem, type Result } from "@berth/schema";
import type { ClusterState, HostRecord } from "./state.ts";

const known = (state: ClusterState, hostId: HostId): Result<HostRecord, Problem> => {
  const host = state.hosts.get(hostId);
  return host === undefined ? err(problem("host.not_found", `there is no host ${hostId}`)) : ok(host);
};

/** Closes a host; a drain under way is cancelled by it. */
export const decideCordon = (state: ClusterState, hostId: HostId, by: string): Result<LogRecord[], Problem> => {
  const host = known(state, hostId);
  if (!host.ok) return host;
  return ok(host.value.duty === "cordoned" ? [] : [{ kind: "host_cordoned", hostId, by }]);
};

export const decideUncordon = (state: ClusterState, hostId: HostId, by: string): Result<LogRecord[], Problem> => {
  const host = known(state, hostId);
  if (!host.ok) return host;
  return ok(host.value.duty === "open" ? [] : [{ kind: "host_uncordoned", hostId, by }]);
};

/** Asked again, a drain gets the new deadline. */
export const decideDraining = (
  state: ClusterState,
  hostId: HostId,
  by: string,
  deadlineAtMs: number,
): Result<LogRecord[], Problem> => {
  const host = known(state, hostId);
  if (!host.ok) return host;
  return ok([{ kind: "host_draining", hostId, by, deadlineAtMs }]);
};

/**
 * A host that answers must be empty, unless `force`: its containers would go on running, unseen. One that is lost is
 * removed as it is, and what it ran is placed anew.
 */
export const decideRemove = (
  state: ClusterState,
  hostId: HostId,
  by: string,
  force: boolean,
): Result<LogRecord[], Problem> => {
  const host = known(state, hostId);
  if (!host.ok) return host;
  const { allocations, state: reached } = host.value;
  if (!force && reached !== "lost" && allocations.length > 0) {
    const detail = `${hostId} is ${reached} and holds ${allocations.length} allocations; drain it first, or remove it with force: whatever still runs there goes on until its agent is stopped`;
    return err(problem("host.in_use", detail));
  }
  return ok([{ kind: "host_removed", hostId, by }]);
};
