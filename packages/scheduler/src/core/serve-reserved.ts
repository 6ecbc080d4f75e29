/**
 * Placing those whose room was kept: as soon as those that were stopped for them have ended. On each host in the order in
 * which room was asked for; the tasks of a gang only when there is room for all of them that it needs.
 */
import type { JobKey, ScoreBreakdown } from "@berth/schema";
import { gangHolds, gangNeed } from "./gang.ts";
import { setAside, wantingOf } from "./place-task.ts";
import type { RequestClass } from "./request-class.ts";
import type { Reservation } from "./reservations.ts";
import type { Serving } from "./serve.ts";
import type { MutableJob, MutableState } from "./state.ts";
import { tentatively } from "./tentative.ts";
import type { Taken } from "./victims-on.ts";
import { STRIDE } from "./vector.ts";

/** Room that is empty enough, and how good its host is for that task. */
interface Ripe {
  readonly reservation: Reservation;
  readonly score: ScoreBreakdown;
}

/** What is kept on one host, as it is now. */
interface Kept {
  /** Those that fit, of all that it is booked for, in the order in which they asked. */
  readonly ripe: readonly Ripe[];
  /** Those that may not stand there any more, whatever room there is. */
  readonly astray: readonly Reservation[];
}

/** Nobody's turn has come, without a closer look: what the first asks for is more than is there when nothing is kept. */
const isEarly = ({ dimensions, index }: MutableState, slot: number, all: readonly Reservation[]): boolean => {
  const first = all[0]?.requestClass.request;
  // For whom a rule refuses now, nobody waits.
  if (first === undefined || all.some(({ requestClass }) => requestClass.rules !== null)) return false;
  const { free } = index.rows();
  for (let at = 0; at < dimensions.length; at += 1) {
    const wanted = first[at] as number;
    let has = free[slot * STRIDE + at] as number;
    for (const { requestClass } of all) has += requestClass.request[at] as number;
    if (wanted > 0 && wanted > has) return true;
  }
  return false;
};

/** Whether some rule refuses whoever has room kept here; the attempt whose place it takes is in nobody's way. */
const isRefused = (state: MutableState, slot: number, { index, job, requestClass }: Reservation): boolean => {
  if (requestClass.rules === null) return false;
  return tentatively(state.index, (tentative) => {
    setAside(state, tentative, job.tasks[index]?.active);
    return state.index.refusal(slot, requestClass) !== undefined;
  });
};

/** Its room alone: nobody whom others could be together with, or keep apart from. */
const roomOf = ({ requestClass }: Reservation): RequestClass => ({ ...requestClass, groups: [] });

/** Other bookings instead of some, while something is asked or done; what that books itself stays. */
const instead = <T>(
  state: MutableState,
  some: readonly (readonly [reservation: Reservation, was: RequestClass, is: RequestClass | null])[],
  work: () => T,
): T => {
  const change = (from: 1 | 2, to: 1 | 2): void => {
    for (const one of some) {
      const slot = state.hosts.get(one[0].hostId)?.slot;
      if (slot === undefined) continue;
      if (one[from] !== null) state.index.tryOut(slot, one[from], -1);
      if (one[to] !== null) state.index.tryOut(slot, one[to], 1);
    }
  };
  change(1, 2);
  const answer = work();
  change(2, 1);
  return answer;
};

const keptOn = (state: MutableState, slot: number, all: readonly Reservation[]): Kept => {
  const { index } = state;
  const ripe: Ripe[] = [];
  const astray: Reservation[] = [];
  // Whoever asked later does not pass: what is free belongs to all of them together. But for whom a rule refuses meanwhile,
  // nobody waits.
  let passes = true;
  // As the host is without them: each is then booked again, so that those behind it see what it takes.
  for (const { requestClass } of all) index.tryOut(slot, requestClass, -1);
  for (const reservation of all) {
    const { requestClass } = reservation;
    if (isRefused(state, slot, reservation)) astray.push(reservation);
    else if (passes && index.hasRoom(slot, requestClass)) {
      ripe.push({ reservation, score: index.explain(slot, requestClass) });
    } else passes = false;
    index.tryOut(slot, requestClass, 1);
  }
  return { ripe, astray };
};

