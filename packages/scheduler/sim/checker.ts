/**
 * Reads the log and nothing else, with bookkeeping of its own that shares no code with the core, and says what must never
 * be: a host booked beyond what it has, an index placed twice or after its success, a state that went back.
 */
import type { DeviceGrant, LogRecord, Placement, Quota, Resources, Transaction } from "@berth/schema";
import { AMOUNTS, isLess } from "./amounts.ts";
import {
  bookedOn,
  isOverdue,
  jobNamed,
  awayOf,
  ENDED,
  RANKS,
  rankOf,
  type CheckedAllocation,
  type CheckedHost,
  type CheckedJob,
  type CheckedTask,
  newHost,
  type Kept,
  renumber,
} from "./checked.ts";
import { createDaemonCheck, type DaemonCheck } from "./daemon-check.ts";
import { givenTwice, wronglyGiven } from "./devices.ts";
import { wronglyNumbered } from "./ports.ts";
import { overQuota, type Held } from "./quotas.ts";
import { createRulesCheck } from "./rules.ts";
import { createSeenHosts } from "./seen-hosts.ts";
import { createVolumeCheck } from "./volume-check.ts";

export interface Checker {
  /** Folds one transaction; returns a sentence for everything in it that must not be. */
  readonly check: (sequence: number, transaction: Transaction) => string[];
  readonly daemons: DaemonCheck;
}

