/** Folding what is known of hosts: admitted, registered, silent, back, closed, removed. Each returns false when it contradicts the state. */
import { leaseTermsOf, noResources, type LogRecord } from "@berth/schema";
import { DRAINED_BY, takesDaemons } from "./daemons.ts";
import { followHost, forgetHost } from "./fold-daemons.ts";
import { learnOffered } from "./dimensions.ts";
import { bookable, toVector } from "./feasibility.ts";
import { changeTask, endAllocation, refreshExtra, type Folding } from "./fold-tasks.ts";
import { describeHost, rebook } from "./granted.ts";
import { isGivenUp, isSilent } from "./patience.ts";
import { unreserve, type Reservation } from "./reservations.ts";
import type { MutableHost } from "./state.ts";
import { bookVolume, volumesOn } from "./volumes.ts";

type RecordOf<K extends LogRecord["kind"]> = Extract<LogRecord, { kind: K }>;

/** Said of a host that answers. */
const stateByDuty = { open: "ready", cordoned: "cordoned", draining: "draining" } as const;

/** Whoever waited for room there is planned anew. */
const dropReservations = (
  folding: Folding,
  host: MutableHost,
  isVoid: (reservation: Reservation) => boolean = () => true,
): void => {
  for (const reservation of [...host.reservations].filter(isVoid)) {
    unreserve(folding.state, reservation);
    const task = reservation.job.tasks[reservation.index];
    if (task !== undefined) changeTask(folding, reservation.job, task, () => undefined);
  }
};

/** Tells the packer, and every task that has an allocation there, how the host is now. */
const announce = (folding: Folding, host: MutableHost): void => {
  const { state, changes } = folding;
  describeHost(state, host);
  changes.hosts.push(host.id);
  const mayStay = takesDaemons(host);
  if (host.state !== "ready") dropReservations(folding, host, ({ job }) => job.daemon === null || !mayStay);
  followHost(folding, host);
  for (const { id, index, key } of host.allocations) {
    const job = state.jobs.get(key);
    if (job === undefined) continue;
    const task = job.tasks[index];
    if (task?.active === id) changeTask(folding, job, task, () => undefined);
    else if (job.extra.get(index) === id) {
      refreshExtra(state, job, index);
      changes.jobs.add(job.key);
    }
  }
};

export const foldEnrolled = (folding: Folding, record: RecordOf<"host_enrolled">): boolean => {
  const { state } = folding;
  if (state.hosts.has(record.hostId)) return false;
  state.hosts.set(record.hostId, {
    id: record.hostId,
    publicKey: record.publicKey,
    enrolledBy: record.by,
    enrolledAtMs: folding.atMs,
    state: "enrolled",
    silentMs: 0,
    duty: "open",
    drained: false,
    drainDeadlineAtMs: null,
    session: null,
    bootId: null,
    sealingKey: null,
    inventory: null,
    capacity: null,
    allocatable: noResources(),
    allocations: [],
    reservations: new Set(),
    desiredRev: folding.sequence,
    slot: state.index.slotOf(record.hostId),
  });
  // It may have been one before: what it kept then is there again.
  for (const volume of volumesOn(state, record.hostId)) bookVolume(state, volume, 1);
  folding.changes.hosts.push(record.hostId);
  folding.changes.documents.push(record.hostId);
  return true;
};

export const foldRegistered = (folding: Folding, record: RecordOf<"host_registered">): boolean => {
  const host = folding.state.hosts.get(record.hostId);
  if (host === undefined) return false;
  host.session = record.session;
  host.bootId = record.bootId;
  const sealingKey = record.sealingKey ?? null;
  if (host.sealingKey !== sealingKey) {
    // What was sealed to the former one cannot be opened any more.
    host.sealingKey = sealingKey;
    host.desiredRev = folding.sequence;
    folding.changes.documents.push(host.id);
  }
  host.inventory = record.inventory;
  const devices = record.capacity.devices ?? [];
  const areOthers = JSON.stringify(host.capacity?.devices ?? []) !== JSON.stringify(devices);
  host.capacity = record.capacity;
  const allocatable = bookable(record.capacity);
  learnOffered(folding.state, allocatable);
  const before = toVector(folding.state.dimensions, host.allocatable);
  folding.freed.push(host.allocatable);
  host.allocatable = allocatable;
  const after = toVector(folding.state.dimensions, host.allocatable);
  if (before.some((amount, at) => amount !== after[at])) folding.state.usage.settle(folding.atMs);
  folding.state.usage.grow(before, after);
  // What is kept there was reckoned with what the host had before, and with what it was.
  const isLess = before.some((amount, at) => amount > (after[at] as number));
  dropReservations(
    folding,
    host,
    ({ requestClass }) => isLess || requestClass.rules !== null || (areOthers && requestClass.columns),
  );
  // Where columns are new, whatever was remembered is too short.
  if (folding.state.devices.learn(devices)) folding.state.index.setWidth(folding.state.dimensions.length);
  if (areOthers) rebook(folding.state, host);
  if (host.state === "enrolled") host.state = stateByDuty[host.duty];
  announce(folding, host);
  return true;
};

