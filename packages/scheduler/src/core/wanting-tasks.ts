/** Which tasks of a job a plan serves, one after the other. */
import type { MutableJob, MutableTask } from "./state.ts";

const NONE: readonly number[] = [];

/** Each once. */
export const ascending = (indices: Iterable<number>): number[] => [...new Set(indices)].sort((a, b) => a - b);

/**
 * The tasks of a job that want a placement now, by index; without a free slot only those that have one on a lost host. By
 * hand: a generator is too dear where most jobs have one such task.
 */
export class WantingTasks {
  readonly #job: MutableJob;
  readonly #late: readonly number[];
  #lateAt = 0;
  #at: number;
  /** What of the stranded may still go on, once no slot is left. */
  #rest: readonly number[] | undefined;
  #restAt = 0;
  /** How many more tasks may hold an allocation. */
  left: number;

  /** `asksAll`: also those tasks of a daemon that sleep. */
  constructor(job: MutableJob, due: readonly number[] | undefined, left: number, asksAll = false) {
    this.#job = job;
    const awake = asksAll ? undefined : job.daemon?.awake;
    this.#late = awake === undefined ? (due ?? NONE) : ascending([...awake, ...(due ?? NONE)]);
    this.#at = awake !== undefined ? -1 : job.wanting.next(0);
    this.left = left;
  }

  next(): MutableTask | undefined {
    const { tasks, stranded, wanting } = this.#job;
    while (this.#rest === undefined && this.left > 0) {
      const late = this.#late[this.#lateAt];
      if (this.#at < 0 && late === undefined) break;
      const takesLate = late !== undefined && (this.#at < 0 || late < this.#at);
      const index = takesLate ? late : this.#at;
      if (takesLate) this.#lateAt += 1;
      else this.#at = wanting.next(this.#at + 1);
      const task = tasks[index];
      if (task === undefined) continue;
      if (stranded.size === 0 || !stranded.has(index)) this.left -= 1;
      return task;
    }
    // No slot is left: of the rest, only the stranded may go on, since they hold one already; none while the job holds more
    // than it may, as when a host returns with what an earlier version had there.
    this.#rest ??=
      this.#at < 0 || this.left < 0 || stranded.size === 0
        ? NONE
        : ascending(stranded).filter((index) => index >= this.#at);
    while (this.#restAt < this.#rest.length) {
      const task = tasks[this.#rest[this.#restAt] as number];
      this.#restAt += 1;
      if (task !== undefined) return task;
    }
    return undefined;
  }
}

/** A job as this plan has served it so far. */
export interface Progress {
  readonly due: readonly number[] | undefined;
  /** No host can take its class for certain: it has its turn, and nothing is looked for. */
  readonly isParked: boolean;
  tasks: WantingTasks;
  /** The next task, taken from `tasks` but not served. */
  waiting: MutableTask | undefined;
  isGangPlaced: boolean;
}

export const nextTask = (at: Progress): MutableTask | undefined => {
  const { waiting } = at;
  at.waiting = undefined;
  return waiting ?? at.tasks.next();
};

/** Nothing for this one now; the slot that it would have had is another's. */
export const skip = (job: MutableJob, at: Progress, task: MutableTask): void => {
  if (!job.stranded.has(task.index)) at.tasks.left += 1;
};
