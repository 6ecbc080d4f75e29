/** Why a task waits for the sake of others, or with others: room that is kept, gangs, promises; and what priorities would change. */
import {
  formatPriority,
  jobKey,
  MAX_LEVEL,
  priorityOf,
  type HostRejection,
  type JobKey,
  type UnblockHint,
} from "@berth/schema";
import { allocationsOn } from "./allocations-on.ts";
import { mayBackfill, withoutPromises, type Asking, type Promised } from "./backfill.ts";
import { mayStop } from "./disruption.ts";
import { SOME_DAY } from "./ends.ts";
import { mayReplace, slotsOf } from "./fold-tasks.ts";
import { gangHolds, gangLacks, gangNeed } from "./gang.ts";
import { hostsForAll } from "./gang-hosts.ts";
import { placeTask, wantingOf, type Wanting } from "./place-task.ts";
import { findEviction, findEvictionAt } from "./preempt.ts";
import { claimOf, QuotaBook, type QuotaHold } from "./quota.ts";
import { heldBy, type Explained } from "./sentences.ts";
import type { Serving } from "./serve.ts";
import type { MutableJob, MutableState, MutableTask } from "./state.ts";
import type { Tentative } from "./tentative.ts";
import { NO_BUDGETS, type Eviction } from "./victims-on.ts";
import { mountsVolumes } from "./volumes.ts";

const HIGHEST = priorityOf({ priority: { band: "system", level: MAX_LEVEL } });

/** Its room is kept and not empty yet. */
export const explainReserved = (
  state: MutableState,
  job: MutableJob,
  subject: string,
  index: number,
): Explained | undefined => {
  const hostId = job.reserved.get(index)?.hostId;
  if (hostId === undefined) return undefined;
  const waitsFor = allocationsOn(state, hostId).filter(({ desired }) => desired === "stop").length;
  const hold = { kind: "room_reserved", hostId, waitsFor } as const;
  return heldBy(subject, hold);
};

/** The tasks that a plan made now would place, if it could: those whose wait has ended since the newest transaction, too. */
const readyOf = (job: MutableJob, nowMs: number): number[] =>
  job.tasks
    .filter(({ active, index, notBeforeMs, status }) => {
      if (job.wanting.has(index)) return true;
      const isDue = notBeforeMs > 0 && notBeforeMs <= nowMs;
      return job.desired === "run" && status === "open" && active === null && isDue && !job.reserved.has(index);
    })
    .map(({ index }) => index);

/** What so many tasks of a gang, which start together, lack of their quota. */
const gangShort = (
  state: MutableState,
  quotas: QuotaBook,
  job: MutableJob,
  lacks: number,
  ready: readonly number[],
): QuotaHold | undefined => {
  const all = quotas.shortOf({ project: job.project, request: job.requestClass.request, many: lacks });
  if (all === undefined || !mayReplace(job)) return all;
  const mark = quotas.mark;
  let found: QuotaHold | undefined;
  for (const index of ready.slice(0, lacks)) {
    const claim = claimOf(state, job, job.tasks[index] as MutableTask);
    found ??= quotas.shortOf(claim);
    quotas.draw(claim);
  }
  quotas.undoTo(mark);
  return found;
};

/** Its project holds as much as it may; asked of the plan that stands, or of nothing but what is held. */
export const explainQuota = (
  state: MutableState,
  serving: Serving | undefined,
  job: MutableJob,
  subject: string,
  index: number,
  nowMs: number,
): Explained | undefined => {
  const task = job.tasks[index];
  if (task === undefined) return undefined;
  const quotas = serving?.quotas ?? new QuotaBook(state);
  const lacks = gangLacks(state, job);
  const hold =
    lacks > 1 ? gangShort(state, quotas, job, lacks, readyOf(job, nowMs)) : quotas.shortOf(claimOf(state, job, task));
  return hold === undefined ? undefined : heldBy(subject, hold);
};

/** A gang that lacks room for some of it; undefined when it is whole, or would be. */
export const explainGang = (
  state: MutableState,
  tentative: Tentative,
  serving: Serving | undefined,
  job: MutableJob,
  subject: string,
  nowMs: number,
): Explained | undefined => {
  const needed = gangNeed(job);
  // All tasks are counted only of a job that is one: every list of jobs comes by here.
  if (needed === 0) return undefined;
  const holds = gangHolds(state, job).length;
  if (holds >= needed) return undefined;
  const ready = readyOf(job, nowMs);
  const promised = serving?.promised ?? [];
  // What is promised to it stands in nobody's way but that of others.
  const own = promised.filter((kept) => kept.job === job);
  let able = withoutPromises(tentative, own, () => roomFor(state, tentative, job, needed, ready));
  // Members that are not back yet: room for all is not enough.
  const wanting = Math.min(ready.length, slotsOf(job) + job.stranded.size);
  const isReady = holds === 0 && job.reserved.size === 0 && wanting >= needed;
  // Room for none, or for all but for what others were promised: what stands against one of them says more.
  if (isReady && able === 0 && promised.length > own.length)
    able = withoutPromises(tentative, promised, () => roomFor(state, tentative, job, needed, ready));
  if (isReady && (able === 0 || able === needed)) return undefined;
  const hold = { kind: "gang", needed, able: Math.min(able, wanting) } as const;
  return heldBy(subject, hold);
};

