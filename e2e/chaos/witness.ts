/**
 * What is read afterwards, and says what must never be: the log, record by record, with the simulation's checker (which
 * shares no code with the core), what the kernel showed while it went on, and the agents' own journals.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { connect, nkeyAuthenticator } from "nats";
import { isTerminal, type Placement, type Transaction } from "@berth/schema";
import { decodeRecord, type AllocationRecord } from "../../packages/agent/src/core/record.ts";
import { readSealed } from "../../packages/agent/src/adapters/files/atomic-file.ts";
import { createChecker } from "../../packages/scheduler/sim/checker.ts";
import { processes } from "../support/index.ts";

export interface Entry {
  readonly sequence: number;
  readonly transaction: Transaction;
}

/** Every transaction that the server has, read with the scheduler's own key. */
export const readLog = async (dataDir: string, natsPort: number, host: string): Promise<Entry[]> => {
  const seed = readFileSync(join(dataDir, "scheduler/control.nk"));
  const bytes = new Uint8Array(Buffer.from(seed.toString("utf8").trim()));
  const ca = join(dataDir, "scheduler/tls/ca.crt");
  const connection = await connect({
    servers: [`nats://${host}:${natsPort}`],
    authenticator: nkeyAuthenticator(bytes),
    ...(existsSync(ca) ? { tls: { ca: readFileSync(ca, "utf8") } } : {}),
  });
  try {
    const manager = await connection.jetstreamManager();
    const { state } = await manager.streams.info("LOG");
    const all: Entry[] = [];
    for (let sequence = state.first_seq; sequence <= state.last_seq; sequence += 1) {
      const { data } = await manager.streams.getMessage("LOG", { seq: sequence });
      all.push({ sequence, transaction: JSON.parse(new TextDecoder().decode(data)) as Transaction });
    }
    return all;
  } finally {
    await connection.close();
  }
};

/** Allocations that have a process on this machine now. */
export const alive = (): Set<string> =>
  new Set(processes().flatMap((one) => /alloc_[0-9a-z]{26}/.exec(one.cgroups)?.[0] ?? []));

const taskOf = ({ project, job, index }: Placement): string => `${project}/${job}[${index}]`;

const checkLog = (log: readonly Entry[], accepted: readonly string[]): string[] => {
  const wrong: string[] = [];
  const checker = createChecker();
  const submitted = new Map<string, number>();
  let epoch = 0;
  for (const { sequence, transaction } of log) {
    wrong.push(...checker.check(sequence, transaction).map((what) => `transaction ${sequence}: ${what}`));
    if (transaction.records.some(({ kind }) => kind === "leader_elected")) epoch = sequence;
    else if (transaction.epoch !== epoch)
      wrong.push(`transaction ${sequence}: epoch ${transaction.epoch}, but ${epoch} leads`);
    for (const record of transaction.records) {
      if (record.kind !== "job_submitted") continue;
      submitted.set(record.spec.name, (submitted.get(record.spec.name) ?? 0) + 1);
    }
  }
  for (const name of accepted) {
    if (submitted.get(name) !== 1)
      wrong.push(`${name} was acknowledged and is in the log ${submitted.get(name) ?? 0} times`);
  }
  return wrong;
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

/** What an agent remembers was placed there, and what it has been told is in the log is there. */
const checkJournals = async (dataDir: string, log: readonly Entry[]): Promise<string[]> => {
  const placements = new Map<string, Placement>();
  const reached = new Map<string, Set<string>>();
  for (const { transaction } of log) {
    for (const record of transaction.records) {
      if (record.kind === "allocation_placed") placements.set(record.placement.id, record.placement);
      if (record.kind !== "allocation_reported") continue;
      const { id, state } = record.report;
      reached.set(id, (reached.get(id) ?? new Set()).add(state));
    }
  }
  const wrong: string[] = [];
  let records = 0;
  for (const host of readdirSync(join(dataDir, "hosts"))) {
    const directory = join(dataDir, "hosts", host, "allocations");
    for (const id of existsSync(directory) ? readdirSync(directory) : []) {
      const sealed = await readSealed(join(directory, id, "record.json"));
      if (sealed.kind === "absent") continue;
      const decoded = sealed.kind === "value" ? decodeRecord(sealed.value) : undefined;
      if (decoded?.ok !== true) {
        wrong.push(`the journal of ${host} has a damaged record of ${id}`);
        continue;
      }
      records += 1;
      wrong.push(...checkRecord(host, decoded.value, placements.get(id), reached.get(id) ?? new Set()));
    }
  }
  if (records === 0) wrong.push("no agent remembers anything: nothing was checked");
  return wrong;
};

const checkRecord = (
  host: string,
  { id, acked }: AllocationRecord,
  placement: Placement | undefined,
  reached: ReadonlySet<string>,
): string[] => {
  if (placement === undefined) return [`${host} ran ${id}, which nobody placed`];
  if (placement.hostId !== host) return [`${host} ran ${id}, which was placed on ${placement.hostId}`];
  if (acked === null || !isTerminal(acked) || reached.has(acked) || acked === "lost") return [];
  return [`${host} was told that ${id} is known to be ${acked}, and the log does not have that`];
};

export const findings = async (seen: {
  readonly dataDir: string;
  readonly log: readonly Entry[];
  readonly accepted: readonly string[];
  readonly samples: readonly ReadonlySet<string>[];
}): Promise<string[]> => [
  ...checkLog(seen.log, seen.accepted),
  ...checkPlaces(seen.log, seen.samples),
  ...(await checkJournals(seen.dataDir, seen.log)),
];
