/**
 * The queues as one plan meets them: every queue and the jobs whose wait has just ended make a line, lines of the same standing
 * and project stand together, and the next job is the first of the best group. The order: standing (priority, risen by
 * waiting), the smaller share of the project, the order of submission.
 */
import { priorityOf, type AllocationId, type JobKey, type JobSpec, type ProjectName } from "@berth/schema";
import { mayBePromised } from "./backfill.ts";
import { endOf, SOME_DAY } from "./ends.ts";
import { FairQueue, goesBefore, type Turn } from "./fair-queue.ts";
import { firstShort } from "./feasibility.ts";
import { mayReplace } from "./fold-tasks.ts";
import { NOW } from "./ledger.ts";
import { addRow, STRIDE, type Vector } from "./vector.ts";
import { hasLesser } from "./preempt.ts";
import { standing } from "./queue-order.ts";
import type { RequestClass } from "./request-class.ts";
import { SortedList } from "./sorted-list.ts";
import type { ClassQueue, MutableJob, MutableState } from "./state.ts";

/** The jobs of one queue in their order: those in it, and those with a wait that has just ended. */
export interface Line {
  readonly requestClass: RequestClass;
  readonly queue: ClassQueue | undefined;
  /** No host can take its class for certain, as it was when the plan began. It has a place in the order nevertheless. */
  readonly isParked: boolean;
  readonly late: MutableJob[];
  queueAt: number;
  lateAt: number;
}

interface Group {
  readonly standing: number;
  readonly project: ProjectName;
  readonly lines: SortedList<Line>;
}

/** Indices whose wait has just ended, ascending. */
export type Due = ReadonlyMap<MutableJob, readonly number[]>;

/** True while no host can take this class for certain, because nothing has changed that could help it since it was parked. */
const isParked = (state: MutableState, queue: ClassQueue, given: (priority: number) => Float64Array): boolean => {
  const { parkedAt, parkedBudget, requestClass, priority } = queue;
  if (parkedAt === null) return false;
  const now = state.index.mark();
  const takes = hasLesser(state, priority);
  const woken =
    (takes && state.budgetChanges !== parkedBudget) ||
    (now !== parkedAt && state.index.grownFor(parkedAt, requestClass, takes ? given(priority) : undefined));
  queue.parkedAt = woken ? null : now;
  return !woken;
};

/** No host could take it even if it were empty: it waits for another host, and nobody has to wait for it. */
const isTooLarge = (state: MutableState, queue: ClassQueue): boolean => {
  const sizes = state.index.sizes();
  if (queue.sizesAt === sizes) return queue.isTooLarge;
  const { allocatable, ready } = state.index.rows();
  const { request } = queue.requestClass;
  const holds = (slot: number): boolean => ready[slot] === 1 && firstShort(allocatable, slot * STRIDE, request) < 0;
  queue.sizesAt = sizes;
  queue.isTooLarge = !state.index.inOrder().some(holds);
  return queue.isTooLarge;
};

export const headOf = (line: Line): MutableJob | undefined => {
  const queued = line.queue?.jobs.at(line.queueAt);
  const late = line.late[line.lateAt];
  if (queued === undefined || late === undefined) return queued ?? late;
  return queued.order < late.order ? queued : late;
};

