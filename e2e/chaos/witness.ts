/**
 * What is read afterwards, and says what must never be: the log, record by record, with the simulation's checker (which
 * shares no code with the core), what the kernel showed while it went on, and the agents' own journals.
 */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { isTerminal, type AllocationState, type LogRecord, type Placement, type Resources } from "@berth/schema";
import { decodeRecord, type AllocationRecord } from "../../packages/agent/src/core/record.ts";
import { readSealed } from "../../packages/agent/src/adapters/files/atomic-file.ts";
import { createChecker } from "../../packages/scheduler/sim/checker.ts";
import { processes } from "../support/index.ts";
import type { Entry } from "./tail.ts";

/** Allocations that have a process on this machine now. */
export const alive = (): Set<string> =>
  new Set(processes().flatMap((one) => /alloc_[0-9a-z]{26}/.exec(one.cgroups)?.[0] ?? []));

const taskOf = ({ project, job, index }: Placement): string => `${project}/${job}[${index}]`;

const checkLog = (log: readonly Entry[], accepted: readonly string[], stopped: readonly string[]): string[] => {
  const wrong: string[] = [];
  const checker = createChecker();
  const submitted = new Map<string, number>();
  const stops = new Set<string>();
  let epoch = 0;
  for (const { sequence, transaction } of log) {
    wrong.push(...checker.check(sequence, transaction).map((what) => `transaction ${sequence}: ${what}`));
    if (transaction.records.some(({ kind }) => kind === "leader_elected")) epoch = sequence;
    else if (transaction.epoch !== epoch)
      wrong.push(`transaction ${sequence}: epoch ${transaction.epoch}, but ${epoch} leads`);
    for (const record of transaction.records) {
      if (record.kind === "job_submitted") submitted.set(record.spec.name, (submitted.get(record.spec.name) ?? 0) + 1);
      if (record.kind === "job_stopped") stops.add(record.job);
    }
  }
  for (const name of accepted) {
    if (!submitted.has(name)) wrong.push(`${name} was acknowledged and is not in the log`);
  }
  for (const [name, times] of submitted) if (times > 1) wrong.push(`${name} is in the log ${times} times`);
  for (const name of stopped) {
    if (!stops.has(name)) wrong.push(`to stop ${name} was acknowledged and is not in the log`);
  }
  return wrong;
};

/** What runs on a host never needs more than the host gives away, whatever the books say. */
const checkHosts = (log: readonly Entry[], samples: readonly ReadonlySet<string>[]): string[] => {
  const placements = new Map<string, { readonly hostId: string; readonly requests: Resources }>();
  const specs = new Map<string, Resources>();
  const allocatable = new Map<string, Resources>();
  for (const { transaction } of log) {
    for (const record of transaction.records) {
      if (record.kind === "host_registered") allocatable.set(record.hostId, record.capacity.allocatable);
      if (record.kind === "job_submitted")
        specs.set(`${record.spec.project}/${record.spec.name}`, record.spec.requests);
      if (record.kind !== "allocation_placed") continue;
      const { id, hostId, project, job } = record.placement;
      const requests = specs.get(`${project}/${job}`);
      if (requests !== undefined) placements.set(id, { hostId, requests });
    }
  }
  const wrong = new Set<string>();
  for (const sample of samples) {
    const sums = new Map<string, { cpuMillis: number; memoryBytes: number; ids: string[] }>();
    for (const id of sample) {
      const placed = placements.get(id);
      if (placed === undefined) continue;
      const sum = sums.get(placed.hostId) ?? { cpuMillis: 0, memoryBytes: 0, ids: [] };
      sum.cpuMillis += placed.requests.cpuMillis;
      sum.memoryBytes += placed.requests.memoryBytes;
      sum.ids.push(id);
      sums.set(placed.hostId, sum);
    }
    for (const [hostId, sum] of sums) {
      const most = allocatable.get(hostId);
      for (const amount of ["cpuMillis", "memoryBytes"] as const) {
        if (sum[amount] > (most?.[amount] ?? 0))
          wrong.add(`${hostId} ran ${sum[amount]} of ${most?.[amount]} ${amount}: ${sum.ids.join(", ")}`);
      }
    }
  }
  return [...wrong];
};

