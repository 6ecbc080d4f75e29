/** Why a task waits for the sake of others, or with others: room that is kept, gangs, promises; and what priorities would change. */
import { formatPriority, MAX_LEVEL, priorityOf, type UnblockHint } from "@berth/schema";
import { allocationsOn } from "./allocations-on.ts";
import { mayBackfill } from "./backfill.ts";
import { SOME_DAY } from "./ends.ts";
import { slotsOf } from "./fold-tasks.ts";
import { gangHolds, gangNeed } from "./gang.ts";
import { placeTask, wantingOf } from "./place-task.ts";
import { findEviction } from "./preempt.ts";
import { claimOf, QuotaBook, type QuotaHold } from "./quota.ts";
import { heldBy, type Explained } from "./sentences.ts";
import { mayReplace, type Serving } from "./serve.ts";
import type { MutableJob, MutableState, MutableTask } from "./state.ts";
import type { Tentative } from "./tentative.ts";
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

/** What so many tasks of a gang, which start together, lack of their quota. */
const gangShort = (state: MutableState, quotas: QuotaBook, job: MutableJob, lacks: number): QuotaHold | undefined => {
  const all = quotas.shortOf({ project: job.project, request: job.requestClass.request, many: lacks });
  if (all === undefined || !mayReplace(job)) return all;
  const mark = quotas.mark;
  let found: QuotaHold | undefined;
  let seen = 0;
  for (let at = job.wanting.next(0); at >= 0 && seen < lacks; at = job.wanting.next(at + 1)) {
    const claim = claimOf(state, job, job.tasks[at] as MutableTask);
    found ??= quotas.shortOf(claim);
    quotas.draw(claim);
    seen += 1;
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
): Explained | undefined => {
  const task = job.tasks[index];
  if (task === undefined) return undefined;
  const quotas = serving?.quotas ?? new QuotaBook(state);
  const lacks = gangNeed(job) - gangHolds(state, job).length;
  const hold = lacks > 1 ? gangShort(state, quotas, job, lacks) : quotas.shortOf(claimOf(state, job, task));
  return hold === undefined ? undefined : heldBy(subject, hold);
};

/** A gang that lacks room for some of it; undefined when it is whole, or would be. */
export const explainGang = (
  state: MutableState,
  tentative: Tentative,
  job: MutableJob,
  subject: string,
): Explained | undefined => {
  const needed = gangNeed(job);
  const holds = gangHolds(state, job).length;
  if (needed === 0 || holds >= needed) return undefined;
  const mark = tentative.bookings;
  let able = 0;
  let slots = slotsOf(job);
  for (let at = job.wanting.next(0); at >= 0 && able < needed; at = job.wanting.next(at + 1)) {
    if (slots <= 0 && !job.stranded.has(at)) continue;
    if (placeTask(state, tentative, wantingOf(job, at), "place").chosen !== undefined) {
      able += 1;
      if (!job.stranded.has(at)) slots -= 1;
    } else if (!mountsVolumes(job.spec)) break;
  }
  tentative.undoTo(mark);
  // Room for none: what stands against one of them says more. Members that are not back yet: room for all is not enough.
  const wanting = Math.min(job.wanting.size, slotsOf(job) + job.stranded.size);
  const isReady = holds === 0 && job.reserved.size === 0 && wanting >= needed;
  if (isReady && (able === 0 || able === needed)) return undefined;
  const hold = { kind: "gang", needed, able: Math.min(able, wanting) } as const;
  return heldBy(subject, hold);
};

/** It fits where somebody else has been promised room. */
export const explainKept = (
  state: MutableState,
  serving: Serving | undefined,
  job: MutableJob,
  subject: string,
  nowMs: number,
): Explained | undefined => {
  for (const kept of serving?.promised ?? []) {
    if (kept.job === job || mayBackfill(state, kept, job, nowMs) !== "kept") continue;
    const untilMs = kept.atMs < SOME_DAY ? kept.atMs : null;
    const hold = { kind: "backfill", hostId: state.index.idOf(kept.slot), keptFor: kept.job.key, untilMs } as const;
    return heldBy(subject, hold, nowMs);
  }
  return undefined;
};

/** A known end of what runs, for which a task that fits nowhere has only to wait. */
export const waitHint = (state: MutableState, serving: Serving, job: MutableJob): UnblockHint[] => {
  const mine = serving.promised.find((kept) => kept.job === job);
  if (mine === undefined || mine.atMs >= SOME_DAY) return [];
  return [{ kind: "wait", hostId: state.index.idOf(mine.slot), untilMs: mine.atMs }];
};

/** The least priority with which it would get the room of others; none that helps only against its own tasks. */
export const priorityHint = (state: MutableState, serving: Serving, job: MutableJob): UnblockHint[] => {
  if (mountsVolumes(job.spec)) return [];
  const eviction = findEviction(state, job.requestClass, Number.POSITIVE_INFINITY, serving.taken);
  if (eviction === undefined || eviction.victims.length === 0) return [];
  if (eviction.victims.some(({ key }) => key === job.key)) return [];
  const top = eviction.victims.reduce((most, one) => (priorityOf(one.spec) > priorityOf(most.spec) ? one : most));
  if (priorityOf(top.spec) < priorityOf(job.spec) || priorityOf(top.spec) >= HIGHEST) return [];
  return [{ kind: "raise_priority", above: formatPriority(top.spec), victims: eviction.victims.length }];
};
