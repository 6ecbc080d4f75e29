/**
 * Looks at every job that wants something and proposes records: allocations to stop, and placements for tasks that have
 * none or whose host is lost. Jobs are served in the order of their submission, indices in ascending order; a job whose
 * request fits nowhere lets the next one pass. Changes nothing: what it books while it thinks, it takes back.
 *
 * The cost follows the work: jobs that want nothing are not seen, and a request class that fitted nowhere is parked until
 * some host has grown enough to take it.
 */
import type { AllocationId, LogRecord } from "@berth/schema";
import { isWaiting, slotsOf } from "./fold-tasks.ts";
import { placeTask } from "./place-task.ts";
import type { RequestClass } from "./request-class.ts";
import { createSortedList } from "./sorted-list.ts";
import {
  inside,
  type ClassQueue,
  type ClusterState,
  type MutableJob,
  type MutableState,
  type MutableTask,
} from "./state.ts";
import { tentatively, type Tentative } from "./tentative.ts";
import { mountsVolumes } from "./volumes.ts";

export interface PlanEnv {
  readonly nowMs: number;
  readonly makeAllocationId: () => AllocationId;
}

export interface PlanBounds {
  /** At most this many records, stops included: a plan is one transaction. */
  readonly maxPlacements: number;
}

export interface Planned {
  readonly records: LogRecord[];
  /** When the next backoff ends, or null: without other news there is nothing to plan before. */
  readonly wakeAtMs: number | null;
  /** True when the bound cut the plan short: plan again after folding these records. */
  readonly more: boolean;
}

/** The jobs of one request class in their order: those in its queue, and those with a wait that has just ended. */
interface Line {
  readonly requestClass: RequestClass;
  readonly queue: ClassQueue | undefined;
  readonly late: MutableJob[];
  queueAt: number;
  lateAt: number;
}

type Due = ReadonlyMap<MutableJob, ReadonlySet<number>>;

const stops = (state: MutableState, room: number): LogRecord[] => {
  const records: LogRecord[] = [];
  for (const id of state.toStop) {
    if (records.length >= room) break;
    const allocation = state.allocations.get(id);
    const job = allocation === undefined ? undefined : state.jobs.get(allocation.key);
    const reason = job?.desired === "stop" && job.version === allocation?.jobVersion ? "job_stopped" : "job_replaced";
    records.push({ kind: "allocation_stop", id, reason });
  }
  return records;
};

const dueAt = (state: MutableState, nowMs: number): { readonly due: Due; readonly wakeAtMs: number | null } => {
  const due = new Map<MutableJob, Set<number>>();
  const wakeAtMs = state.delayed.due(
    nowMs,
    (entry) => isWaiting(state, entry),
    (entry) => {
      const job = state.jobs.get(entry.key);
      if (job === undefined) return;
      const indices = due.get(job);
      if (indices === undefined) due.set(job, new Set([entry.index]));
      else indices.add(entry.index);
    },
  );
  return { due, wakeAtMs };
};

/** True while no host can take this class for certain, because none has grown enough since it was parked. */
const isParked = (state: MutableState, queue: ClassQueue): boolean => {
  if (queue.parkedAt === null) return false;
  const now = state.index.mark();
  const woken = now !== queue.parkedAt && state.index.grownFor(queue.parkedAt, queue.requestClass.request);
  queue.parkedAt = woken ? null : now;
  return !woken;
};

const linesOf = (state: MutableState, due: Due): Line[] => {
  const lines = new Map<number, Line>();
  for (const [id, queue] of state.queues) {
    if (isParked(state, queue)) continue;
    lines.set(id, { requestClass: queue.requestClass, queue, late: [], queueAt: 0, lateAt: 0 });
  }
  for (const job of [...due.keys()].sort((a, b) => a.order - b.order)) {
    const { requestClass } = job;
    const queue = state.queues.get(requestClass.id);
    // In its queue it is met anyway; in a parked class nothing can be done for it.
    if (queue !== undefined && (queue.parkedAt !== null || queue.jobs.has(job))) continue;
    const line = lines.get(requestClass.id) ?? { requestClass, queue, late: [], queueAt: 0, lateAt: 0 };
    line.late.push(job);
    lines.set(requestClass.id, line);
  }
  return [...lines.values()];
};

