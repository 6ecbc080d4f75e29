/** Folding what happens to allocations: placed, reported, stopped. Each returns false when it contradicts the state. */
import { isForward, jobKey, type LogRecord } from "@berth/schema";
import { addInto } from "./feasibility.ts";
import { changeTask, endAllocation, touchDocument, type Folding } from "./fold-tasks.ts";
import { foldBinding, foldUsed } from "./fold-volumes.ts";
import type { MutableAllocation } from "./state.ts";

type RecordOf<K extends LogRecord["kind"]> = Extract<LogRecord, { kind: K }>;

export const foldPlaced = (folding: Folding, { placement }: RecordOf<"allocation_placed">): boolean => {
  const { state } = folding;
  const job = state.jobs.get(jobKey(placement.project, placement.job));
  const task = job?.tasks[placement.index];
  const host = state.hosts.get(placement.hostId);
  if (job === undefined || task === undefined || host === undefined) return false;
  if (job.version !== placement.jobVersion || job.desired === "stop" || task.status !== "open") return false;
  // The one rule that keeps an index from running twice: what is active must be replaced by name.
  if (task.active !== placement.replaces || state.allocations.has(placement.id)) return false;
  const replaced = placement.replaces === null ? undefined : state.allocations.get(placement.replaces);
  if (replaced !== undefined) endAllocation(folding, replaced, { state: "lost", reason: "host_lost", exit: null });

  const allocation: MutableAllocation = {
    id: placement.id,
    key: job.key,
    project: job.project,
    job: job.name,
    jobVersion: job.version,
    spec: job.spec,
    index: placement.index,
    attempt: placement.attempt,
    hostId: placement.hostId,
    epoch: state.epoch,
    state: "placed",
    desired: "run",
    reason: replaced !== undefined ? "host_lost" : task.attempts === 0 ? "scheduled" : "restarted",
    score: placement.score,
    placedAtMs: folding.atMs,
    startedAtMs: null,
    exit: null,
    requestClass: job.requestClass,
  };
  state.allocations.set(placement.id, allocation);
  changeTask(folding, job, task, () => {
    task.active = placement.id;
    task.attempts = placement.attempt;
    task.notBeforeMs = 0;
    job.activeTasks += 1;
  });
  host.allocations.add(placement.id);
  addInto(host.reserved, job.spec.requests, 1);
  state.index.book(host.slot, allocation.requestClass, 1);
  foldBinding(folding, allocation);
  state.demand.note(job.requestClass.demandKey, job.requestClass.request, state.hosts.size);
  state.index.setMix(state.demand.mix);
  folding.changes.allocations.add(placement.id);
  touchDocument(folding, allocation);
  return true;
};

/** Applies `change` to an allocation that goes on, and to how its task is counted. */
const changeActive = (folding: Folding, allocation: MutableAllocation, change: () => void): void => {
  const job = folding.state.jobs.get(allocation.key);
  const task = job?.tasks[allocation.index];
  if (job !== undefined && task?.active === allocation.id) changeTask(folding, job, task, change);
  else change();
  folding.changes.allocations.add(allocation.id);
};

export const foldReported = (folding: Folding, record: RecordOf<"allocation_reported">): boolean => {
  const { report } = record;
  const allocation = folding.state.allocations.get(report.id);
  if (allocation === undefined || allocation.hostId !== record.hostId) return false;
  // Nobody knows that a host is lost less well than the host itself.
  if (!isForward(allocation.state, report.state) || report.state === "lost") return false;
  if (report.startedAtMs !== null) foldUsed(folding, allocation.spec, allocation.index);
  if (report.state === "exited" || report.state === "failed") {
    allocation.startedAtMs = report.startedAtMs ?? allocation.startedAtMs;
    endAllocation(folding, allocation, { state: report.state, reason: report.reason, exit: report.exit });
    return true;
  }
  changeActive(folding, allocation, () => {
    allocation.state = report.state;
    allocation.reason = report.reason;
    allocation.startedAtMs = report.startedAtMs ?? allocation.startedAtMs;
  });
  return true;
};

export const foldStop = (folding: Folding, record: RecordOf<"allocation_stop">): boolean => {
  const { state } = folding;
  const allocation = state.allocations.get(record.id);
  if (allocation === undefined || allocation.desired === "stop") return false;
  if (!isForward(allocation.state, "exited")) return false;
  changeActive(folding, allocation, () => {
    allocation.desired = "stop";
    allocation.reason = record.reason;
  });
  state.toStop.delete(record.id);
  touchDocument(folding, allocation);
  return true;
};