/** What is still missing of a gang when all that is ripe is placed. */
const isWhole = (state: MutableState, job: MutableJob, ripe: number, { ids }: Taken): boolean =>
  job.spec.gangMin === undefined || gangHolds(state, job).filter((id) => !ids.has(id)).length + ripe >= gangNeed(job);

/**
 * How many of those that had room kept may begin now: while a host was waited for no longer, what it has of an earlier version
 * did not count against `maxRunning`, and when it is back it does. Room is kept for the others until some of that has ended.
 */
class Starting {
  readonly #begun = new Map<MutableJob, number>();

  /** Whoever takes the place of another attempt of this version is counted already. */
  #adds(state: MutableState, job: MutableJob, index: number): boolean {
    const active = job.tasks[index]?.active ?? null;
    return active === null || state.allocations.get(active)?.jobVersion !== job.version;
  }

  /** So many of these tasks at once. */
  may(state: MutableState, job: MutableJob, indices: readonly number[]): boolean {
    const { maxRunning } = job.spec;
    if (maxRunning === null) return true;
    const more = indices.filter((index) => this.#adds(state, job, index)).length;
    const begun = this.#begun.get(job) ?? 0;
    if (more > 0 && job.activeTasks - job.displaced.size + begun + more > maxRunning) return false;
    this.#begun.set(job, begun + more);
    return true;
  }
}

/** Returns true when the plan is full before all are placed. What is kept for jobs that are left out stays as it is. */
export const placeReserved = (
  state: MutableState,
  serving: Serving,
  leftOut: ReadonlySet<JobKey>,
  replaced?: MutableJob,
): boolean => {
  if (state.reservations.size === 0) return false;
  const byJob = new Map<MutableJob, Ripe[]>();
  const hosts = new Set<string>();
  const allAstray: Reservation[] = [];
  for (const { hostId } of state.reservations) {
    const host = hosts.has(hostId) ? undefined : state.hosts.get(hostId);
    hosts.add(hostId);
    if (host === undefined) continue;
    const kept = [...host.reservations].filter(({ job }) => job !== replaced);
    if (isEarly(state, host.slot, kept)) continue;
    const { astray, ripe } = keptOn(state, host.slot, kept);
    allAstray.push(...astray);
    for (const one of ripe) {
      const list = byJob.get(one.reservation.job);
      if (list === undefined) byJob.set(one.reservation.job, [one]);
      else list.push(one);
    }
  }
  const starting = new Starting();
  for (const [job, ripe] of byJob) {
    if (leftOut.has(job.key) || !isWhole(state, job, ripe.length, serving.taken)) continue;
    const isGang = job.spec.gangMin !== undefined;
    if (isGang && serving.records.length > 0 && serving.isFull(ripe.length)) return true;
    const indices = ripe.map(({ reservation }) => reservation.index);
    if (isGang && !starting.may(state, job, indices)) continue;
    for (const { reservation, score } of ripe) {
      const { index, hostId } = reservation;
      if (serving.isFull() && !isGang) return true;
      if (!isGang && !starting.may(state, job, [index])) continue;
      const task = job.tasks[index];
      const slot = state.hosts.get(hostId)?.slot;
      if (task === undefined || slot === undefined) continue;
      const granted = { requestClass: reservation.requestClass, devices: reservation.devices };
      serving.place(job, task, { slot, hostId, score, runnersUp: [], granted });
    }
  }
  // They go where they fit, and what was kept for them is free then. A gang waits for its own.
  const placeAstray = (): boolean => {
    for (const reservation of allAstray) {
      const { job, index } = reservation;
      if (job.spec.gangMin !== undefined || leftOut.has(job.key)) continue;
      if (serving.isFull()) return true;
      const task = job.tasks[index];
      if (task === undefined || !starting.may(state, job, [index])) continue;
      const chosen = instead(state, [[reservation, roomOf(reservation), null]], () =>
        serving.find(wantingOf(job, index), 0),
      );
      if (chosen !== undefined) serving.place(job, task, chosen);
    }
    return false;
  };
  // Whoever may not stand where room is kept for him is nobody there: two of them could wait for each other for ever.
  return instead(
    state,
    allAstray.map((one) => [one, one.requestClass, roomOf(one)] as const),
    placeAstray,
  );
};
