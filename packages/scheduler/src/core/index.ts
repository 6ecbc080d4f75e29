/** The pure core: the state folded from the log, and every decision about it. The only door for the rest of the package. */
export {
  accessOf,
  decideAccess,
  decideRevokeAccess,
  refusalAtWrite,
  refusalOf,
  seesProject,
  type AccessRecord,
  type Need,
  type NewAccess,
  type Rights,
} from "./access.ts";
export { auditPage, decideNote, wasDone, type AuditFilter } from "./audit.ts";
export { decideForget } from "./decide-forget.ts";
export { decideDrain } from "./decide-drain.ts";
export { decideCordon, decideDraining, decideRemove, decideUncordon } from "./decide-duty.ts";
export { decideEnrol, decideHello, decideReady, decideReports, decideSilence } from "./decide-hosts.ts";
export { decideStop, decideSubmit, type Submission, type SubmitAction, type SubmitDecision } from "./decide-jobs.ts";
export { decideLease } from "./decide-lease.ts";
export { desiredFor } from "./desired.ts";
export {
  decideCopyVolume,
  decideRemoveVolume,
  refuseAnother,
  decideVolume,
  decideVolumeStep,
  holdersOf,
  type NewVolume,
} from "./decide-volumes.ts";
export { decideProject, decideProjectChange, decideRemoveProject, type ProjectRecord } from "./projects.ts";
export {
  decideRemoveSecret,
  decideSecret,
  secretsFor,
  secretViews,
  type SecretDraft,
  type SecretRecord,
} from "./secrets.ts";
export { decideImageName, manifestOf } from "./image-names.ts";
export { projectNames, projectView } from "./project-view.ts";
export { drainPlan } from "./drain-plan.ts";
export { specFromSnapshot, startsFrom } from "./from-snapshot.ts";
export { dryRun } from "./dry-run.ts";
export { eventsOf, type Whereabouts } from "./event-of.ts";
export { why } from "./why.ts";
export { whyNot } from "./why-not.ts";
export { whatIf } from "./what-if.ts";
export { hostLosses } from "./host-losses.ts";
export { fold } from "./fold.ts";
export type { ImageNeed, ImageSight } from "./image-start.ts";
export { BrokenImage, imageOf, moveRevision, restoreImage, type ImageLine } from "./image.ts";
export { decideJoin, decideJoinToken, decideRevokeJoinToken, type JoinTokenRecord } from "./join-tokens.ts";
export { jobState } from "./job-state.ts";
export { nextSilenceMs, type Patience } from "./patience.ts";
export { planEvaluations, type PlanBounds, type PlanEnv, type Planned } from "./plan.ts";
export {
  createState,
  idempotencyKeyOf,
  type AllocationRecord,
  type Changes,
  type ClusterState,
  type HostRecord,
  type IdempotencyEntry,
  type JobRecord,
  type TaskRecord,
  type TaskStatus,
} from "./state.ts";
export { reservedOn } from "./reserved-on.ts";
export { limitOf, mustExist, volumeIdOf, volumeKey, volumeUseOf, type VolumeRecord } from "./volumes.ts";
export { faultsOf, validatePlan } from "./validate.ts";
export { allocationView, hostView, jobView, type LiveHost } from "./views.ts";
export { searchRebalance, type RebalanceSearch } from "./rebalance/rebalance-plan.ts";
