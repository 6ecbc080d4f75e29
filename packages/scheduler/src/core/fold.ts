/**
 * The one thing that changes the state: applies a transaction of the log. Total: a record that is unknown, contradictory or
 * old is ignored and counted, so every instance that folds the same log holds the same state, whatever is in it. Time is
 * the transaction's own; nothing is decided here that is not a function of the log.
 *
 * Allocations move forward only:  placed → preparing → starting → running → stopping → exited | failed | lost
 * A task is `open` until an attempt of the current version settles it; then it is succeeded, failed or stopped for good.
 */
import type { LogRecord, Transaction } from "@berth/schema";
import { foldPlaced, foldReported, foldReserved, foldStop } from "./fold-allocations.ts";
import {
  foldDisconnected,
  foldDuty,
  foldEnrolled,
  foldLost,
  foldReady,
  foldRegistered,
  foldRemoved,
  foldSilent,
} from "./fold-hosts.ts";
import { foldForgotten, foldLimitsChanged, foldStopped, foldSubmitted } from "./fold-jobs.ts";
import { foldAccess } from "./access.ts";
import { foldAudit } from "./audit.ts";
import { foldJoinToken } from "./join-tokens.ts";
import { learnWaiting, noteAsked } from "./dimensions.ts";
import { keepWhole } from "./gang.ts";
import { foldImageName } from "./image-names.ts";
import { foldSecret } from "./secrets.ts";
import { foldProject } from "./projects.ts";
import { noteWaiting, refreshQueue, wake, type Folding } from "./fold-tasks.ts";
import { foldVolumeCreated, foldVolumeStep } from "./fold-volumes.ts";
import { UNKNOWN_EXIT_CODE } from "./restart-policy.ts";
import { inside, type Changes, type ClusterState, type MutableJob } from "./state.ts";

const foldRecord = (folding: Folding, record: LogRecord): boolean => {
  switch (record.kind) {
    case "leader_elected":
      // Handled before: it is what makes a transaction current.
      return true;
    case "leader_confirmed":
      return true;
    case "cluster_keyed":
      if (folding.state.clusterKey !== null) return false;
      folding.state.clusterKey = record.publicKey;
      return true;
    case "log_restored":
      // What it brought came with the snapshot before it.
      return true;
    case "job_submitted":
      return foldSubmitted(folding, record);
    case "job_limits_changed":
      return foldLimitsChanged(folding, record);
    case "job_stopped":
      return foldStopped(folding, record);
    case "job_forgotten":
      return foldForgotten(folding, record);
    case "host_enrolled":
      return foldEnrolled(folding, record);
    case "host_registered":
      return foldRegistered(folding, record);
    case "host_disconnected":
      return foldDisconnected(folding, record);
    case "host_cordoned":
    case "host_uncordoned":
    case "host_draining":
      return foldDuty(folding, record);
    case "host_removed":
      return foldRemoved(folding, record);
    case "host_lost":
      return foldLost(folding, record);
    case "host_silent":
      return foldSilent(folding, record);
    case "host_ready":
      return foldReady(folding, record);
    case "join_token_created":
    case "join_token_used":
    case "join_token_revoked":
      return foldJoinToken(folding, record);
    case "access_created":
    case "access_revoked":
      return foldAccess(folding, record);
    case "project_created":
    case "project_changed":
    case "project_removed":
      return foldProject(folding, record);
    case "secret_set":
    case "secret_removed":
      return foldSecret(folding, record);
    case "image_named":
    case "image_unnamed":
      return foldImageName(folding, record);
    case "room_reserved":
      return foldReserved(folding, record);
    case "allocation_placed":
      return foldPlaced(folding, record);
    case "allocation_reported":
      return foldReported(folding, record);
    case "allocation_stop":
      return foldStop(folding, record);
    case "request_made":
    case "request_refused":
      // Only the audit trail is made of it.
      return true;
    case "volume_created":
      return foldVolumeCreated(folding, record);
    case "volume_filled":
    case "volume_removing":
    case "volume_removed":
      return foldVolumeStep(folding, record);
    default:
      return unknownRecord(record);
  }
};

/** A record of a later version of the program. The compiler knows that there is none in this one. */
const unknownRecord = (_record: never): boolean => false;

/** The exit status of a finished job: 143 (128 + SIGTERM) when it was stopped, the code of its first failed index, else 0. */
export const exitCodeOf = (job: MutableJob): number => {
  if (job.desired === "stop") return 143;
  const failed = job.counts.failed === 0 ? undefined : job.tasks.find((task) => task.status === "failed");
  if (failed === undefined) return 0;
  const code = failed.exit?.code ?? UNKNOWN_EXIT_CODE;
  // A task may fail by a code that the policy calls fatal although it is 0.
  return code === 0 ? 1 : code;
};

/** All tasks are over. What an earlier version had beyond their count may still be stopping. */
const finishIfOver = (folding: Folding, job: MutableJob): void => {
  const { pending, starting, running, stopping } = job.counts;
  if (job.finishedAtMs !== null || pending + starting + running + stopping > 0) return;
  // For a daemon another host may come at any time.
  if (job.daemon !== null && job.desired === "run") return;
  const { state } = folding;
  state.daemons.delete(job);
  job.finishedAtMs = folding.atMs;
  noteAsked(state, job.spec, -1);
  folding.freed.push(job.spec.requests);
  job.exitCode = exitCodeOf(job);
  state.finished.add(job.key);
  state.activeTaskCount -= job.tasks.length;
  state.finishedTaskCount += job.tasks.length;
};

/**
 * Applies one transaction. `sequence` is its place in the log and becomes the revision; one that was folded before changes
 * nothing. A transaction of a deposed leader (its epoch is older than ours) changes nothing either.
 */
export const fold = (clusterState: ClusterState, sequence: number, transaction: Transaction): Changes => {
  const state = inside(clusterState);
  const changes = {
    hosts: [],
    jobs: new Set<never>(),
    allocations: [],
    removed: { jobs: new Map<never, never>(), allocations: [], hosts: new Set<never>() },
    documents: [],
    ignored: 0,
  } as Changes & { ignored: number };
  const ignore = (count: number): Changes => {
    changes.ignored += count;
    state.ignoredRecords += count;
    return changes;
  };
  if (!(sequence > state.revision)) return ignore(transaction.records.length);
  state.revision = sequence;
  const stale = transaction.epoch < state.epoch;
  const elected = transaction.records.some((record) => record.kind === "leader_elected");
  if (elected) state.epoch = sequence;
  if (stale) return ignore(transaction.records.filter((record) => record.kind !== "leader_elected").length);

  const folding: Folding = { state, changes, sequence, atMs: transaction.atMs, freed: [] };
  wake(folding);
  for (const record of transaction.records) if (!foldRecord(folding, record)) ignore(1);
  for (const key of changes.jobs) {
    const job = state.jobs.get(key);
    if (job === undefined) continue;
    finishIfOver(folding, job);
    keepWhole(state, job);
    if (job.spec.disruption !== undefined) state.budgetChanges += 1;
    noteWaiting(job, refreshQueue(state, job), transaction.atMs);
  }
  learnWaiting(state, folding.freed);
  foldAudit(state, sequence, transaction);
  return changes;
};
