/** What hosts say, and what their silence means: decides which records say it. Changes nothing. */
import {
  devicesFault,
  err,
  isForward,
  ok,
  problem,
  type AllocationReport,
  type AllocationState,
  type Device,
  type Hello,
  type HostId,
  type LogRecord,
  type Problem,
  type Result,
} from "@berth/schema";
import { sameValue } from "./decide-jobs.ts";
import { isSilent, nextSilenceMs, type Patience } from "./patience.ts";
import { inside, type ClusterState, type HostRecord } from "./state.ts";
import { DEVICE_COLUMNS } from "./vector.ts";

/** Admits a host's key. Repeating it changes nothing; another key for a known host is refused. */
export const decideEnrol = (
  state: ClusterState,
  enrolment: { readonly id: HostId; readonly publicKey: string; readonly by: string },
): Result<LogRecord[], Problem> => {
  const host = state.hosts.get(enrolment.id);
  if (host === undefined) {
    const { id, publicKey, by } = enrolment;
    return ok([{ kind: "host_enrolled", hostId: id, publicKey, by }]);
  }
  if (host.publicKey === enrolment.publicKey) return ok([]);
  return err(
    problem(
      "host.key_differs",
      `${enrolment.id} was admitted with another key; use its own key, or give this host another id`,
    ),
  );
};

const isRegistered = (host: HostRecord, hello: Hello): boolean =>
  host.session === hello.session &&
  host.bootId === hello.bootId &&
  host.sealingKey === (hello.sealingKey ?? null) &&
  sameValue(host.inventory, hello.inventory) &&
  sameValue(host.capacity, hello.capacity);

/**
 * Every amount of the nth device of a kind is a column of its own, for all hosts alike. A host that had more than can be told
 * apart would be taken for one with fewer, and what it says it has in all would be a lie.
 */
const beyondColumns = (state: ClusterState, devices: readonly Device[]): string | undefined => {
  const lacks = inside(state).devices.lacksFor(devices);
  if (lacks === 0) return undefined;
  return `its devices have ${lacks} amounts more than the cluster can book one by one, which is ${DEVICE_COLUMNS} over all kinds; leave some of them out`;
};

/**
 * A host introduces itself. Its capacity is taken down as it says; what may be booked there is `bookable(capacity)`: never
 * above what its capacity leaves, perhaps nothing. A host that has shrunk below what is booked on it keeps what runs, and
 * gets nothing new until enough of that has ended.
 */
export const decideHello = (state: ClusterState, hostId: HostId, hello: Hello): Result<LogRecord[], Problem> => {
  const host = state.hosts.get(hostId);
  if (host === undefined) {
    return err(problem("host.unknown", `${hostId} has not been admitted to this cluster; enrol it with its key first`));
  }
  const { session, bootId, inventory, capacity, sealingKey } = hello;
  const fault = devicesFault(capacity.devices ?? []) ?? beyondColumns(state, capacity.devices ?? []);
  if (fault !== undefined) return err(problem("message.invalid", `${hostId}: ${fault}`));
  const records: LogRecord[] = [];
  if (!isRegistered(host, hello))
    records.push({
      ...{ kind: "host_registered", hostId, session, bootId, inventory, capacity },
      ...(sealingKey !== undefined && { sealingKey }),
    });
  if (isSilent(host)) records.push({ kind: "host_ready", hostId });
  return ok(records);
};

/** The forward news among a host's reports about its own allocations. The rest is old, or none of its business. */
export const decideReports = (
  state: ClusterState,
  hostId: HostId,
  reports: readonly AllocationReport[],
): LogRecord[] => {
  const reached = new Map<string, AllocationState>();
  const records: LogRecord[] = [];
  for (const report of reports) {
    const allocation = state.allocations.get(report.id);
    if (allocation === undefined || allocation.hostId !== hostId || report.state === "lost") continue;
    if (!isForward(reached.get(report.id) ?? allocation.state, report.state)) continue;
    reached.set(report.id, report.state);
    records.push({ kind: "allocation_reported", hostId, report });
  }
  return records;
};

const answers = (host: HostRecord | undefined): boolean =>
  host?.state === "ready" || host?.state === "cordoned" || host?.state === "draining";

const whole = (silentMs: number): number => Math.max(0, Math.trunc(silentMs));

/** What a silence of this length means: the host is disconnected, lost, or the patience of some of its jobs has ended. */
export const decideSilence = (
  state: ClusterState,
  hostId: HostId,
  silentMs: number,
  patience: Patience,
): LogRecord[] => {
  const host = state.hosts.get(hostId);
  const next = nextSilenceMs(state, hostId, patience);
  if (host === undefined || next === undefined || silentMs <= next) return [];
  const record = { hostId, silentMs: whole(silentMs) };
  if (silentMs > patience.lostAfterMs && host.state !== "lost") return [{ kind: "host_lost", ...record }];
  return [{ kind: answers(host) ? "host_disconnected" : "host_silent", ...record }];
};

export const decideReady = (state: ClusterState, hostId: HostId): LogRecord[] =>
  isSilent(state.hosts.get(hostId)) ? [{ kind: "host_ready", hostId }] : [];
