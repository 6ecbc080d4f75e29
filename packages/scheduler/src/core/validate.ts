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
  type DeviceGrant,
  type HostId,
  type JobKey,
  type JobName,
  type JobSpec,
  type LogRecord,
  priorityOf,
  type Placement,
  type ProjectName,
  type Lookup,
  type Result,
} from "@berth/schema";
import { lookupOf } from "./attributes.ts";
import { takesDaemons } from "./daemons.ts";
import { addResources, rejection, type HostRoom } from "./feasibility.ts";
import { isGivenUp, runningOf } from "./patience.ts";
import { portsTakenOn, wrongKept, wrongPorts } from "./ports.ts";
import type { Reservation } from "./reservations.ts";
import type { Rules } from "./rules.ts";
import { inside, type AllocationRecord, type ClusterState, type HostRecord } from "./state.ts";
import { checkBudgets, checkGangs, checkQuotas } from "./validate-jobs.ts";
import { count, readingOf } from "./validate-room.ts";
import { countGrants, devicesLeftOn, wrongGrants, wrongPlaced, type DevicesLeft } from "./validate-devices.ts";
import { addRow } from "./vector.ts";
import { diskOf, sightOfVolumes, usesOf, volumesOn, type VolumeKey, type VolumeUse } from "./volumes.ts";

interface Checking {
  readonly state: ClusterState;
  readonly wrong: string[];
  /** Where something does not fit, or is not as it was thought to be. */
  readonly hosts: Set<HostId>;
  /** Whose records are wrong wherever they go. */
  readonly jobs: Set<JobKey>;
  readonly newIds: Set<AllocationId>;
  readonly placed: Set<string>;
  readonly stopped: Set<AllocationId>;
  readonly load: Map<HostId, Placement[]>;
  readonly reading: ReturnType<typeof readingOf>;
  /** How many allocations of its current version this plan adds to each job. */
  readonly added: Map<JobKey, number>;
  /** What placements that were looked at already do with volumes, and where. */
  readonly mounted: Map<VolumeKey, { readonly hostId: HostId; readonly uses: VolumeUse[] }>;
  /** Room that it keeps, by host, and what it stops for that, by job. */
  readonly kept: Map<HostId, Kept[]>;
  readonly victims: Map<JobKey, { stopped: number; readonly by: Set<JobKey> }>;
}

type Kept = Extract<LogRecord, { kind: "room_reserved" }>;

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
  const name = `${placement.project}/${taskName(placement.job, placement.index)}`;
  const complain = (what: string): void => void checking.wrong.push(`${name}: ${what}`);

  if (state.allocations.has(placement.id) || newIds.has(placement.id)) complain(`id ${placement.id} is taken`);
  newIds.add(placement.id);
  if (placed.has(name)) complain("placed twice");
  placed.add(name);
  const others = load.get(placement.hostId);
  if (others === undefined) load.set(placement.hostId, [placement]);
  else others.push(placement);

  const job = state.jobs.get(jobKey(placement.project, placement.job));
  const task = job?.tasks[placement.index];
  if (job === undefined || task === undefined) return complain("no such task");
  if (job.version !== placement.jobVersion)
    complain(`version ${placement.jobVersion} is not current, ${job.version} is`);
  if (job.desired === "stop") complain("its job is stopped");
  if (task.hostId !== undefined && task.hostId !== placement.hostId) complain(`belongs to ${task.hostId ?? "no host"}`);
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
  if (active?.jobVersion !== job.version) added.set(job.key, (added.get(job.key) ?? 0) + 1);
  if (job.spec.kind !== "daemon") return;
  const beside = state.hosts
    .get(placement.hostId)
    ?.allocations.find(({ id, key }) => key === job.key && id !== task.active);
  if (beside !== undefined) complain(`${placement.hostId} has ${beside.id} of it already`);
};

const checkKept = (checking: Checking, record: Kept): void => {
  const { state, placed, kept, added, victims } = checking;
  const key = jobKey(record.project, record.job);
  const name = `${record.project}/${taskName(record.job, record.index)}`;
  const complain = (what: string): void => void checking.wrong.push(`${name}: ${what}`);
  if (placed.has(name)) complain("placed twice");
  placed.add(name);
  kept.set(record.hostId, [...(kept.get(record.hostId) ?? []), record]);
  const job = state.jobs.get(key);
  const task = job?.tasks[record.index];
  if (job === undefined || task === undefined) return complain("no such task");
  if (job.version !== record.jobVersion) complain(`version ${record.jobVersion} is not current, ${job.version} is`);
  if (job.desired === "stop" || task.status !== "open") complain("wants no place");
  if (task.hostId !== undefined && task.hostId !== record.hostId) complain(`belongs to ${task.hostId ?? "no host"}`);
  const active = task.active === null ? undefined : state.allocations.get(task.active);
  if (active !== undefined && !isGivenUp(state, active.id)) complain("holds a place already");
  if (active?.jobVersion !== job.version) added.set(key, (added.get(key) ?? 0) + 1);
  for (const id of record.victims) {
    const victim = state.allocations.get(id);
    checkStop(checking, id);
    if (victim === undefined) continue;
    if (victim.hostId !== record.hostId) complain(`stops ${id} on another host`);
    if (priorityOf(victim.spec) >= priorityOf(job.spec)) complain(`stops ${victim.key}, which is not less important`);
    if (state.jobs.get(victim.key)?.version !== victim.jobVersion) continue;
    const known = victims.get(victim.key) ?? { stopped: 0, by: new Set() };
    known.stopped += 1;
    known.by.add(key);
    victims.set(victim.key, known);
  }
};

