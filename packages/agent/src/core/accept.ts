/**
 * Whether a desired document may replace what the agent has. The signature was verified before; here it is about whose
 * document it is and whether it is newer: `(epoch, rev)` greater, in that order, and never an epoch below the highest that
 * a signed message has shown, because its leader has been deposed.
 */
import { err, ok, type DesiredDocument, type HostId, type Result } from "@berth/schema";

export interface Version {
  readonly epoch: number;
  readonly rev: number;
}

/** What a host that has never had a document knows. */
export const NO_VERSION: Version = { epoch: 0, rev: 0 };

/** Negative, zero or positive as `a` is older than, equal to or newer than `b`. */
export const compareVersions = (a: Version, b: Version): number => a.epoch - b.epoch || a.rev - b.rev;

export type Refusal =
  | { readonly kind: "other_host"; readonly host: string }
  | { readonly kind: "stale"; readonly offered: Version; readonly have: Version }
  /** The same version again: nothing to do and nothing wrong. */
  | { readonly kind: "current" }
  | { readonly kind: "inconsistent"; readonly detail: string };

export const acceptDesired = (
  host: HostId,
  have: Version,
  fence: number,
  document: DesiredDocument,
): Result<DesiredDocument, Refusal> => {
  if (document.host !== host) return err({ kind: "other_host", host: document.host });
  const offered = { epoch: document.epoch, rev: document.rev };
  const order = compareVersions(offered, have);
  // A leader puts its own epoch into every document, so even the one we have is not confirmed by an older leader.
  if (order < 0 || document.epoch < fence) {
    return err({ kind: "stale", offered, have: { epoch: Math.max(fence, have.epoch), rev: have.rev } });
  }
  if (order === 0) return err({ kind: "current" });
  const ids = new Set<string>();
  for (const allocation of document.allocations) {
    if (ids.has(allocation.id))
      return err({ kind: "inconsistent", detail: `allocation ${allocation.id} is listed twice` });
    ids.add(allocation.id);
  }
  return ok(document);
};
