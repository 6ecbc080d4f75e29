/** What becomes of the tasks of daemons when a host has changed: see daemons.ts. */
import type { AllocationId } from "@berth/schema";
import { retire, standsOn, takesDaemons, wantingFor } from "./daemons.ts";
import { changeTask, refreshWanting, stopNoMore, stopSoon, type Folding } from "./fold-tasks.ts";
import type { MutableHost, MutableJob, MutableState, MutableTask } from "./state.ts";

const freshTask = (index: number): MutableTask => ({
  index,
  ...{ status: "open", active: null, attempts: 0, restarts: 0, streak: 0, notBeforeMs: 0, exit: null, history: [] },
});

const addTask = (folding: Folding, job: MutableJob, host: MutableHost): void => {
  const { state } = folding;
  const free = job.tasks.find(({ active, hostId }) => hostId === null && active === null);
  job.daemon?.places.set(host.id, free?.index ?? job.tasks.length);
  if (free !== undefined) {
    changeTask(folding, job, free, () => {
      free.hostId = host.id;
      free.status = "open";
      [free.restarts, free.streak, free.notBeforeMs, free.exit] = [0, 0, 0, null];
    });
    return;
  }
  const index = job.tasks.length;
  // An earlier version may have had more tasks, of which this one has not ended yet.
  const active: AllocationId | null = job.extra.get(index) ?? null;
  job.extra.delete(index);
  job.displaced.delete(index);
  const task = { ...freshTask(index), active, hostId: host.id };
  job.tasks.push(task);
  if (job.tasks.length % 64 === 0) {
    const before = job.wanting;
    job.wanting = wantingFor(job.tasks.length);
    for (let at = before.next(0); at >= 0; at = before.next(at + 1)) job.wanting.add(at);
  }
  job.counts[active === null ? "pending" : "stopping"] += 1;
  state.activeTaskCount += 1;
  refreshWanting(state, job, task);
  folding.changes.jobs.add(job.key);
};

const follow = (folding: Folding, job: MutableJob, host: MutableHost): void => {
  const { state } = folding;
  const { daemon } = job;
  if (daemon === null || job.desired === "stop") return;
  const task = job.tasks[daemon.places.get(host.id) ?? -1];
  const stands = standsOn(state, daemon, host);
  if (task === undefined) {
    if (stands) addTask(folding, job, host);
    return;
  }
  changeTask(folding, job, task, () => {
    if (stands && task.status === "stopped") task.status = "open";
    else if (!stands && task.status === "open" && task.active === null) retire(state, job, task);
  });
  const { active } = task;
  if (active === null) return;
  // A host that is silent, or drains, is not one that it may not be on.
  if (!stands && takesDaemons(host)) stopSoon(state, active);
  if (stands && state.allocations.get(active)?.jobVersion === job.version) stopNoMore(state, active);
};

/** The host has become another one, or is one in another state. */
export const followHost = (folding: Folding, host: MutableHost): void => {
  for (const job of folding.state.daemons) follow(folding, job, host);
};

/** It is no host any more: whoever comes next may have its tasks. */
export const forgetHost = (folding: Folding, host: MutableHost): void => {
  for (const job of folding.state.jobs.values()) {
    const { daemon } = job;
    const task = job.tasks[daemon?.places.get(host.id) ?? -1];
    if (daemon === null || task === undefined) continue;
    daemon.places.delete(host.id);
    task.hostId = null;
    if (job.desired === "run" && task.active === null) {
      changeTask(folding, job, task, () => {
        task.status = "stopped";
        task.notBeforeMs = 0;
      });
    }
  }
};

/** Notes what follows from the tasks of a daemon, as an image has them. */
export const restorePlaces = (state: MutableState, job: MutableJob): void => {
  const { daemon } = job;
  if (daemon === null) return;
  job.wanting = wantingFor(job.tasks.length);
  for (const { hostId, index } of job.tasks)
    if (hostId !== null && hostId !== undefined) daemon.places.set(hostId, index);
  if (job.finishedAtMs === null) state.daemons.add(job);
};
