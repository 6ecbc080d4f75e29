/**
 * What each project holds, and held lately: the measure of fair share and of quotas. A project's share is that of its
 * dominant resource: the dimension of which it holds the largest part of the cluster (Ghodsi et al., Dominant Resource
 * Fairness, NSDI 2011), divided by its weight when projects are compared. What it held before counts with half of its weight
 * after each HALF_LIFE_MS, as in the fair share of batch systems.
 */
import { DEFAULT_WEIGHT, type ProjectName } from "@berth/schema";
import { addRow, BASE, STRIDE, type Vector } from "./vector.ts";

export const HALF_LIFE_MS = 6 * 3_600_000;

/** What tasks request together, and how many they are. */
export interface Holdings {
  readonly held: Vector;
  tasks: number;
}

interface Project extends Holdings {
  /** Mean share in the past, 0…1. */
  recent: number;
  sinceMs: number;
}

export type UsageFacts = readonly (readonly [ProjectName, { readonly recent: number; readonly sinceMs: number }])[];

export interface Shares {
  readonly now: number;
  readonly recent: number;
}

export interface Usage {
  /** The sum of what may be booked, over all hosts. */
  readonly total: Vector;
  readonly grow: (before: Vector, after: Vector) => void;
  /** What was held until now was a part of what there was until now. Before hosts have other sizes. */
  readonly settle: (atMs: number) => void;
  readonly add: (project: ProjectName, request: Vector, sign: 1 | -1, atMs: number) => void;
  /** Restores bookings without time having passed. */
  readonly rebook: (project: ProjectName, request: Vector) => void;
  /** Room that is kept for it is its own already. `extra`: what a plan has given it. */
  readonly sharesOf: (project: ProjectName, nowMs: number, extra?: Vector) => Shares;
  /** Both together, over the weight: by this projects are compared. */
  readonly shareOf: (project: ProjectName, nowMs: number, extra?: Vector) => number;
  readonly facts: () => UsageFacts;
  /** Whether anybody holds anything of this dimension, or has it kept. */
  readonly isHeld: (at: number) => boolean;
  /** Of all its tasks that have not ended. */
  readonly heldBy: (project: ProjectName) => Readonly<Holdings> | undefined;
  /** Room that is kept for its tasks. */
  readonly keep: (project: ProjectName, request: Vector, sign: 1 | -1) => void;
  readonly keptFor: (project: ProjectName) => Readonly<Holdings> | undefined;
  readonly setWeight: (project: ProjectName, weight: number) => void;
  readonly weightOf: (project: ProjectName) => number;
}

/** Of so small a past nothing is remembered. */
const FORGOTTEN = 1e-6;
/** From here on they are gone through whenever they are twice as many. */
const MANY = 256;

const NOTHING: Vector = new Float64Array(BASE);
const nothing = (): Holdings => ({ held: new Float64Array(BASE), tasks: 0 });

export const createUsage = (facts: UsageFacts = []): Usage => {
  const total = new Float64Array(STRIDE);
  const projects = new Map<ProjectName, Project>(
    facts.map(([name, { recent, sinceMs }]) => [name, { ...nothing(), recent, sinceMs }]),
  );
  const kept = new Map<ProjectName, Holdings>();
  /** Those that differ from the usual one. */
  const weights = new Map<ProjectName, number>();

  const shareOf = (held: Vector, kept?: Vector, extra?: Vector): number => {
    let share = 0;
    // Devices one by one are in no sum: what they come to is a dimension.
    for (let at = 0; at < BASE; at += 1) {
      const all = total[at] as number;
      if (all > 0) share = Math.max(share, ((held[at] as number) + (kept?.[at] ?? 0) + (extra?.[at] ?? 0)) / all);
    }
    return Math.min(1, share);
  };

  const recentAt = (project: Project, nowMs: number): number => {
    const passed = nowMs - project.sinceMs;
    if (passed <= 0) return project.recent;
    const kept = 2 ** (-passed / HALF_LIFE_MS);
    return project.recent * kept + shareOf(project.held) * (1 - kept);
  };

  const settle = (project: Project, atMs: number): void => {
    if (atMs <= project.sinceMs) return;
    project.recent = recentAt(project, atMs);
    project.sinceMs = atMs;
  };

  const isForgotten = (project: Project, atMs: number): boolean =>
    project.tasks === 0 && recentAt(project, atMs) < FORGOTTEN && project.held.every((amount) => amount === 0);

  /** Projects come and go: whoever holds nothing and held nothing lately is known no longer. */
  const forget = (atMs: number): void => {
    for (const [name, project] of projects) if (isForgotten(project, atMs)) projects.delete(name);
  };

  const projectOf = (name: ProjectName, atMs: number): Project => {
    const known = projects.get(name);
    if (known !== undefined) return known;
    if (projects.size >= MANY && (projects.size & (projects.size - 1)) === 0) forget(atMs);
    const made = { ...nothing(), recent: 0, sinceMs: atMs };
    projects.set(name, made);
    return made;
  };

  const book = (holdings: Holdings, request: Vector, sign: 1 | -1): void => {
    addRow(holdings.held, 0, request, sign, BASE);
    holdings.tasks += sign;
  };

  const weightOf = (name: ProjectName): number => weights.get(name) ?? DEFAULT_WEIGHT;

  const sharesOf = (name: ProjectName, nowMs: number, extra?: Vector): Shares => {
    const project = projects.get(name);
    const now = shareOf(project?.held ?? NOTHING, kept.get(name)?.held, extra);
    return { now, recent: project === undefined ? 0 : recentAt(project, nowMs) };
  };

  return {
    total,
    grow: (before, after) => {
      addRow(total, 0, after);
      addRow(total, 0, before, -1);
    },
    settle: (atMs) => {
      for (const project of projects.values()) settle(project, atMs);
    },
    add: (name, request, sign, atMs) => {
      const project = projectOf(name, atMs);
      settle(project, atMs);
      book(project, request, sign);
      if (sign === -1 && isForgotten(project, atMs)) projects.delete(name);
    },
    rebook: (name, request) => book(projectOf(name, 0), request, 1),
    sharesOf,
    shareOf: (name, nowMs, extra) => {
      const { now, recent } = sharesOf(name, nowMs, extra);
      // Exactly as without weights where there are none.
      return ((now + recent) * DEFAULT_WEIGHT) / weightOf(name);
    },
    facts: () => [...projects].map(([name, { recent, sinceMs }]) => [name, { recent, sinceMs }] as const),
    isHeld: (at) => [...projects.values(), ...kept.values()].some(({ held }) => held[at] !== 0),
    heldBy: (name) => projects.get(name),
    keep: (name, request, sign) => {
      const known = kept.get(name) ?? nothing();
      book(known, request, sign);
      if (known.tasks > 0) kept.set(name, known);
      else kept.delete(name);
    },
    keptFor: (name) => kept.get(name),
    setWeight: (name, weight) => {
      if (weight === DEFAULT_WEIGHT) weights.delete(name);
      else weights.set(name, weight);
    },
    weightOf,
  };
};
