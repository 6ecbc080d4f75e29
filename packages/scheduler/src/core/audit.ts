/**
 * The audit trail: the events that somebody asked for, kept within bounds as part of the state, so that a change and its
 * entry are one transaction, in every snapshot and backup, and on every scheduler. Changes and refusals are bounded apart:
 * whoever is refused all the time must not wash away what was done.
 */
import {
  err,
  MAX_AUDIT_CHANGES,
  MAX_AUDIT_REFUSALS,
  problem,
  ok,
  type AuditEntry,
  type AuditList,
  type LogRecord,
  type Origin,
  type Problem,
  type RequestRecord,
  type Result,
  type Transaction,
} from "@berth/schema";
import { eventsOf } from "./event-of.ts";
import type { ClusterState, MutableState } from "./state.ts";

/** Each list is in the order of the log. */
export interface AuditTrail {
  readonly changes: AuditEntry[];
  readonly refusals: AuditEntry[];
  /** The newest sequence of a change that is kept no longer. */
  droppedUpTo: number;
}

export const createAuditTrail = (): AuditTrail => ({ changes: [], refusals: [], droppedUpTo: 0 });

/** A quarter more than the bound is let grow, then cut at once: one by one would move the whole list each time. */
const trim = (trail: AuditTrail, list: AuditEntry[], bound: number): void => {
  if (list.length <= bound + bound / 4) return;
  const dropped = list.splice(0, list.length - bound);
  // Anybody can be refused, and must not push out of reach what is kept of changes.
  if (list === trail.changes) trail.droppedUpTo = Math.max(trail.droppedUpTo, dropped.at(-1)?.sequence ?? 0);
};

const keep = (trail: AuditTrail, entry: AuditEntry): void => {
  const list = entry.result === "refused" ? trail.refusals : trail.changes;
  list.push(entry);
  trim(trail, list, entry.result === "refused" ? MAX_AUDIT_REFUSALS : MAX_AUDIT_CHANGES);
};

export const foldAudit = (state: MutableState, sequence: number, transaction: Transaction): void => {
  const { origin, records } = transaction;
  if (origin === null) return;
  for (const event of eventsOf(sequence, transaction, (id) => state.allocations.get(id))) {
    const { index: _index, allocation: _allocation, origin: _origin, ...about } = event;
    const record = records[event.part];
    const code = record?.kind === "request_refused" ? record.code : null;
    keep(state.audit, { ...about, origin, result: code === null ? "done" : "refused", code });
  }
};

export const restoreAudit = (
  trail: AuditTrail,
  line: { readonly droppedUpTo: number; readonly entries: readonly AuditEntry[] },
): void => {
  trail.droppedUpTo = Math.max(trail.droppedUpTo, line.droppedUpTo);
  for (const entry of line.entries) keep(trail, entry);
};

const MAX_LOOKED_AT = 256;
/** Whoever passes a request on again does so within seconds. */
const MAX_REPEATED_AFTER = 2_048;

/** A change is in the trail of the very transaction that made it: so a request is known again, by whoever leads then. */
export const wasDone = ({ audit }: Pick<ClusterState, "audit">, cause: string, { request }: Origin): boolean => {
  if (request === undefined) return false;
  const from = Math.max(0, audit.changes.length - MAX_REPEATED_AFTER);
  for (let at = audit.changes.length - 1; at >= from; at -= 1) {
    const entry = audit.changes[at];
    if (entry?.origin.request === request && entry.cause === cause) return true;
  }
  return false;
};

/** `cause` names this very request. A note that was passed on twice, since the answer to the first was lost, is written once. */
export const decideNote = ({ audit }: ClusterState, cause: string, record: RequestRecord): LogRecord[] => {
  const list = record.kind === "request_refused" ? audit.refusals : audit.changes;
  return list.slice(-MAX_LOOKED_AT).some((entry) => entry.cause === cause) ? [] : [record];
};

export interface AuditFilter {
  readonly since: number | undefined;
  readonly tail: number | undefined;
  readonly limit: number;
  readonly wants: (entry: AuditEntry) => boolean;
}

const before = (a: AuditEntry | undefined, b: AuditEntry | undefined): boolean =>
  b === undefined || (a !== undefined && (a.sequence < b.sequence || (a.sequence === b.sequence && a.part < b.part)));

function* inOrder({ changes, refusals }: AuditTrail, since: number): Generator<AuditEntry> {
  let change = changes.findIndex(({ sequence }) => sequence > since);
  let refusal = refusals.findIndex(({ sequence }) => sequence > since);
  if (change < 0) change = changes.length;
  if (refusal < 0) refusal = refusals.length;
  while (change < changes.length || refusal < refusals.length) {
    const next = before(changes[change], refusals[refusal]) ? changes[change++] : refusals[refusal++];
    if (next !== undefined) yield next;
  }
}

/** Whole transactions, the oldest first. Refuses to go on from a place behind which something was dropped. */
export const auditPage = (
  { audit, revision }: Pick<ClusterState, "audit" | "revision">,
  { since, tail, limit, wants }: AuditFilter,
): Result<AuditList, Problem> => {
  if (since !== undefined && since < audit.droppedUpTo) {
    const detail = `entries after ${since} are kept no longer; go on from ${audit.droppedUpTo}, or leave it out`;
    return err(problem("events.gone", detail, { oldestSequence: audit.droppedUpTo + 1 }));
  }
  if (tail !== undefined && since === undefined) {
    const found = [...inOrder(audit, 0)].filter(wants);
    return ok({ items: tail === 0 ? [] : found.slice(-tail), next: null, revision });
  }
  const items: AuditEntry[] = [];
  for (const entry of inOrder(audit, since ?? audit.droppedUpTo)) {
    const last = items.at(-1);
    if (items.length >= limit && last !== undefined && last.sequence !== entry.sequence) {
      if (wants(entry)) return ok({ items, next: last.sequence, revision });
      continue;
    }
    if (wants(entry)) items.push(entry);
  }
  return ok({ items, next: null, revision });
};
