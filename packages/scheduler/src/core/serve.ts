/**
 * Serves one job after the other within a plan: a task is placed where it fits; else it gets the room of less important work;
 * else, when it is the first that goes without, a host is promised to it, and whoever comes later must respect that. A gang
 * is served as a whole or not at all.
 */
import { priorityOf, type HostId, type LogRecord } from "@berth/schema";
import { mayBackfill, promise, useSpare, type Asking, type Promised } from "./backfill.ts";
import { endOf, NEVER, type Ending } from "./ends.ts";
import { slotsOf } from "./fold-tasks.ts";
import { gangHolds, gangNeed } from "./gang.ts";
import { placeTask, wantingOf, type Wanting } from "./place-task.ts";
import type { PlanEnv } from "./plan.ts";
import { findEviction, hasLesser, nothingTaken, passOver, take, untake, type Eviction, type Taken } from "./preempt.ts";
import type { ClassQueue, MutableJob, MutableState, MutableTask } from "./state.ts";
import type { Chosen, Tentative } from "./tentative.ts";
import { mountsVolumes } from "./volumes.ts";

export interface Served {
  readonly placed: number;
  /** `more`: it wants more, but others have their turn now. `cut`: the plan is full. */
  readonly end: "done" | "blocked" | "more" | "cut";
}

export interface Serving {
  readonly taken: Taken;
  readonly records: LogRecord[];
  /** What is promised to the first that goes without; empty when nothing is. */
  readonly promised: () => readonly Promised[];
  /** At most so many tasks of this job. */
  readonly serve: (
    job: MutableJob,
    due: ReadonlySet<number> | undefined,
    atMost: number,
    queue: ClassQueue | undefined,
  ) => Served;
  /** There is nothing for it now. */
  readonly park: (job: MutableJob) => void;
  /** Where a task of this job goes within what stands now, without a record. */
  readonly find: (wanting: Wanting, runnersUp: number) => Chosen | undefined;
  /** Does something and takes it all back when it returns false. */
  readonly attempt: (work: () => boolean) => boolean;
  /** With the room of less important work; never for a task that mounts volumes, which has no choice of hosts. */
  readonly evict: (job: Asking) => Eviction | undefined;
  readonly place: (job: MutableJob, task: MutableTask, chosen: Chosen) => void;
  readonly isFull: (more?: number) => boolean;
}

/** The tasks of a job that want a placement now, by index; without a free slot only those that have one on a lost host. */
function* wantingTasks(
  job: MutableJob,
  due: ReadonlySet<number> | undefined,
  slots: { left: number },
): Generator<MutableTask> {
  const late = [...(due ?? [])].sort((a, b) => a - b);
  let lateAt = 0;
  let at = job.wanting.next(0);
  while (at >= 0 || lateAt < late.length) {
    if (slots.left <= 0) break;
    const next = late[lateAt];
    const takeLate = next !== undefined && (at < 0 || next < at);
    const task = job.tasks[takeLate ? next : at];
    if (takeLate) lateAt += 1;
    else at = job.wanting.next(at + 1);
    if (task === undefined) continue;
    if (!job.stranded.has(task.index)) slots.left -= 1;
    yield task;
  }
  // No slot is left: of the rest, only the stranded may go on, since they hold one already; none while the job holds more
  // than it may, as when a host returns with what an earlier version had there.
  if (at < 0 || slots.left < 0) return;
  for (const index of [...job.stranded].sort((a, b) => a - b)) {
    const task = index < at ? undefined : job.tasks[index];
    if (task !== undefined) yield task;
  }
}

/** A job as this plan has served it so far. */
interface Progress {
  readonly tasks: Iterator<MutableTask>;
  /** How many more of them may hold an allocation. */
  readonly slots: { left: number };
  /** The next task, taken from `tasks` but not served. */
  waiting: MutableTask | undefined;
  isGangPlaced: boolean;
}

