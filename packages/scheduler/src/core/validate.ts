/**
 * Checks a plan once more before it is appended, from the facts and not from the packer's index: whoever applies re-checks.
 * It asks the same question of fit as the packer, so the two can disagree only when the plan is wrong or out of date.
 */
import {
  err,
  holds,
  isTerminal,
  jobKey,
  ok,
  taskName,
  type AllocationId,
  type HostId,
  type JobKey,
  type JobSpec,
  type LogRecord,
  type Placement,
  type Result,
} from "@berth/schema";
import { attributesOf } from "./attributes.ts";
import { addResources, rejection, toVector, unknownIn } from "./feasibility.ts";
import { isGivenUp, isSilent } from "./patience.ts";
import { groupsOf, rulesOf } from "./rules.ts";
import type { ClusterState, HostRecord, JobRecord } from "./state.ts";
import { diskOf, sightOfVolumes, usesOf, volumesOn, type VolumeKey, type VolumeUse } from "./volumes.ts";

interface Checking {
  readonly state: ClusterState;
  readonly wrong: string[];
  readonly newIds: Set<AllocationId>;
  readonly placed: Set<string>;
  readonly stopped: Set<AllocationId>;
  readonly load: Map<HostId, Placement[]>;
  /** How many allocations of its current version this plan adds to each job. */
  readonly added: Map<JobKey, number>;
  /** What placements that were looked at already do with volumes, and where. */
  readonly mounted: Map<VolumeKey, { readonly hostId: HostId; readonly uses: VolumeUse[] }>;
}

const checkStop = (checking: Checking, id: AllocationId): void => {
  const { state, wrong, stopped } = checking;
  const allocation = state.allocations.get(id);
  if (allocation === undefined || isTerminal(allocation.state))
    wrong.push(`${id}: only what has not ended can be stopped`);
  else if (allocation.desired === "stop") wrong.push(`${id}: is being stopped already`);
  if (stopped.has(id)) wrong.push(`${id}: stopped twice`);
  stopped.add(id);
};

const checkPlacement = (checking: Checking, placement: Placement): void => {
  const { state, newIds, placed, load, added } = checking;
  const key = jobKey(placement.project, placement.job);
  const name = `${placement.project}/${taskName(placement.job, placement.index)}`;
  const complain = (what: string): void => void checking.wrong.push(`${name}: ${what}`);

  if (state.allocations.has(placement.id) || newIds.has(placement.id)) complain(`id ${placement.id} is taken`);
  newIds.add(placement.id);
  if (placed.has(name)) complain("placed twice");
  placed.add(name);
  load.set(placement.hostId, [...(load.get(placement.hostId) ?? []), placement]);

  const job = state.jobs.get(key);
  const task = job?.tasks[placement.index];
  if (job === undefined || task === undefined) return complain("no such task");
  if (job.version !== placement.jobVersion)
    complain(`version ${placement.jobVersion} is not current, ${job.version} is`);
  if (job.desired === "stop") complain("its job is stopped");
  if (task.status !== "open") complain(`has ${task.status} already`);
  if (task.attempts + 1 !== placement.attempt) {
    complain(`attempt ${placement.attempt} does not follow attempt ${task.attempts}`);
  }
  if (task.active !== placement.replaces) {
    complain(`replaces ${placement.replaces ?? "nothing"}, but holds ${task.active ?? "nothing"}`);
  }
  const active = task.active === null ? undefined : state.allocations.get(task.active);
  if (active !== undefined && !isGivenUp(state, active.id)) {
    complain(`its host ${active.hostId} is not silent for long enough`);
  }
  if (active?.jobVersion !== job.version) added.set(key, (added.get(key) ?? 0) + 1);
};

/** What counts against `maxRunning`: all that holds a place, but not what an earlier version has left on lost hosts. */
const runningOf = (state: ClusterState, job: JobRecord): number => {
  let displaced = 0;
  for (const host of state.hosts.values()) {
    if (!isSilent(host)) continue;
    for (const id of host.allocations) {
      const allocation = state.allocations.get(id);
      if (allocation?.key === job.key && allocation.jobVersion !== job.version && isGivenUp(state, id)) displaced += 1;
    }
  }
  return job.activeTasks - displaced;
};