const answers = (host: MutableHost): boolean => host.state === stateByDuty[host.duty];

export const foldDisconnected = (folding: Folding, record: RecordOf<"host_disconnected">): boolean => {
  const host = folding.state.hosts.get(record.hostId);
  if (host === undefined || !answers(host)) return false;
  host.state = "disconnected";
  host.silentMs = record.silentMs;
  announce(folding, host);
  return true;
};

export const foldLost = (folding: Folding, record: RecordOf<"host_lost">): boolean => {
  const host = folding.state.hosts.get(record.hostId);
  if (host === undefined || !(answers(host) || host.state === "disconnected")) return false;
  host.state = "lost";
  host.silentMs = Math.max(host.silentMs, record.silentMs);
  announce(folding, host);
  return true;
};

export const foldSilent = (folding: Folding, record: RecordOf<"host_silent">): boolean => {
  const host = folding.state.hosts.get(record.hostId);
  if (host === undefined || !isSilent(host) || record.silentMs <= host.silentMs) return false;
  host.silentMs = record.silentMs;
  announce(folding, host);
  return true;
};

export const foldReady = (folding: Folding, record: RecordOf<"host_ready">): boolean => {
  const host = folding.state.hosts.get(record.hostId);
  if (host === undefined || !isSilent(host)) return false;
  host.state = stateByDuty[host.duty];
  host.silentMs = 0;
  announce(folding, host);
  return true;
};

/** Opens a host, closes it, or has it emptied. */
export const foldDuty = (
  folding: Folding,
  record: RecordOf<"host_cordoned" | "host_uncordoned" | "host_draining">,
): boolean => {
  const host = folding.state.hosts.get(record.hostId);
  if (host === undefined) return false;
  const wasAnswering = answers(host);
  const duty = { host_cordoned: "cordoned", host_uncordoned: "open", host_draining: "draining" } as const;
  host.drained = host.duty === "draining" && record.kind === "host_cordoned" && record.by === DRAINED_BY;
  host.duty = duty[record.kind];
  host.drainDeadlineAtMs = record.kind === "host_draining" ? record.deadlineAtMs : null;
  if (wasAnswering) host.state = stateByDuty[host.duty];
  announce(folding, host);
  return true;
};

/** However often it is there. */
const removeFrom = <T>(list: T[], item: T): void => {
  let kept = 0;
  for (const one of list) if (one !== item) list[kept++] = one;
  list.length = kept;
};

export const foldRemoved = (folding: Folding, record: RecordOf<"host_removed">): boolean => {
  const { state, changes } = folding;
  const host = state.hosts.get(record.hostId);
  if (host === undefined) return false;
  for (const allocation of [...host.allocations]) {
    // It cannot renew its lease any more, and runs until that has ended.
    const waitMs = isGivenUp(state, allocation.id) ? 0 : (leaseTermsOf(allocation.spec)?.replaceAfterMs ?? 0);
    endAllocation(folding, allocation, { state: "lost", reason: "host_removed", exit: null }, waitMs);
  }
  for (const volume of volumesOn(state, host.id)) bookVolume(state, volume, -1);
  // Nor may its size go on to count among those of the hosts that are there.
  host.state = "lost";
  state.usage.settle(folding.atMs);
  state.usage.grow(toVector(state.dimensions, host.allocatable), toVector([], noResources()));
  folding.freed.push(host.allocatable);
  host.allocatable = noResources();
  announce(folding, host);
  state.hosts.delete(host.id);
  forgetHost(folding, host);
  removeFrom(changes.hosts, host.id);
  removeFrom(changes.documents, host.id);
  changes.removed.hosts.add(host.id);
  return true;
};