const linesOf = (
  state: MutableState,
  due: Due,
  nowMs: number,
  { stopped, asksAll, knowsEnds, guest }: Pick<Circumstances, "stopped" | "asksAll" | "knowsEnds" | "guest">,
): Line[] => {
  let isFresh = false;
  const given = (priority: number): Float64Array => {
    if (!isFresh) state.ledger.refresh(state, stopped);
    isFresh = true;
    return state.ledger.below(priority);
  };
  const lines = new Map<string, Line>();
  for (const [key, queue] of asksAll ? state.queues.all() : state.queues.awake(state.index.sizes())) {
    const parked = !asksAll && isParked(state, queue, given);
    if (parked && isTooLarge(state, queue)) {
      state.queues.rest(key);
      continue;
    }
    lines.set(key, { requestClass: queue.requestClass, queue, isParked: parked, late: [], queueAt: 0, lateAt: 0 });
  }
  for (const job of [...due.keys()].sort((a, b) => a.order - b.order)) {
    const { requestClass, queueKey } = job;
    const queue = state.queues.get(queueKey);
    // In its queue it is met anyway.
    if (queue?.jobs.has(job) === true) continue;
    const line = lines.get(queueKey);
    if (line !== undefined) line.late.push(job);
    // Whose queue is there, and makes no line, is too large as well.
    else if (queue === undefined)
      lines.set(queueKey, { requestClass, queue, isParked: false, late: [job], queueAt: 0, lateAt: 0 });
  }
  const awake = [...lines.values()].filter((line) => !line.isParked);
  const highest = awake.reduce(
    (most, { late, queue }) => Math.max(most, queue?.priority ?? priorityOf((late[0] as MutableJob).spec)),
    NOW,
  );
  // The first end that is known may be that of what this plan places.
  const ends = ({ spec }: Pick<MutableJob, "spec">): boolean => endOf(spec, nowMs) < SOME_DAY;
  const knowsGuest = guest !== undefined && ends(guest);
  const mayKnowEnds = knowsEnds || knowsGuest || awake.some((line) => ends(headOf(line) as MutableJob));
  // Though there is nothing for them now, work behind them might have to wait for them; or others, before their turn, stop
  // what is too important for them, and leave room beside themselves.
  const mayMatter = (line: Line): boolean => {
    const { queue } = line;
    const job = headOf(line);
    if (queue === undefined || job === undefined) return false;
    const stopsOthers = highest > queue.priority && hasLesser(state, queue.priority);
    return stopsOthers || mayKnowEnds || mayBePromised(state, job, nowMs);
  };
  return [...lines.values()].filter((line) => !line.isParked || mayMatter(line));
};

/** The position of the first such job from there on, or the end: thousands may wait for one quota. */
const nextReplacing = ({ jobs, replacing }: ClassQueue, from: number): number => {
  const head = jobs.at(from);
  const next = head === undefined ? undefined : replacing.from(head);
  return next === undefined ? jobs.length : jobs.positionOf(next);
};

const orderOf = (line: Line): number => headOf(line)?.order ?? -1;

/** A job that nobody has submitted yet: it would be the last of its project at this standing. */
export interface Guest {
  readonly spec: JobSpec;
  readonly standing: number;
}

export interface Circumstances {
  /** This plan stops these: their room is coming. */
  readonly stopped: ReadonlySet<AllocationId>;
  /** Nobody counts as parked: the plan supposes room that the index has not heard of. */
  readonly asksAll: boolean;
  /** This plan has placed what is over at a time that is known. */
  readonly knowsEnds: boolean;
  readonly isAhead: (job: MutableJob) => boolean;
  /** These are not served; those behind them are. */
  readonly leftOut: ReadonlySet<JobKey>;
  /** Whoever comes after it is not served. */
  readonly guest: Guest | undefined;
}

/** All lines of one plan. A class for the same reason as `Serving`. */
export class Service {
  readonly #state: MutableState;
  readonly #nowMs: number;
  readonly #isAhead: (job: MutableJob) => boolean;
  readonly #leftOut: ReadonlySet<JobKey>;
  readonly #guest: Guest | undefined;
  /** By standing and project. */
  readonly #groups = new Map<string, Group>();
  /** While there is but one of them, nobody asks whose turn it is. */
  #only: Group | undefined;
  readonly #ofProject = new Map<ProjectName, readonly Group[]>();
  readonly #turns = new FairQueue<Group>();
  /** How many groups that wait have which standing. */
  readonly #rivals = new Map<number, number>();
  readonly #given = new Map<ProjectName, Vector>();

  constructor(state: MutableState, due: Due, nowMs: number, circumstances: Circumstances) {
    this.#state = state;
    this.#nowMs = nowMs;
    this.#isAhead = circumstances.isAhead;
    this.#leftOut = circumstances.leftOut;
    this.#guest = circumstances.guest;
    for (const line of linesOf(state, due, nowMs, circumstances)) this.putBack(line);
  }