/** Those rules that speak of this host alone, counted from the allocations themselves. */
const checkRules = (checking: Checking, host: HostRecord, placement: Placement, spec: JobSpec): void => {
  const rules = rulesOf(spec);
  if (rules === null) return;
  const { state, wrong, load } = checking;
  const name = `${placement.project}/${taskName(placement.job, placement.index)}`;
  const { lookup } = attributesOf(host);
  for (const { rule, expression } of rules.require) {
    if (!holds(expression, lookup)) wrong.push(`${host.id}: ${name} requires ${rule}`);
  }
  for (const { group, limit, rule } of rules.hostLimits) {
    let count = 0;
    for (const id of host.allocations) {
      const allocation = state.allocations.get(id);
      if (allocation !== undefined && groupsOf(allocation.spec).includes(group)) count += 1;
    }
    // Whoever comes later in the plan was not there yet.
    const planned = load.get(host.id) ?? [];
    for (const { project, job } of planned.slice(0, planned.indexOf(placement))) {
      const other = state.jobs.get(jobKey(project, job));
      if (other !== undefined && groupsOf(other.spec).includes(group)) count += 1;
    }
    if (count >= limit) wrong.push(`${host.id}: ${name} is against ${rule}`);
  }
};

/** Its volumes are here, or come to be; returns what they book here. */
const checkVolumes = (checking: Checking, { hostId, index }: Placement, spec: JobSpec, name: string): number => {
  const { state, wrong, mounted } = checking;
  const uses = usesOf(spec, index);
  if (uses.length === 0) return 0;
  const planned = {
    hostOf: (key: VolumeKey) => mounted.get(key)?.hostId,
    usesOf: (key: VolumeKey) => mounted.get(key)?.uses ?? [],
  };
  const sight = sightOfVolumes(state, planned, { spec, index });
  if (sight.kind === "nowhere") wrong.push(`${hostId}: ${name} cannot mount the volume ${sight.name}, ${sight.why}`);
  if (sight.kind === "host" && sight.hostId !== hostId) {
    wrong.push(`${hostId}: ${name} mounts the volume ${sight.name}, which is on ${sight.hostId}`);
  }
  for (const use of uses) {
    const known = mounted.get(use.key);
    if (known === undefined) mounted.set(use.key, { hostId, uses: [use] });
    else known.uses.push(use);
  }
  return sight.kind === "nowhere" ? 0 : sight.newBytes;
};

const checkHost = (checking: Checking, hostId: HostId, placements: readonly Placement[]): void => {
  const { state, wrong } = checking;
  const host = state.hosts.get(hostId);
  if (host === undefined || host.state !== "ready") {
    wrong.push(`${hostId}: ${host === undefined ? "is not known" : `is ${host.state}`}`);
    return;
  }
  // Counted from the allocations themselves: an error in the running sums must not hide here.
  let left = host.allocatable;
  for (const id of host.allocations) {
    const allocation = state.allocations.get(id);
    if (allocation !== undefined) left = addResources(left, allocation.spec.requests, -1);
  }
  for (const { sizeBytes } of volumesOn(state, hostId)) left = addResources(left, diskOf(sizeBytes), -1);
  for (const placement of placements) {
    const job = state.jobs.get(jobKey(placement.project, placement.job));
    if (job === undefined) continue;
    const names = state.dimensions;
    const room = { hostId, ready: true, allocatable: toVector(names, host.allocatable), free: toVector(names, left) };
    const name = `${placement.project}/${taskName(placement.job, placement.index)}`;
    const newBytes = checkVolumes(checking, placement, job.spec, name);
    const requests = addResources(job.spec.requests, diskOf(newBytes), 1);
    const asked = { request: toVector(names, requests), unknown: unknownIn(names, requests) };
    const refused = rejection(room, asked, names);
    if (refused !== undefined && refused.reason !== "lost") {
      wrong.push(`${hostId}: ${name} does not fit, ${refused.dimension} is ${refused.short} short`);
    }
    left = addResources(left, requests, -1);
    checkRules(checking, host, placement, job.spec);
  }
};

/** Ok, or one sentence for everything that is wrong with these records as a plan for this state. */
export const validatePlan = (state: ClusterState, records: readonly LogRecord[]): Result<void, string[]> => {
  const checking: Checking = {
    state,
    wrong: [],
    newIds: new Set(),
    placed: new Set(),
    stopped: new Set(),
    load: new Map(),
    added: new Map(),
    mounted: new Map(),
  };
  for (const record of records) {
    if (record.kind === "allocation_stop") checkStop(checking, record.id);
    else if (record.kind === "allocation_placed") checkPlacement(checking, record.placement);
    else checking.wrong.push(`a plan holds no ${record.kind}`);
  }
  for (const [hostId, placements] of checking.load) checkHost(checking, hostId, placements);
  for (const [key, added] of checking.added) {
    const job = state.jobs.get(key);
    const limit = job?.spec.maxRunning ?? null;
    const running = job === undefined || limit === null ? 0 : runningOf(state, job) + added;
    if (limit !== null && running > limit) {
      checking.wrong.push(`${key}: ${running} tasks at a time, but at most ${limit} are allowed`);
    }
  }
  return checking.wrong.length === 0 ? ok(undefined) : err(checking.wrong);
};