/** Two allocations of one task at the same time: never of a singleton; of others only while one takes a lost one's place. */
const checkPlaces = (log: readonly Entry[], samples: readonly ReadonlySet<string>[]): string[] => {
  const placements = new Map<string, Placement>();
  const singletons = new Set<string>();
  for (const { transaction } of log) {
    for (const record of transaction.records) {
      if (record.kind === "allocation_placed") placements.set(record.placement.id, record.placement);
      if (record.kind === "job_submitted" && record.spec.disconnect?.singleton === true)
        singletons.add(`${record.spec.project}/${record.spec.name}`);
    }
  }
  const replaced = new Set([...placements.values()].flatMap(({ replaces }) => replaces ?? []).map(String));
  const wrong = new Set<string>();
  for (const sample of samples) {
    const byTask = new Map<string, string[]>();
    for (const id of sample) {
      const placement = placements.get(id);
      if (placement === undefined) continue;
      byTask.set(taskOf(placement), [...(byTask.get(taskOf(placement)) ?? []), id]);
    }
    for (const [task, ids] of byTask) {
      const isSingleton = singletons.has(task.slice(0, task.lastIndexOf("[")));
      const most = isSingleton ? ids.length : ids.filter((id) => !replaced.has(id)).length;
      if (most > 1) wrong.add(`${task} ran in ${ids.length} places at once: ${ids.join(", ")}`);
    }
  }
  return [...wrong];
};

export interface Journals {
  readonly records: readonly (readonly [host: string, record: AllocationRecord])[];
  readonly damaged: readonly string[];
}

/** What every agent remembers now. To be read before the log's end: what they have been told is in the log by then. */
export const readJournals = async (dataDir: string): Promise<Journals> => {
  const records: (readonly [string, AllocationRecord])[] = [];
  const damaged: string[] = [];
  for (const host of readdirSync(join(dataDir, "hosts"))) {
    const directory = join(dataDir, "hosts", host, "allocations");
    for (const id of existsSync(directory) ? readdirSync(directory) : []) {
      const sealed = await readSealed(join(directory, id, "record.json"));
      if (sealed.kind === "absent") continue;
      const decoded = sealed.kind === "value" ? decodeRecord(sealed.value) : undefined;
      if (decoded?.ok === true) records.push([host, decoded.value]);
      else damaged.push(`the journal of ${host} has a damaged record of ${id}`);
    }
  }
  return { records, damaged };
};

/** What an agent remembers was placed there, and what it has been told is in the log is there. */
const checkJournals = ({ records, damaged }: Journals, log: readonly Entry[]): string[] => {
  const placements = new Map<string, Placement>();
  const reached = new Map<string, Set<string>>();
  for (const { transaction } of log) {
    for (const record of transaction.records) {
      if (record.kind === "allocation_placed") placements.set(record.placement.id, record.placement);
      for (const [id, state] of endsIn(record)) reached.set(id, (reached.get(id) ?? new Set()).add(state));
    }
  }
  const wrong = records.flatMap(([host, record]) =>
    checkRecord(host, record, placements.get(record.id), reached.get(record.id) ?? new Set()),
  );
  if (records.length === 0) wrong.push("no agent remembers anything: nothing was checked");
  return [...damaged, ...wrong];
};

const checkRecord = (
  host: string,
  { id, acked }: AllocationRecord,
  placement: Placement | undefined,
  reached: ReadonlySet<string>,
): string[] => {
  if (placement === undefined) return [`${host} ran ${id}, which nobody placed`];
  if (placement.hostId !== host) return [`${host} ran ${id}, which was placed on ${placement.hostId}`];
  // Of one that was given up its host is told that its end is known, however that came.
  if (acked === null || !isTerminal(acked) || reached.has(acked) || reached.has("lost")) return [];
  return [`${host} was told that ${id} is known to be ${acked}, and the log has only: ${[...reached].join(", ")}`];
};

/** What this record ends, and how: by its host's own word, or since another one has its place. */
const endsIn = (record: LogRecord): (readonly [id: string, state: AllocationState])[] => {
  if (record.kind === "allocation_placed" && record.placement.replaces !== null)
    return [[record.placement.replaces, "lost"]];
  if (record.kind === "allocation_reported" && isTerminal(record.report.state))
    return [[record.report.id, record.report.state]];
  return [];
};

/** Allocations that the log says are running, by its last word. */
export const runningBy = (log: readonly Entry[]): Set<string> => {
  const running = new Set<string>();
  for (const { transaction } of log) {
    for (const record of transaction.records) {
      if (record.kind === "allocation_reported" && record.report.state === "running") running.add(record.report.id);
      for (const [id] of endsIn(record)) running.delete(id);
    }
  }
  return running;
};

export const findings = (seen: {
  readonly journals: Journals;
  readonly log: readonly Entry[];
  /** Jobs whose submission was acknowledged. */
  readonly accepted: readonly string[];
  /** Jobs whose stop was acknowledged. */
  readonly stopped: readonly string[];
  readonly samples: readonly ReadonlySet<string>[];
}): string[] => [
  ...checkLog(seen.log, seen.accepted, seen.stopped),
  ...checkPlaces(seen.log, seen.samples),
  ...checkHosts(seen.log, seen.samples),
  ...checkJournals(seen.journals, seen.log),
];