/** Those rules that speak of this host alone, counted from the allocations themselves. */
const checkRules = (checking: Checking, host: HostRecord, placement: Placement, rules: Rules, lookup: Lookup): void => {
  const { state, wrong, load, reading } = checking;
  const name = `${placement.project}/${taskName(placement.job, placement.index)}`;
  for (const { rule, expression } of rules.require) {
    if (!holds(expression, lookup)) wrong.push(`${host.id}: ${name} requires ${rule}`);
  }
  for (const { group, limit, rule } of rules.hostLimits) {
    let others = 0;
    for (const { spec: other } of host.allocations) if (reading.groups(other).includes(group)) others += 1;
    // Whoever comes later in the plan was not there yet.
    const planned = load.get(host.id) ?? [];
    for (const { project, job } of planned.slice(0, planned.indexOf(placement))) {
      const other = state.jobs.get(jobKey(project, job));
      if (other !== undefined && reading.groups(other.spec).includes(group)) others += 1;
    }
    if (others >= limit) wrong.push(`${host.id}: ${name} is against ${rule}`);
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

const checkHost = (checking: Checking, hostId: HostId): void => {
  const { state, wrong } = checking;
  const placements = checking.load.get(hostId) ?? [];
  const host = state.hosts.get(hostId);
  const kept = checking.kept.get(hostId) ?? [];
  const isForDaemons = [...placements, ...kept].every(
    ({ job, project }) => state.jobs.get(jobKey(project, job))?.spec.kind === "daemon",
  );
  if (host === undefined || !(isForDaemons ? takesDaemons(host) : host.state === "ready")) {
    wrong.push(`${hostId}: ${host === undefined ? "is not known" : `is ${host.drained ? "drained" : host.state}`}`);
    return;
  }
  // Counted from the allocations themselves: an error in the running sums must not hide here.
  const { reading } = checking;
  const room = reading.room(host);
  const { free } = room;
  for (const { spec } of host.allocations) count(free, reading.asked(spec.requests), -1);
  for (const { sizeBytes } of volumesOn(state, hostId)) count(free, reading.asked(diskOf(sizeBytes)), -1);
  const reservations = [...(inside(state).hosts.get(hostId)?.reservations ?? [])];
  const takes = (one: Placement) =>
    reservations.find(({ job, index }) => jobKey(one.project, one.job) === job.key && one.index === index);
  const taken = new Set(placements.map(takes));
  const others = reservations.filter((one) => !taken.has(one));
  const keptThere = reading.nothing();
  const devices = devicesLeftOn(host);
  const keptDevices: DeviceGrant[] = [];
  for (const { devices: granted, job } of others) {
    count(keptThere, reading.asked(job.spec.requests), 1);
    keptDevices.push(...granted);
  }
  countGrants(devices, keptDevices, 1);
  // What is kept for others is not there for whoever has nothing kept. Whoever has may be there before them: what they wait
  // for is being stopped.
  addRow(free, 0, keptThere, -1);
  let [lookup, ports]: [Lookup | undefined, Set<number> | undefined] = [undefined, undefined];
  for (const placement of placements) {
    const job = state.jobs.get(jobKey(placement.project, placement.job));
    if (job === undefined) continue;
    const isKept = takes(placement) !== undefined;
    const name = `${placement.project}/${taskName(placement.job, placement.index)}`;
    const newBytes = checkVolumes(checking, placement, job.spec, name);
    const { requests } = job.spec;
    const asking = reading.asked(newBytes === 0 ? requests : addResources(requests, diskOf(newBytes), 1));
    if (isKept) addRow(free, 0, keptThere);
    const refused = rejection(room, asking, state.dimensions);
    if (isKept) addRow(free, 0, keptThere, -1);
    if (refused !== undefined && "dimension" in refused) {
      wrong.push(`${hostId}: ${name} does not fit, ${refused.dimension} is ${refused.short} short`);
    }
    const grants = placement.devices ?? [];
    for (const what of wrongPlaced(devices, isKept ? keptDevices : [], job.spec.devices ?? [], grants)) {
      wrong.push(`${hostId}: ${name} ${what}`);
    }
    if (job.spec.ports !== undefined || placement.ports !== undefined) {
      ports ??= portsTakenOn(host, others);
      for (const what of wrongPorts(host, job.spec, placement, ports)) wrong.push(`${hostId}: ${name} ${what}`);
    }
    count(free, asking, -1);
    const rules = reading.rules(job.spec);
    if (rules === null) continue;
    lookup ??= lookupOf(host);
    checkRules(checking, host, placement, rules, lookup);
  }
  checkRoomKept(checking, host, others, { room, devices });
};

/** With the victims gone, and all that is being stopped already, whoever is to have their room must fit. */
const checkRoomKept = (
  checking: Checking,
  host: HostRecord,
  others: readonly Reservation[],
  { devices, room }: { readonly devices: DevicesLeft; readonly room: HostRoom },
): void => {
  const { state, wrong, kept, reading } = checking;
  const records = kept.get(host.id) ?? [];
  if (records.length === 0) return;
  const stay: AllocationRecord[] = [];
  for (const allocation of host.allocations) {
    const { desired, devices: granted = [], id, spec } = allocation;
    if (desired !== "stop" && !checking.stopped.has(id)) stay.push(allocation);
    else {
      count(room.free, reading.asked(spec.requests), 1);
      countGrants(devices, granted, -1);
    }
  }
  const ports = portsTakenOn({ allocations: [...stay, ...(checking.load.get(host.id) ?? [])] }, others);
  for (const record of records) {
    const spec = state.jobs.get(jobKey(record.project, record.job))?.spec;
    if (spec === undefined) continue;
    const asking = reading.asked(spec.requests);
    const refused = rejection(room, asking, state.dimensions);
    const name = `${record.project}/${taskName(record.job, record.index)}`;
    if (refused !== undefined) wrong.push(`${host.id}: ${name} would not fit after all that is stopped for it`);
    const grants = record.devices ?? [];
    for (const what of wrongGrants(devices, spec.devices ?? [], grants, false))
      wrong.push(`${host.id}: ${name} ${what}`);
    for (const what of wrongKept(host, spec, ports)) wrong.push(`${host.id}: ${name} ${what}`);
    countGrants(devices, grants, 1);
    count(room.free, asking, -1);
  }
};

const check = (state: ClusterState, records: readonly LogRecord[]): Checking => {
  const checking: Checking = {
    state,
    wrong: [],
    hosts: new Set(),
    jobs: new Set(),
    newIds: new Set(),
    placed: new Set(),
    stopped: new Set(),
    load: new Map(),
    reading: readingOf(state.dimensions),
    added: new Map(),
    mounted: new Map(),
    kept: new Map(),
    victims: new Map(),
  };
  const blame = (
    { job, project }: { readonly job: JobName; readonly project: ProjectName },
    look: () => void,
  ): void => {
    const before = checking.wrong.length;
    look();
    if (checking.wrong.length > before) checking.jobs.add(jobKey(project, job));
  };
  for (const record of records) {
    if (record.kind === "allocation_stop") checkStop(checking, record.id);
    else if (record.kind === "allocation_placed")
      blame(record.placement, () => checkPlacement(checking, record.placement));
    else if (record.kind === "room_reserved") blame(record, () => checkKept(checking, record));
    else checking.wrong.push(`a plan holds no ${record.kind}`);
  }
  for (const hostId of new Set([...checking.load.keys(), ...checking.kept.keys()])) {
    const before = checking.wrong.length;
    checkHost(checking, hostId);
    if (checking.wrong.length > before) checking.hosts.add(hostId);
  }
  checkBudgets(checking);
  checkGangs(checking, records);
  checkQuotas(checking, records);
  for (const [key, added] of checking.added) {
    const job = state.jobs.get(key);
    const limit = job?.spec.maxRunning ?? null;
    const running = job === undefined || limit === null ? 0 : runningOf(state, job) + added;
    if (limit !== null && running > limit) {
      checking.wrong.push(`${key}: ${running} tasks at a time, but at most ${limit} are allowed`);
      checking.jobs.add(key);
    }
  }
  return checking;
};

/** Ok, or one sentence for everything that is wrong with these records as a plan for this state. */
export const validatePlan = (state: ClusterState, records: readonly LogRecord[]): Result<void, string[]> => {
  const { wrong } = check(state, records);
  return wrong.length === 0 ? ok(undefined) : err(wrong);
};

/** The hosts at which an invalid plan fails, and the jobs that fail anywhere: without them there may be a valid one. */
export interface Faults {
  readonly hosts: ReadonlySet<HostId>;
  readonly jobs: ReadonlySet<JobKey>;
}

export const faultsOf = (state: ClusterState, records: readonly LogRecord[]): Faults => {
  const { hosts, jobs } = check(state, records);
  return { hosts, jobs };
};