export const createServing = (
  state: MutableState,
  tentative: Tentative,
  env: PlanEnv,
  room: number,
  records: LogRecord[],
): Serving => {
  const { nowMs } = env;
  const taken = nothingTaken();
  // This plan stops them for other reasons: their room is coming without anybody being stopped for it.
  for (const id of state.toStop) {
    const slot = state.hosts.get(state.allocations.get(id)?.hostId ?? ("" as HostId))?.slot;
    if (slot !== undefined) passOver(state, taken, id, slot);
  }
  const ends = new Map<number, Ending[]>();
  const planned = { stopped: taken.ids, ends };
  const progress = new Map<MutableJob, Progress>();
  let promised: readonly Promised[] = [];

  const find = (job: Wanting, runnersUp: number): Chosen | undefined => {
    const { chosen } = placeTask(state, tentative, job, "place", runnersUp);
    // Where its volumes are is where it goes, and not before nobody else is to have the room.
    if (chosen !== undefined || mountsVolumes(job.spec)) return chosen;
    for (const kept of promised) {
      if (mayBackfill(state, kept, job, nowMs) !== "may") continue;
      useSpare(kept, job, nowMs);
      return tentative.placeBeside(kept.slot, job.requestClass, kept.classes);
    }
    return undefined;
  };

  const place = (job: MutableJob, task: MutableTask, chosen: Chosen): void => {
    if (job.spec.gangMin !== undefined) taken.gangs.add(job.key);
    if (state.limited > 0 || job.spec.runTimeoutMs !== null) {
      const atMs = endOf(job.spec, nowMs);
      const ending = { atMs, request: job.requestClass.request };
      if (atMs < NEVER) ends.set(chosen.slot, [...(ends.get(chosen.slot) ?? []), ending]);
    }
    records.push({
      kind: "allocation_placed",
      placement: {
        id: env.makeAllocationId(),
        project: job.project,
        job: job.name,
        jobVersion: job.version,
        index: task.index,
        attempt: task.attempts + 1,
        hostId: chosen.hostId,
        score: chosen.score,
        replaces: task.active,
      },
    });
  };

  const keep = (job: MutableJob, task: MutableTask, { hostId, victims }: Eviction): void =>
    void records.push({
      kind: "room_reserved",
      project: job.project,
      job: job.name,
      jobVersion: job.version,
      index: task.index,
      hostId,
      victims: victims.map(({ id }) => id),
    });

  const evict = ({ requestClass, spec }: Asking): Eviction | undefined => {
    if (mountsVolumes(spec)) return undefined;
    const isPromised = (slot: number): boolean => promised.some((kept) => kept.slot === slot);
    const eviction = findEviction(state, requestClass, priorityOf(spec), taken, isPromised);
    if (eviction === undefined) return undefined;
    take(state, taken, eviction);
    tentative.bookAt(eviction.slot, requestClass);
    return eviction;
  };

  const attempt = (work: () => boolean): boolean => {
    const mark = tentative.bookings;
    const spare = promised.map((kept) => kept.spare.slice());
    const evictions = taken.evictions.length;
    if (work()) return true;
    while (taken.evictions.length > evictions) untake(state, taken);
    promised.forEach((kept, at) => kept.spare.set(spare[at] as Float64Array));
    tentative.undoTo(mark);
    return false;
  };

  /** So many tasks of a job, each where it fits or with the room of others; nothing taken if there are not so many. */
  const together = (job: MutableJob, at: Progress, many: number): "few" | "no" | "placed" | "kept" => {
    const found: { readonly task: MutableTask; readonly one: Chosen | Eviction }[] = [];
    let seen = 0;
    const isWhole = attempt(() => {
      while (found.length < many) {
        const task = nextTask(at);
        if (task === undefined) return false;
        seen += 1;
        const one = find(wantingOf(job, task.index), 0) ?? evict(job);
        if (one !== undefined) found.push({ task, one });
        // The volumes of another may be where it can run.
        else if (mountsVolumes(job.spec)) skip(job, at, task);
        else {
          // Whether there are others matters: what lacks them does not lack room.
          while (seen < many && nextTask(at) !== undefined) seen += 1;
          return false;
        }
      }
      return true;
    });
    if (!isWhole) return seen < many ? "few" : "no";
    const mustWait = found.some(({ one }) => "victims" in one);
    for (const { task, one } of found) {
      // Whoever has room already waits for the others: nobody starts without them.
      if (!mustWait) place(job, task, one as Chosen);
      else keep(job, task, "victims" in one ? one : { ...one, victims: [] });
    }
    return mustWait ? "kept" : "placed";
  };

  /** Nobody behind this job may delay it further than it has to wait anyway. */
  const goWithout = (job: MutableJob, tasks: number): void => {
    if (promised.length === 0 && !mountsVolumes(job.spec))
      promised = promise(state, tentative, job, tasks, nowMs, planned) ?? [];
  };

  const progressOf = (job: MutableJob, due: ReadonlySet<number> | undefined): Progress => {
    const known = progress.get(job);
    if (known !== undefined) return known;
    const slots = { left: slotsOf(job) };
    const made = { tasks: wantingTasks(job, due, slots), slots, waiting: undefined, isGangPlaced: false };
    progress.set(job, made);
    return made;
  };

  const nextTask = (at: Progress): MutableTask | undefined => {
    const waiting = at.waiting;
    at.waiting = undefined;
    if (waiting !== undefined) return waiting;
    const { value, done } = at.tasks.next();
    return done === true ? undefined : (value as MutableTask);
  };

  /** Nothing for this one now; the slot that it would have had is another's. */
  const skip = (job: MutableJob, at: Progress, task: MutableTask): void => {
    if (!job.stranded.has(task.index)) at.slots.left += 1;
  };

  /** Those that a gang lacks come first, all at once. */
  const serveGang = (job: MutableJob, at: Progress): Served | undefined => {
    if (at.isGangPlaced) return undefined;
    const whole = gangHolds(state, job);
    // One of it has just been stopped for another: it starts again as a whole.
    if (whole.some((id) => taken.ids.has(id))) return { placed: 0, end: "done" };
    const holds = whole.length;
    const lacks = gangNeed(job) - holds;
    if (lacks <= 0) {
      at.isGangPlaced = true;
      return undefined;
    }
    // Some of it is being stopped, or waits out a backoff, or has its room kept: it is not its turn.
    if (holds > 0 || job.reserved.size > 0) return { placed: 0, end: "done" };
    if (records.length > 0 && records.length + lacks > room) return { placed: 0, end: "cut" };
    const found = together(job, at, lacks);
    if (found === "few") return { placed: 0, end: "done" };
    if (found === "no") {
      goWithout(job, lacks);
      return { placed: 0, end: "blocked" };
    }
    // While the gang waits for its room, the others of the job do so with it.
    if (found === "kept") return { placed: lacks, end: "done" };
    at.isGangPlaced = true;
    return { placed: lacks, end: "more" };
  };

  return {
    taken,
    records,
    promised: () => promised,
    find,
    evict,
    attempt,
    place,
    isFull: (more = 1) => records.length + more > room,
    park: (job) => goWithout(job, Math.max(1, gangNeed(job) - gangHolds(state, job).length)),
    serve: (job, due, atMost, queue) => {
      const at = progressOf(job, due);
      if (job.spec.gangMin !== undefined) {
        const served = serveGang(job, at);
        if (served !== undefined) return served;
      }
      let placed = 0;
      for (let task = nextTask(at); task !== undefined; task = nextTask(at)) {
        if (records.length >= room || placed >= atMost) {
          at.waiting = task;
          return { placed, end: records.length >= room ? "cut" : "more" };
        }
        const untouched = tentative.bookings === 0;
        const chosen = find(wantingOf(job, task.index), 0);
        if (chosen !== undefined) place(job, task, chosen);
        // The volumes of its next task may be elsewhere. Nobody else is of this class, and what wakes it may be no room.
        else if (mountsVolumes(job.spec)) {
          skip(job, at, task);
          continue;
        } else {
          const eviction = evict(job);
          if (eviction === undefined) {
            // Only what fits nowhere without the bookings of this plan is parked: the plan may never be applied.
            // Rules may be met by changes elsewhere: such a class is asked again every time.
            if (untouched && queue !== undefined && job.requestClass.rules === null) {
              queue.parkedAt = state.index.mark();
              queue.parkedBudget = hasLesser(state, queue.priority) ? state.budgetChanges : null;
            }
            goWithout(job, 1);
            return { placed, end: "blocked" };
          }
          keep(job, task, eviction);
        }
        placed += 1;
      }
      return { placed, end: "done" };
    },
  };
};