/** So many of these tasks would find room together, up to `needed`. */
const roomFor = (
  state: MutableState,
  tentative: Tentative,
  job: MutableJob,
  needed: number,
  ready: readonly number[],
): number => {
  const able = roomAt(state, tentative, job, needed, ready);
  if (able >= needed) return able;
  const others = hostsForAll(state, job, needed).map((slot) => roomAt(state, tentative, job, needed, ready, slot));
  return Math.max(able, ...others);
};

/** `only`: all of them there. */
const roomAt = (
  state: MutableState,
  tentative: Tentative,
  job: MutableJob,
  needed: number,
  ready: readonly number[],
  only?: number,
): number => {
  const mark = tentative.bookings;
  let able = 0;
  let slots = slotsOf(job);
  for (const at of ready) {
    if (able >= needed) break;
    if (slots <= 0 && !job.stranded.has(at)) continue;
    if (placeTask(state, tentative, wantingOf(job, at), "place", 0, only).chosen !== undefined) {
      able += 1;
      if (!job.stranded.has(at)) slots -= 1;
    } else if (!mountsVolumes(job.spec)) break;
  }
  tentative.undoTo(mark);
  return able;
};

export type KeptFor = Extract<HostRejection, { reason: "kept" }>;

/** Hosts that could take it but for the room that is promised there to somebody else. */
export const keptFrom = (
  state: MutableState,
  promised: readonly Promised[],
  job: Asking & Pick<Wanting, "hostId">,
  nowMs: number,
): KeptFor[] => {
  const { project, name } = job.spec;
  const own = state.jobs.get(jobKey(project, name));
  // What one of them may do, those that start together may not: they would have been placed.
  const isGang = own?.spec === job.spec && gangLacks(state, own) > 1;
  return promised
    .filter(({ slot }) => job.hostId === undefined || state.index.idOf(slot) === job.hostId)
    .filter((kept) => {
      if (kept.job.spec === job.spec) return false;
      const verdict = mayBackfill(state, kept, job, nowMs);
      // What mounts volumes runs beside no promise, and waits until nobody else is to have the room.
      return verdict === "kept" || (verdict === "may" && (isGang || mountsVolumes(job.spec)));
    })
    .map(({ slot, job: { key: keptFor }, atMs }) => {
      const untilMs = atMs < SOME_DAY ? atMs : null;
      return { hostId: state.index.idOf(slot), reason: "kept", keptFor, untilMs };
    });
};

/** A known end of what runs, for which a task that fits nowhere has only to wait. */
export const waitHint = (state: MutableState, serving: Serving, job: MutableJob): UnblockHint[] => {
  const mine = serving.promised.find((kept) => kept.job === job);
  if (mine === undefined || mine.atMs >= SOME_DAY) return [];
  return [{ kind: "wait", hostId: state.index.idOf(mine.slot), untilMs: mine.atMs }];
};

type Where = Pick<Wanting, "hostId">;

/** Whose room it would get, of the whole cluster or of the one host that it is for, if it had that priority. */
const evictionFor = (
  state: MutableState,
  { taken }: Serving,
  { requestClass }: MutableJob,
  { hostId }: Where,
  { priority, budgets }: { readonly priority: number; readonly budgets?: typeof NO_BUDGETS },
): Eviction | undefined => {
  const slot = hostId === undefined ? undefined : state.hosts.get(hostId)?.slot;
  return slot === undefined
    ? findEviction(state, requestClass, priority, taken, undefined, budgets)
    : findEvictionAt(state, slot, requestClass, priority, taken, budgets);
};

/** The least priority with which it would get the room of others; none that helps only against its own tasks. */
export const priorityHint = (state: MutableState, serving: Serving, job: MutableJob, where: Where): UnblockHint[] => {
  if (mountsVolumes(job.spec)) return [];
  const eviction = evictionFor(state, serving, job, where, { priority: Number.POSITIVE_INFINITY });
  if (eviction === undefined || eviction.victims.length === 0) return [];
  if (eviction.victims.some(({ key }) => key === job.key)) return [];
  const top = eviction.victims.reduce((most, one) => (priorityOf(one.spec) > priorityOf(most.spec) ? one : most));
  if (priorityOf(top.spec) < priorityOf(job.spec) || priorityOf(top.spec) >= HIGHEST) return [];
  return [{ kind: "raise_priority", above: formatPriority(top.spec), victims: eviction.victims.length }];
};

/** The one job whose disruption budget alone keeps it from the room of less important work; of several none would do. */
export const disruptionHint = (state: MutableState, serving: Serving, job: MutableJob, where: Where): UnblockHint[] => {
  if (mountsVolumes(job.spec)) return [];
  const { taken } = serving;
  const eviction = evictionFor(state, serving, job, where, { priority: priorityOf(job.spec), budgets: NO_BUDGETS });
  if (eviction === undefined) return [];
  const asked = new Map<JobKey, number>();
  for (const { key, jobVersion } of eviction.victims)
    if (state.jobs.get(key)?.version === jobVersion) asked.set(key, (asked.get(key) ?? 0) + 1);
  const over = [...asked].flatMap(([key, victims]): UnblockHint[] => {
    const owner = state.jobs.get(key);
    const more = owner === undefined ? 0 : victims - mayStop(owner, taken.perJob.get(key));
    return more > 0 ? [{ kind: "relax_disruption", job: key, more }] : [];
  });
  return over.length === 1 ? over : [];
};