const headOf = (line: Line): MutableJob | undefined => {
  const queued = line.queue?.jobs.at(line.queueAt);
  const late = line.late[line.lateAt];
  if (queued === undefined || late === undefined) return queued ?? late;
  return queued.order < late.order ? queued : late;
};

const advance = (line: Line, job: MutableJob): void => {
  if (line.late[line.lateAt] === job) line.lateAt += 1;
  else line.queueAt += 1;
};

/** How many more tasks of a job may hold a place; whoever places one takes one, but for the stranded, who hold one already. */
interface Slots {
  left: number;
}

/** The tasks of a job that want a placement now, by index; without a free slot only those that have one on a lost host. */
function* wantingTasks(job: MutableJob, due: ReadonlySet<number> | undefined, slots: Slots): Generator<MutableTask> {
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
    if (task !== undefined) yield task;
  }
  // No slot is left: of the rest, only the stranded may go on, since they hold one already; none while the job holds more
  // than it may, as when a host returns with what an earlier version had there.
  if (at < 0 || slots.left < 0) return;
  for (const index of [...job.stranded].sort((a, b) => a - b)) {
    const task = index < at ? undefined : job.tasks[index];
    if (task !== undefined) yield task;
  }
}

/** Places what wants a place, as long as `room` records remain; returns true when it was cut short. */
const placeAll = (
  state: MutableState,
  due: Due,
  tentative: Tentative,
  env: PlanEnv,
  room: number,
  records: LogRecord[],
): boolean => {
  const lines = createSortedList<Line>((line) => headOf(line)?.order ?? -1);
  for (const line of linesOf(state, due)) if (headOf(line) !== undefined) lines.insert(line);
  for (let line = lines.at(0); line !== undefined; line = lines.at(0)) {
    const job = headOf(line);
    lines.remove(line);
    if (job === undefined) continue;
    let blocked = false;
    const slots = { left: slotsOf(job) };
    for (const task of wantingTasks(job, due.get(job), slots)) {
      if (records.length >= room) return true;
      const untouched = tentative.bookings === 0;
      const { requestClass } = line;
      const { chosen } = placeTask(state, tentative, { spec: job.spec, requestClass, index: task.index }, "place");
      if (chosen === undefined) {
        // The volumes of its next task may be elsewhere. Nobody else is of this class, and what wakes it may be no room.
        if (mountsVolumes(job.spec)) continue;
        // Only what fits nowhere without the bookings of this plan is parked: the plan may never be applied.
        // Rules may be met by changes elsewhere: such a class is asked again every time.
        if (untouched && line.queue !== undefined && line.requestClass.rules === null)
          line.queue.parkedAt = state.index.mark();
        blocked = true;
        break;
      }
      if (!job.stranded.has(task.index)) slots.left -= 1;
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
    }
    if (blocked) continue;
    advance(line, job);
    if (headOf(line) !== undefined) lines.insert(line);
  }
  return false;
};

/** Plans on bookings of the caller's: what a dry run asks before it adds its own job at the end of the queue. */
export const planOn = (state: MutableState, tentative: Tentative, env: PlanEnv, bounds: PlanBounds): Planned => {
  const records = stops(state, bounds.maxPlacements);
  const allStopped = records.length >= state.toStop.size;
  const { due, wakeAtMs } = dueAt(state, env.nowMs);
  const cut = allStopped && placeAll(state, due, tentative, env, bounds.maxPlacements, records);
  return { records, wakeAtMs, more: cut || !allStopped };
};

/**
 * What should be appended now. The same state and `env` give the same records; planning again after they are folded gives
 * none. A task on a lost host is placed elsewhere with `replaces`, which is the only way an allocation becomes lost: while
 * no other host has room the old one stays as it is, and goes on if its host returns.
 */
export const planEvaluations = (state: ClusterState, env: PlanEnv, bounds: PlanBounds): Planned => {
  const mutable = inside(state);
  return tentatively(mutable.index, (tentative) => planOn(mutable, tentative, env, bounds));
};
