/** Folding what happens to allocations: placed, reported, stopped. Each returns false when it contradicts the state. */
import { isForward, jobKey, type AllocationReport, type LogRecord } from "@berth/schema";
import { account, changeTask, endAllocation, giveUp, recount, touchDocument, type Folding } from "./fold-tasks.ts";
import { takesDaemons } from "./daemons.ts";
import { bookedFor } from "./granted.ts";
import { foldBinding, foldUsed } from "./fold-volumes.ts";
import { ingredientsOf, valuesOf } from "./kept-score.ts";
import { reserve, unreserve } from "./reservations.ts";
import { scarcitiesOf } from "./scarcity.ts";
import { stayOf } from "./ends.ts";
import type { AllocationRecord, MutableAllocation, MutableState } from "./state.ts";

type RecordOf<K extends LogRecord["kind"]> = Extract<LogRecord, { kind: K }>;

export const foldPlaced = (folding: Folding, { placement }: RecordOf<"allocation_placed">): boolean => {
  const { state } = folding;
  const job = state.jobs.get(jobKey(placement.project, placement.job));
  const task = job?.tasks[placement.index];
  const host = state.hosts.get(placement.hostId);
  if (job === undefined || task === undefined || host === undefined) return false;
  if (job.version !== placement.jobVersion || job.desired === "stop" || task.status !== "open") return false;
  // The one rule that keeps an index from running twice: what is active must be replaced by name.
  // Nor does a task of a daemon run anywhere but on its own host.
  if (task.hostId !== undefined && task.hostId !== host.id) return false;
  if (task.active !== placement.replaces || state.allocations.has(placement.id)) return false;
  const replaced = placement.replaces === null ? undefined : state.allocations.get(placement.replaces);
  // It has its place now, there or elsewhere. Before what it replaces ends, so that nothing wants that room in between.
  const reservation = job.reserved.get(placement.index);
  if (reservation !== undefined) unreserve(state, reservation);
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
    scoreTotal: placement.score.total,
    scoreValues: valuesOf(placement.score),
    ingredients: ingredientsOf(state.ingredients, placement.score),
    placedAtMs: folding.atMs,
    startedAtMs: null,
    exit: null,
    requestClass: bookedFor(state, host.id, job.requestClass, placement.devices, placement.ports),
  };
  if (placement.devices !== undefined) allocation.devices = placement.devices;
  if (placement.ports !== undefined) allocation.ports = placement.ports;
  state.allocations.add(allocation);
  task.active = placement.id;
  task.attempts = placement.attempt;
  task.notBeforeMs = 0;
  job.activeTasks += 1;
  job.waitingSinceMs = null;
  // Nothing is active any more that was: whatever it is that has its place now, it waited for one.
  recount(folding, job, task, "pending", allocation);
  host.allocations.push(allocation);
  account(state, allocation, host.slot, 1);
  state.usage.add(job.project, job.requestClass.request, 1, folding.atMs);
  foldBinding(folding, allocation);
  const asked = { request: job.requestClass.request, devices: job.spec.devices };
  if (state.demand.note(job.requestClass.demandKey, asked, state.hosts.size, folding.atMs)) {
    state.demand.weigh(scarcitiesOf(state, state.demand.mix.requests));
  }
  state.index.setMix(state.demand.mix);
  folding.changes.allocations.push(placement.id);
  touchDocument(folding, host);
  return true;
};

/** It started then, and so it ends at another time; false when that is no news. */
const noteStart = (state: MutableState, allocation: MutableAllocation, startedAtMs: number | null): boolean => {
  if (startedAtMs === null || startedAtMs === allocation.startedAtMs) return false;
  const before = stayOf(allocation);
  allocation.startedAtMs = startedAtMs;
  const now = stayOf(allocation);
  const slot = before.atMs === now.atMs ? undefined : state.hosts.get(allocation.hostId)?.slot;
  if (slot === undefined) return true;
  state.index.expect(slot, before, -1);
  state.index.expect(slot, now, 1);
  return true;
};

/** Applies `change` to an allocation that goes on, and to how its task is counted. */
const changeActive = (folding: Folding, allocation: MutableAllocation, change: () => void): void => {
  const job = folding.state.jobs.get(allocation.key);
  const task = job?.tasks[allocation.index];
  if (job !== undefined && task?.active === allocation.id) changeTask(folding, job, task, change);
  else change();
  folding.changes.allocations.push(allocation.id);
};

/**
 * Why an allocation is as its host reports. Of one that the cluster stops, the decision says why (`preempted`,
 * `gang_incomplete`), and goes on saying so when it has ended of that; the host knows only that it was to stop.
 */
const reasonOf = (allocation: AllocationRecord, { reason, exit }: AllocationReport): string =>
  allocation.desired === "stop" && (exit === null || exit.cause === "stopped") ? allocation.reason : reason;

/** It has come further, and not to its end. */
const goOn = (folding: Folding, allocation: MutableAllocation, report: AllocationReport): void =>
  changeActive(folding, allocation, () => {
    allocation.state = report.state;
    allocation.reason = reasonOf(allocation, report);
    if (!noteStart(folding.state, allocation, report.startedAtMs)) return;
    // When it will end is another time now.
    folding.state.ledger.touch(folding.state.hosts.get(allocation.hostId)?.slot ?? -1);
  });

export const foldReported = (folding: Folding, record: RecordOf<"allocation_reported">): boolean => {
  const { report } = record;
  const allocation = folding.state.allocations.get(report.id);
  if (allocation === undefined || allocation.hostId !== record.hostId) return false;
  // Nobody knows that a host is lost less well than the host itself.
  if (!isForward(allocation.state, report.state) || report.state === "lost") return false;
  if (report.startedAtMs !== null) foldUsed(folding, allocation.spec, allocation.index);
  if (report.state === "exited" || report.state === "failed") {
    noteStart(folding.state, allocation, report.startedAtMs);
    endAllocation(folding, allocation, {
      state: report.state,
      reason: reasonOf(allocation, report),
      exit: report.exit,
    });
    return true;
  }
  goOn(folding, allocation, report);
  return true;
};

/** Keeps room for a task and has stopped what is in its way. */
export const foldReserved = (folding: Folding, record: RecordOf<"room_reserved">): boolean => {
  const { state } = folding;
  const job = state.jobs.get(jobKey(record.project, record.job));
  const task = job?.tasks[record.index];
  const host = state.hosts.get(record.hostId);
  if (job === undefined || task === undefined || host === undefined) return false;
  if (!(job.daemon === null ? host.state === "ready" : takesDaemons(host) && task.hostId === host.id)) return false;
  if (job.version !== record.jobVersion || !job.wanting.has(task.index)) return false;
  const preemptedBy = { project: job.project, job: job.name, index: task.index };
  for (const id of record.victims) {
    const victim = state.allocations.get(id);
    if (victim === undefined || victim.hostId !== host.id || victim.desired === "stop") continue;
    if (!isForward(victim.state, "exited")) continue;
    changeActive(folding, victim, () => {
      victim.desired = "stop";
      victim.reason = "preempted";
      victim.preemptedBy = preemptedBy;
    });
    state.toStop.delete(id);
    giveUp(state, victim);
    touchDocument(folding, host);
  }
  changeTask(folding, job, task, () => reserve(state, job, task.index, host, record.devices));
  folding.changes.hosts.push(host.id);
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
  giveUp(state, allocation);
  touchDocument(folding, state.hosts.get(allocation.hostId));
  return true;
};
