/**
 * Whether a host may go on running its singletons. It may while it answers: a host that was silent is ready again in the
 * log first, so that whatever was decided about it during its silence is in the document that its lease names.
 */
import { err, ok, problem, type HostId, type Lease, type LeaseRequest, type Problem, type Result } from "@berth/schema";
import { isSilent } from "./patience.ts";
import type { ClusterState } from "./state.ts";

export const decideLease = (state: ClusterState, hostId: HostId, request: LeaseRequest): Result<Lease, Problem> => {
  const host = state.hosts.get(hostId);
  if (host === undefined || host.session !== request.session)
    return err(problem("host.unknown", `host ${hostId} is in another session; say hello again`));
  if (isSilent(host)) {
    const detail = `host ${hostId} was silent for so long that its tasks may be elsewhere; it is heard again in a moment`;
    return err(problem("message.stale", detail, { retryAfterMs: 500 }));
  }
  const { session, nonce } = request;
  return ok({ kind: "lease", host: hostId, session, epoch: state.epoch, rev: host.desiredRev, nonce });
};
