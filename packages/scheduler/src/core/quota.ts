/**
 * What projects may hold at a time. Whoever gives a task a place, or keeps room for it, asks here first: no placement takes
 * a project beyond its quota, and nothing is ever stopped for one. A project that holds more than a quota that was lowered
 * goes on with what it has, and gets nothing more; what takes the place of an attempt on a lost host is no more.
 *
 * The running sums are those of fair share, so an answer costs a few comparisons, whatever the project holds.
 */
import { amountIn, quotaEntries, type AllocationId, type Hold, type JobSpec, type ProjectName } from "@berth/schema";
import type { ProjectRecord } from "./projects.ts";
import type { ClusterState, MutableJob, MutableState, MutableTask } from "./state.ts";
import type { Holdings } from "./usage.ts";
import { BASE, STRIDE, type Vector } from "./vector.ts";
import { askedOf } from "./request-class.ts";

export type QuotaHold = Extract<Hold, { kind: "quota" }>;

interface Limits {
  readonly names: readonly string[];
  readonly amounts: Vector;
  readonly tasks: number;
}

const limitsOf = new WeakMap<ProjectRecord, Limits>();

/** As vectors say it; what is not limited is infinite. A dimension that no host has is limited by that already. */
const limits = (names: readonly string[], project: ProjectRecord): Limits => {
  const known = limitsOf.get(project);
  if (known?.names === names) return known;
  const amounts = new Float64Array(BASE).fill(Number.POSITIVE_INFINITY);
  for (const [name, amount] of quotaEntries(project.quota)) {
    const at = names.indexOf(name);
    if (at >= 0) amounts[at] = amount;
  }
  const made = { names, amounts, tasks: project.quota.tasks ?? Number.POSITIVE_INFINITY };
  limitsOf.set(project, made);
  return made;
};

/** What is asked for, `many` times, and what is given back by it. */
export interface Claim {
  readonly project: ProjectName;
  readonly request: Vector;
  readonly many: number;
  /** What the attempt requests that this one takes the place of. */
  readonly givesBack?: Vector | undefined;
}

/** One task, in the place of `previous`: what it has on a host that is waited for no longer. */
export const claimFor = (
  state: MutableState,
  project: ProjectName,
  request: Vector,
  previous: AllocationId | null,
): Claim => {
  const active = previous === null ? undefined : state.allocations.get(previous);
  return { project, request, many: 1, givesBack: active && askedOf(active.requestClass).request };
};

/** A task of a job as it would be placed now. */
export const claimOf = (state: MutableState, job: MutableJob, task: MutableTask): Claim =>
  claimFor(state, job.project, job.requestClass.request, task.active);

/** As room that is kept counts: beside what the task has on a lost host, until it is placed. */
export const wholeOf = ({ givesBack: _, ...claim }: Claim): Claim => claim;

const NOTHING: Readonly<Holdings> = { held: new Float64Array(STRIDE), tasks: 0 };

interface Drawn extends Claim {
  readonly sum: Holdings;
}

/** One plan's view of all quotas: what projects hold, and what the plan has given them. */
export class QuotaBook {
  readonly #state: MutableState;
  readonly #given = new Map<ProjectName, Holdings>();
  readonly #drawn: Drawn[] = [];

  constructor(state: MutableState) {
    this.#state = state;
  }

  /** Why a claim must wait; undefined when it need not. */
  shortOf(claim: Claim): QuotaHold | undefined {
    const { usage, projects, dimensions } = this.#state;
    // Most clusters have no quota at all.
    const record = projects.size === 0 ? undefined : projects.get(claim.project);
    if (record === undefined) return undefined;
    const { amounts, tasks } = limits(dimensions, record);
    const sums = [usage.heldBy(claim.project) ?? NOTHING, usage.keptFor(claim.project) ?? NOTHING] as const;
    const given = this.#given.get(claim.project) ?? NOTHING;
    const { many, project, request, givesBack } = claim;
    const check = (dimension: string, limit: number, used: number, requested: number): QuotaHold | undefined => {
      if (requested <= 0 || used + requested <= limit) return undefined;
      return { kind: "quota", project, dimension, limit, used, requested, short: used + requested - limit };
    };
    const used = sums[0].tasks + sums[1].tasks + given.tasks;
    const short = check("tasks", tasks, used, many - (givesBack === undefined ? 0 : 1));
    if (short !== undefined) return short;
    for (let at = 0; at < dimensions.length; at += 1) {
      const limit = amounts[at] as number;
      if (limit === Number.POSITIVE_INFINITY) continue;
      const holds = (sums[0].held[at] as number) + (sums[1].held[at] as number) + (given.held[at] as number);
      const asks = (request[at] as number) * many - ((givesBack?.[at] as number | undefined) ?? 0);
      const found = check(dimensions[at] ?? "", limit, holds, asks);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /** The plan has given it. */
  draw(claim: Claim): void {
    if (this.#state.projects.size === 0 || !this.#state.projects.has(claim.project)) return;
    let sum = this.#given.get(claim.project);
    if (sum === undefined) this.#given.set(claim.project, (sum = { held: new Float64Array(BASE), tasks: 0 }));
    book(sum, claim, 1);
    this.#drawn.push({ ...claim, sum });
  }

  /** Draws claims anew, as room that is kept for all of them; false when that is too much. What was drawn since is undone. */
  drawWhole(mark: number, claims: readonly { readonly claim: Claim }[]): boolean {
    this.undoTo(mark);
    for (const { claim } of claims) {
      const whole = wholeOf(claim);
      if (this.shortOf(whole) !== undefined) return false;
      this.draw(whole);
    }
    return true;
  }

  get mark(): number {
    return this.#drawn.length;
  }

  undoTo(mark: number): void {
    for (let last = this.#drawn.length; last > mark; last -= 1) {
      const drawn = this.#drawn.pop() as Drawn;
      book(drawn.sum, drawn, -1);
    }
  }
}

const book = (sum: Holdings, { givesBack, many, request }: Claim, sign: 1 | -1): void => {
  for (let at = 0; at < BASE; at += 1) {
    const change = (request[at] as number) * many - ((givesBack?.[at] as number | undefined) ?? 0);
    sum.held[at] = (sum.held[at] as number) + sign * change;
  }
  sum.tasks += sign * (many - (givesBack === undefined ? 0 : 1));
};

/** Whether it holds, or has kept for it, more than its quota is now. */
export const isOver = ({ usage, projects, dimensions }: MutableState, project: ProjectName): boolean => {
  const record = projects.get(project);
  if (record === undefined) return false;
  const { amounts, tasks } = limits(dimensions, record);
  const [holds, kept] = [usage.heldBy(project) ?? NOTHING, usage.keptFor(project) ?? NOTHING];
  if (holds.tasks + kept.tasks > tasks) return true;
  return amounts.some((limit, at) => (holds.held[at] as number) + (kept.held[at] as number) > limit);
};

/** What so many tasks of a job could never hold together, even if the project held nothing else. */
export const neverFits = (
  { projects }: Pick<ClusterState, "projects">,
  { project, requests }: Pick<JobSpec, "project" | "requests">,
  many: number,
): QuotaHold | undefined => {
  const record = projects.get(project);
  if (record === undefined) return undefined;
  const { more, ...fixed } = requests;
  const amounts: Readonly<Record<string, number>> = { ...more, ...fixed, tasks: 1 };
  for (const [dimension, limit] of quotaEntries(record.quota)) {
    const requested = many * amountIn(amounts, dimension);
    if (requested > limit)
      return { kind: "quota", project, dimension, limit, used: 0, requested, short: requested - limit };
  }
  return undefined;
};