  /** Takes out the line whose head is served next; `isShared`: another project waits at the same standing. */
  next(): { readonly line: Line; readonly job: MutableJob; readonly isShared: boolean } | undefined {
    const best = this.#only ?? this.#turns.first();
    if (best === undefined || best.lines.length === 0 || this.#comesAfterGuest(best)) return undefined;
    const line = best.lines.at(0) as Line;
    const isShared = (this.#rivals.get(best.standing) ?? 0) > 1 || this.#isGuestRival(best);
    const job = headOf(line) as MutableJob;
    best.lines.remove(line);
    if (best.lines.length === 0) this.#count(best, -1);
    this.#setTurn(best);
    return { line, job, isShared };
  }

  #count({ standing: at }: Group, by: 1 | -1): void {
    this.#rivals.set(at, (this.#rivals.get(at) ?? 0) + by);
  }

  #isGuestRival({ project, standing: at }: Group): boolean {
    return this.#guest?.standing === at && this.#guest.spec.project !== project;
  }

  #comesAfterGuest(best: Group): boolean {
    const turn = this.#guest === undefined ? undefined : this.#turnOf(best);
    if (this.#guest === undefined || turn === undefined) return false;
    const { spec, standing: at } = this.#guest;
    return !goesBefore(turn, { standing: at, share: this.#shareOf(spec.project), order: Number.POSITIVE_INFINITY });
  }

  #shareOf(project: ProjectName): number {
    return this.#state.usage.shareOf(project, this.#nowMs, this.#given.get(project));
  }

  #turnOf(owner: Group): Turn<Group> | undefined {
    const head = owner.lines.length === 0 ? undefined : headOf(owner.lines.at(0) as Line);
    if (head === undefined) return undefined;
    const { project, standing: at } = owner;
    return { owner, standing: at, share: this.#shareOf(project), order: head.order };
  }

  #setTurn(owner: Group): void {
    if (owner === this.#only) return;
    const turn = this.#turnOf(owner);
    if (turn === undefined) this.#turns.remove(owner);
    else this.#turns.set(turn);
  }

  /** Puts a line back: with the job that was served at its head, or with the one behind it. */
  putBack(line: Line): void {
    let job = headOf(line);
    for (; job !== undefined && this.#leftOut.has(job.key); job = headOf(line)) this.advance(line, job);
    if (job === undefined || !this.#isAhead(job)) return;
    const at = standing(job, this.#nowMs);
    const only = this.#only;
    const isOnly = only?.standing === at && only.project === job.project;
    const key = isOnly ? "" : `${at} ${job.project}`;
    let group = isOnly ? only : this.#groups.get(key);
    if (group === undefined) {
      group = { standing: at, project: job.project, lines: new SortedList<Line>(orderOf) };
      this.#groups.set(key, group);
      this.#only = this.#groups.size === 1 ? group : undefined;
      if (only !== undefined) this.#setTurn(only);
      this.#ofProject.set(job.project, [...(this.#ofProject.get(job.project) ?? []), group]);
    }
    if (group.lines.length === 0) this.#count(group, 1);
    group.lines.insert(line);
    this.#setTurn(group);
  }

  advance(line: Line, job: MutableJob): void {
    if (line.late[line.lateAt] === job) line.lateAt += 1;
    else line.queueAt += 1;
  }

  /** Leaves out the jobs at the head of a line of which nothing takes the place of an attempt on a lost host. */
  passOver(line: Line): void {
    const { late, queue } = line;
    if (queue !== undefined) line.queueAt = nextReplacing(queue, line.queueAt);
    for (let job = late[line.lateAt]; job !== undefined && !mayReplace(job); job = late[line.lateAt]) line.lateAt += 1;
  }

  /** So many tasks of this project were placed, or have their room kept. */
  give(project: ProjectName, request: Vector, tasks: number): void {
    // Nobody else's turn depends on it.
    if (tasks === 0 || (this.#ofProject.size === 1 && this.#guest === undefined)) return;
    let sum = this.#given.get(project);
    if (sum === undefined) this.#given.set(project, (sum = new Float64Array(STRIDE)));
    addRow(sum, 0, request, tasks);
    for (const group of this.#ofProject.get(project) ?? []) this.#setTurn(group);
  }
}
