/**
 * What follows once something has changed that is only supposed: plan after plan on a copy of the state, each of them made true
 * before the next is made. What a plan stops has ended then, and waits for nothing, so that its room is somebody's, and where
 * it goes itself is part of what follows.
 */
import {
  jobKey,
  type AllocationId,
  type Exit,
  type HostId,
  type JobKey,
  type JobName,
  type LogRecord,
  type ProjectName,
} from "@berth/schema";
import { refreshQueue, refreshWanting } from "./fold-tasks.ts";
import { suppose } from "./hypothesis.ts";
import { isSilent } from "./patience.ts";
import { planEvaluations, type PlanEnv } from "./plan.ts";
import { plannedOf } from "./planned-task.ts";
import type { MutableAllocation, MutableState } from "./state.ts";

export const EVERYTHING = { maxPlacements: 1_000_000 } as const;

/** So many plans at most. What would follow after them is told of one more, as if nothing came of that. */
const MAX_PLANS = 16;

/** A task and the host that it was on before all this. */
export interface Displaced {
  readonly project: ProjectName;
  readonly job: JobName;
  readonly index: number;
  readonly from: HostId | null;
}

/** By task, in the order in which it happened. */
export interface Aftermath {
  readonly placed: ReadonlyMap<string, Displaced & { readonly to: HostId }>;
  /** What was stopped for others, or with the rest of its gang: also what is placed again. */
  readonly stopped: ReadonlyMap<string, Displaced>;
}

export const taskKey = (key: JobKey, index: number): string => `${key} ${index}`;

/** What was to end before anything was supposed: nobody asked about that, and it is as it was. */
export const endingIn = ({ allocations, toStop }: MutableState): ReadonlySet<AllocationId> =>
  new Set([...toStop, ...[...allocations.values()].filter(({ desired }) => desired === "stop").map(({ id }) => id)]);

/** They have ended as they were told to, and start again at once where they find room. */
const end = (copy: MutableState, stopped: readonly MutableAllocation[], nowMs: number): void => {
  const exit: Exit = {
    ...{ code: 143, signal: null, oom: false, cause: "stopped", detail: null },
    ...{ startedAtMs: nowMs, finishedAtMs: nowMs },
  };
  const reports = stopped.map(({ hostId, id }): LogRecord => {
    const report = { id, state: "exited", reason: "stopped", startedAtMs: null, exit } as const;
    return { kind: "allocation_reported", hostId, report };
  });
  suppose(copy, reports, nowMs);
  for (const { index, key } of stopped) {
    const job = copy.jobs.get(key);
    const task = job?.tasks[index];
    if (job === undefined || task === undefined) continue;
    task.notBeforeMs = 0;
    refreshWanting(copy, job, task);
    refreshQueue(copy, job);
  }
};

/** The host of the attempt whose place it takes. */
export const leftBy = (copy: MutableState, record: LogRecord): HostId | null => {
  const planned = plannedOf(record);
  if (planned === null) return null;
  const task = copy.jobs.get(jobKey(planned.project, planned.job))?.tasks[planned.index];
  const active = "replaces" in planned ? planned.replaces : (task?.active ?? null);
  return active === null ? null : (copy.allocations.get(active)?.hostId ?? null);
};

const stoppedBy = (records: readonly LogRecord[]): AllocationId[] =>
  records.flatMap((record) => {
    if (record.kind === "allocation_stop") return [record.id];
    return record.kind === "room_reserved" ? record.victims : [];
  });

/** It is there, or its room is kept until others have ended that were to do so anyway; not where nothing came of that room. */
const hasPlace = (
  { allocations, hosts, jobs }: MutableState,
  ending: ReadonlySet<AllocationId>,
  { index, job: name, project, to }: Displaced & { readonly to: HostId },
): boolean => {
  const job = jobs.get(jobKey(project, name));
  const active = job?.tasks[index]?.active ?? null;
  if (active !== null && allocations.get(active)?.hostId === to) return true;
  return job?.reserved.has(index) === true && hosts.get(to)?.allocations.some(({ id }) => ending.has(id)) === true;
};

/** Changes the copy. `ending`: see there; `without`: these hosts get nothing. */
export const followUp = (
  copy: MutableState,
  ending: ReadonlySet<AllocationId>,
  without: ReadonlySet<HostId>,
  env: Pick<PlanEnv, "images" | "nowMs">,
): Aftermath => {
  const placed = new Map<string, Displaced & { readonly to: HostId }>();
  const stopped = new Map<string, Displaced>();
  /** Where a task was at first. */
  const homes = new Map<string, HostId | null>();
  const homeOf = (name: string, now: HostId | null): HostId | null => {
    const known = homes.get(name);
    if (known === undefined) homes.set(name, now);
    return known === undefined ? now : known;
  };
  let number = 0;
  const makeAllocationId = (): AllocationId => `what-if-${(number += 1)}` as AllocationId;
  const { nowMs } = env;
  for (let plans = 0; plans < MAX_PLANS; plans += 1) {
    const { records } = planEvaluations(copy, { ...env, makeAllocationId }, { ...EVERYTHING, without });
    const made = records.filter((record) => record.kind !== "allocation_stop" || !ending.has(record.id));
    if (made.length === 0) break;
    for (const record of made) {
      const planned = plannedOf(record);
      if (planned === null) continue;
      const { hostId: to, index, job, project } = planned;
      const name = taskKey(jobKey(project, job), index);
      const from = homeOf(name, leftBy(copy, record));
      placed.delete(name);
      placed.set(name, { project, job, index, from, to });
    }
    suppose(copy, made, nowMs);
    const ended = stoppedBy(made)
      .map((id) => copy.allocations.get(id))
      .filter((one) => one !== undefined)
      .filter(({ hostId }) => !isSilent(copy.hosts.get(hostId)));
    for (const { hostId, index, job, key, project } of ended) {
      const name = taskKey(key, index);
      stopped.set(name, { project, job, index, from: homeOf(name, hostId) });
      placed.delete(name);
    }
    end(copy, ended, nowMs);
  }
  for (const [name, one] of placed) if (!hasPlace(copy, ending, one)) placed.delete(name);
  return { placed, stopped };
};