export const createChecker = (): Checker => {
  const jobs = new Map<string, CheckedJob>();
  const hosts = new Map<string, CheckedHost>();
  const allocations = new Map<string, CheckedAllocation>();
  const volumes = createVolumeCheck();
  const seen = createSeenHosts();
  const daemons = createDaemonCheck(seen);
  const rules = createRulesCheck(seen);
  const kept = new Map<string, Kept>();
  const quotas = new Map<string, Quota>();
  let epoch = 0;

  /** Whether all that shall stay on a host and all that is to come there fit together. */
  const promisedTooMuch = (hostId: string, requests: Resources): string[] => {
    const allocatable = hosts.get(hostId)?.allocatable;
    const wrong: string[] = [];
    for (const amount of AMOUNTS) {
      let sum = 0;
      for (const { placement, rank, stopped, requests: own } of allocations.values()) {
        if (placement.hostId === hostId && rank !== ENDED && !stopped) sum += own[amount];
      }
      for (const one of kept.values()) if (one.hostId === hostId) sum += one.requests[amount];
      if (requests[amount] > 0 && sum > (allocatable?.[amount] ?? 0))
        wrong.push(`${hostId} ${amount}: ${sum} of ${allocatable?.[amount]} booked and kept`);
    }
    return wrong;
  };

  /** Whether all that shall stay on a host, or stands there (`all`), and all that is to come have devices of their own. */
  const devicesTwice = (hostId: string, mine: readonly DeviceGrant[], all: boolean): string[] => {
    const here = [...allocations.values()].filter(
      ({ placement, rank }) => placement.hostId === hostId && rank !== ENDED,
    );
    const given = here.filter(({ stopped }) => all || !stopped).map(({ placement }) => placement.devices ?? []);
    const keeps = all ? [] : [...kept.values()].filter((one) => one.hostId === hostId).map(({ devices }) => devices);
    return givenTwice(hosts.get(hostId)?.devices ?? [], mine, [...given, ...keeps]).map((what) => `${hostId} ${what}`);
  };

  /** All that the tasks of a project request that have not ended, and those for whom room is kept. */
  const heldBy = (project: string): Held[] => {
    // Of others nobody asks.
    if (!quotas.has(project)) return [];
    const mine = [...allocations.values()].filter(
      ({ placement, rank }) => placement.project === project && rank !== ENDED,
    );
    return [...mine, ...[...kept].filter(([name]) => name.startsWith(`${project}/`)).map(([, one]) => one)];
  };

  const currentOf = (key: string): CheckedAllocation[] => {
    const job = jobs.get(key);
    const holding = [...(job?.holding ?? [])].map((id) => allocations.get(id)).filter((one) => one !== undefined);
    return holding.filter(({ placement }) => placement.jobVersion === job?.version);
  };
  const taskNamed = (name: string): CheckedTask | undefined =>
    jobs.get(jobNamed(name))?.tasks.get(Number(name.slice(name.lastIndexOf("[") + 1, -1)));

  const checkKept = (record: Extract<LogRecord, { kind: "room_reserved" }>): string[] => {
    const wrong: string[] = [];
    const key = `${record.project}/${record.job}`;
    const name = `${key}[${record.index}]`;
    const job = jobs.get(key);
    if (job === undefined) return [`room kept for ${name}, but there is no such job`];
    if (kept.has(name)) wrong.push(`room kept twice for ${name}`);
    if (job.tasks.get(record.index)?.succeeded === true) wrong.push(`room kept for ${name}, which has succeeded`);
    const before = heldBy(record.project);
    const preempted = new Set<string>();
    for (const id of record.victims) {
      const victim = allocations.get(id);
      const owner = jobs.get(`${victim?.placement.project}/${victim?.placement.job}`);
      if (victim === undefined || victim.rank === ENDED) {
        wrong.push(`${name} stops ${id}, which has ended`);
        continue;
      }
      if (victim.stopped) wrong.push(`${name} stops ${id}, which is stopped already`);
      if (victim.placement.hostId !== record.hostId) wrong.push(`${name} stops ${id} on another host`);
      if (victim.priority >= rankOf(job.spec)) wrong.push(`${name} stops ${id}, which is as important`);
      victim.stopped = true;
      if (owner?.version === victim.placement.jobVersion)
        preempted.add(`${victim.placement.project}/${victim.placement.job}`);
    }
    for (const owner of preempted) {
      loosen(owner);
      const budget = jobs.get(owner)?.spec.disruption;
      const running = currentOf(owner).filter(({ rank, stopped }) => rank === 3 && !stopped).length;
      const going = awayOf(jobs.get(owner), currentOf(owner));
      if (running < (budget?.minAvailable ?? 0)) wrong.push(`${owner} has ${running} left, less than its budget`);
      if (going > (budget?.maxUnavailable ?? going)) wrong.push(`${owner} has ${going} away, more than its budget`);
    }
    const { devices: grants = [] } = record;
    kept.set(name, { hostId: record.hostId, requests: job.spec.requests, devices: grants, spec: job.spec });
    wrong.push(...wronglyGiven(name, hosts.get(record.hostId)?.devices ?? [], job.spec.devices ?? [], grants));
    wrong.push(...devicesTwice(record.hostId, grants, false));
    wrong.push(...overQuota(quotas.get(record.project), before, heldBy(record.project), name));
    return [...wrong, ...promisedTooMuch(record.hostId, job.spec.requests)];
  };

  /** Nobody holds room for whom the host or the wish is gone; a gang that loses some of it may give up the rest. */
  const letGo = (gone: (name: string, one: Kept) => boolean): string[] => {
    const gangs = new Set<string>();
    for (const [name, one] of kept) {
      if (!gone(name, one)) continue;
      kept.delete(name);
      const key = jobNamed(name);
      if (jobs.get(key)?.spec.gangMin !== undefined) gangs.add(key);
    }
    for (const name of kept.keys()) if (gangs.has(jobNamed(name))) kept.delete(name);
    return [];
  };

  /** A gang that has lost one of it may give up the rest, also what is kept for it. */
  const loosen = (key: string): void => {
    if (jobs.get(key)?.spec.gangMin !== undefined) letGo((name) => jobNamed(name) === key);
  };

  const partialGangs = (records: readonly LogRecord[]): string[] => {
    const keys = new Set(
      records.flatMap((record) =>
        record.kind === "allocation_placed" ? [`${record.placement.project}/${record.placement.job}`] : [],
      ),
    );
    return [...keys].flatMap((key) => {
      const job = jobs.get(key);
      if (job?.spec.gangMin === undefined) return [];
      const runs = currentOf(key).filter((one) => !one.stopped && !mayReplace(one)).length;
      // Those that have ended may be over for good.
      const ended = [...job.tasks.values()].filter(({ active, attempts }) => active === null && attempts > 0).length;
      return runs + ended < job.spec.gangMin ? [`${key} runs ${runs} of a gang of ${job.spec.gangMin}`] : [];
    });
  };

  const end = (id: string, allocation: CheckedAllocation, succeeded: boolean): void => {
    allocation.rank = ENDED;
    const { project, job: name, index, jobVersion } = allocation.placement;
    const job = jobs.get(`${project}/${name}`);
    job?.holding.delete(id);
    loosen(`${project}/${name}`);
    const task = job?.tasks.get(index);
    if (job === undefined || task === undefined || task.active !== id) return;
    task.active = null;
    if (succeeded && jobVersion === job.version) task.succeeded = true;
  };

  const mayReplace = (one: CheckedAllocation): boolean => isOverdue(one, hosts.get(one.placement.hostId));

  const checkPlaced = (placement: Placement): string[] => {
    const wrong: string[] = [];
    const key = `${placement.project}/${placement.job}`;
    const name = `${key}[${placement.index}]`;
    const job = jobs.get(key);
    if (job === undefined) return [`${name} placed, but there is no such job`];
    const before = heldBy(placement.project);
    const task = job.tasks.get(placement.index) ?? { active: null, attempts: 0, succeeded: false };
    job.tasks.set(placement.index, task);
    if (placement.jobVersion !== job.version)
      wrong.push(`${name} placed in version ${placement.jobVersion} of ${job.version}`);
    if (job.stopped) wrong.push(`${name} placed although its job is stopped`);
    const { count } = job.spec;
    if (count > 0 && placement.index >= count) wrong.push(`${name} placed beyond the count of ${count}`);
    if (task.succeeded) wrong.push(`${name} placed after it had succeeded`);
    if (placement.attempt !== task.attempts + 1)
      wrong.push(`${name} attempt ${placement.attempt} after ${task.attempts}`);
    if (allocations.has(placement.id)) wrong.push(`${name} placed under a known id`);
    if (task.active !== placement.replaces) wrong.push(`${name} placed while ${task.active} has not ended`);
    if (placement.replaces !== null) {
      const old = allocations.get(placement.replaces);
      if (old === undefined || !mayReplace(old)) wrong.push(`${name} replaces on a host that is still waited for`);
      if (old !== undefined) end(placement.replaces, old, false);
    }
    task.active = placement.id;
    task.attempts = placement.attempt;
    job.holding.add(placement.id);
    const { requests, kind, restart } = job.spec;
    const settles = kind === "batch" && restart.on !== "always" && !restart.retryCodes.includes(0);
    allocations.set(placement.id, {
      placement,
      requests,
      spec: job.spec,
      settles,
      priority: rankOf(job.spec),
      rank: 0,
      stopped: false,
    });
    kept.delete(name);
    wrong.push(...overQuota(quotas.get(placement.project), before, heldBy(placement.project), name));
    // What an earlier version left on a lost host may never end, so it does not count.
    const holding = [...job.holding].filter((id) => {
      const held = allocations.get(id);
      return held?.placement.jobVersion === job.version || held === undefined || !mayReplace(held);
    });
    if (job.spec.maxRunning !== null && holding.length > job.spec.maxRunning) {
      wrong.push(`${key} has ${holding.length} tasks at a time, the limit is ${job.spec.maxRunning}`);
    }
    const host = hosts.get(placement.hostId);
    wrong.push(...volumes.placed(placement, job.spec, host?.allocatable));
    wrong.push(...daemons.placed(placement, job.spec, allocations.values()));
    wrong.push(...rules.placed(placement, job.spec, allocations.values()));
    wrong.push(...wronglyNumbered(placement, job.spec, host?.ports, allocations.values()));
    if (host === undefined || host.allocatable === null)
      return [...wrong, `${name} placed on unknown ${placement.hostId}`];
    if (host.silentMs !== null) wrong.push(`${name} placed on ${placement.hostId}, which is silent`);
    const { devices: grants = [] } = placement;
    wrong.push(...wronglyGiven(name, host.devices, job.spec.devices ?? [], grants));
    wrong.push(...devicesTwice(placement.hostId, grants, true), ...devicesTwice(placement.hostId, grants, false));
    const sum = bookedOn(allocations.values(), placement.hostId);
    for (const amount of AMOUNTS) {
      // A dimension that the task does not ask for may be over after the host has shrunk.
      if (requests[amount] > 0 && sum[amount] > host.allocatable[amount]) {
        wrong.push(`${placement.hostId} ${amount}: ${sum[amount]} of ${host.allocatable[amount]} booked by ${name}`);
      }
    }
    return [...wrong, ...promisedTooMuch(placement.hostId, requests)];
  };

  const checkReported = (record: Extract<LogRecord, { kind: "allocation_reported" }>): string[] => {
    const { id, state, exit } = record.report;
    const allocation = allocations.get(id);
    if (allocation === undefined) return [`report about unknown ${id}`];
    const rank = RANKS.includes(state) ? RANKS.indexOf(state) : ENDED;
    const wrong = rank > allocation.rank ? [] : [`${id} went from ${allocation.rank} to ${state}`];
    if (allocation.placement.hostId !== record.hostId) wrong.push(`${id} reported by ${record.hostId}`);
    if (rank < ENDED) allocation.rank = rank;
    else end(id, allocation, allocation.settles && exit?.code === 0 && exit.cause === "exited");
    return wrong;
  };

  /** What it ran is over: nobody will hear of it again. */
  const removed = (hostId: string): string[] => {
    for (const [id, allocation] of allocations) {
      if (allocation.placement.hostId === hostId && allocation.rank !== ENDED) end(id, allocation, false);
    }
    hosts.delete(hostId);
    return letGo((_name, one) => one.hostId === hostId);
  };

  const submitted = (record: Extract<LogRecord, { kind: "job_submitted" }>): string[] => {
    const key = `${record.spec.project}/${record.spec.name}`;
    const old = jobs.get(key);
    letGo((name) => name.startsWith(`${key}[`));
    const tasks = new Map<number, CheckedTask>();
    for (const [index, task] of old?.tasks ?? []) {
      if (task.active !== null) tasks.set(index, { active: task.active, attempts: 0, succeeded: false });
    }
    const { jobVersion: version, spec } = record;
    jobs.set(key, { version, spec, stopped: false, tasks, holding: old?.holding ?? new Set() });
    return version === (old?.version ?? 0) + 1 ? [] : [`${key} version ${version} after ${old?.version}`];
  };

  const checkRecord = (record: LogRecord): string[] => {
    seen.saw(record);
    rules.saw(record, (key) => jobs.get(key)?.spec);
    switch (record.kind) {
      case "project_created":
      case "project_changed":
        quotas.set(record.project, record.quota);
        // Room that is kept beyond it may be given up.
        return letGo((name) => name.startsWith(`${record.project}/`));
      case "project_removed":
        quotas.delete(record.project);
        return [];
      case "volume_created":
        volumes.created(`${record.project}/${record.volume}`, record);
        return [];
      case "volume_removed":
        return volumes.removed(`${record.project}/${record.volume}`) ? [] : [`there was no volume ${record.volume}`];
      case "job_submitted":
        return submitted(record);
      case "job_limits_changed": {
        const key = `${record.project}/${record.job}`;
        const job = jobs.get(key);
        if (job === undefined || job.stopped || record.jobVersion !== job.version + 1)
          return [`${key} version ${record.jobVersion} has new limits after ${job?.version}`];
        renumber(job, allocations, record.jobVersion);
        job.spec = { ...job.spec, limits: record.limits };
        return [];
      }
      case "job_stopped": {
        const job = jobs.get(`${record.project}/${record.job}`);
        if (job === undefined) return [`${record.job} stopped, but there is no such job`];
        job.stopped = true;
        letGo((name) => name.startsWith(`${record.project}/${record.job}[`));
        return [];
      }
      case "job_forgotten": {
        const key = `${record.project}/${record.job}`;
        const holding = jobs.get(key)?.holding.size ?? 0;
        jobs.delete(key);
        return holding === 0 ? [] : [`${key} forgotten while it holds ${holding} allocations`];
      }
      case "host_enrolled":
        hosts.set(record.hostId, newHost());
        return [];
      case "host_registered": {
        const host = hosts.get(record.hostId);
        if (host === undefined) return [`${record.hostId} registered without being admitted`];
        const { allocatable, devices = [], ports } = record.capacity;
        const zone = record.inventory.labels?.["zone"] ?? null;
        const isOther =
          zone !== host.zone || JSON.stringify([devices, ports]) !== JSON.stringify([host.devices, host.ports]);
        const isOver = isOther || isLess(allocatable, host.allocatable);
        // A rule may speak of whatever is another one now.
        const says = ({ spec: { placement, ports = [] } }: Kept): boolean =>
          placement !== undefined || ports.some(({ port }) => port !== null);
        letGo((_name, one) => one.hostId === record.hostId && (isOver || says(one)));
        Object.assign(host, { allocatable, devices, zone, ports });
        return [];
      }
      case "host_cordoned":
      case "host_draining":
        return letGo((_name, one) => one.hostId === record.hostId);
      case "host_removed":
        return removed(record.hostId);
      case "host_disconnected":
      case "host_silent":
      case "host_lost":
      case "host_ready": {
        const host = hosts.get(record.hostId);
        if (host === undefined) return [];
        host.lost = record.kind === "host_lost" || (host.lost && record.kind !== "host_ready");
        host.silentMs = record.kind === "host_ready" ? null : record.silentMs;
        if (host.silentMs !== null) {
          letGo((_name, one) => one.hostId === record.hostId);
          for (const one of allocations.values())
            if (one.placement.hostId === record.hostId && one.rank !== ENDED && mayReplace(one))
              loosen(`${one.placement.project}/${one.placement.job}`);
          return [];
        }
        // A task whose host is back wants no other.
        letGo((name) => {
          const { active } = taskNamed(name) ?? {};
          return active !== undefined && active !== null && allocations.get(active)?.placement.hostId === record.hostId;
        });
        return [];
      }
      case "room_reserved":
        return checkKept(record);
      case "allocation_placed":
        return checkPlaced(record.placement);
      case "allocation_reported":
        return checkReported(record);
      case "allocation_stop": {
        const allocation = allocations.get(record.id);
        if (allocation === undefined || allocation.rank === ENDED) return [`${record.id} stopped after its end`];
        if (allocation.stopped) return [`${record.id} stopped twice`];
        allocation.stopped = true;
        loosen(`${allocation.placement.project}/${allocation.placement.job}`);
        return [];
      }
      default:
        // Of what others look at, or nobody.
        return [];
    }
  };

  return {
    daemons,
    check: (sequence, transaction) => {
      if (transaction.records.some((record) => record.kind === "leader_elected")) epoch = sequence;
      else if (transaction.epoch < epoch) return [];
      return [...transaction.records.flatMap(checkRecord), ...partialGangs(transaction.records)];
    },
  };
};
