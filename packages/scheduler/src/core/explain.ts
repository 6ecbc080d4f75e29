/**
 * Why a task is where it is, or is nowhere. Explanations are computed from the same index and the same question of fit as
 * plans, so that they cannot tell another story.
 */
import {
  amountIn,
  type HostId,
  type AllocationId,
  type HostRejection,
  err,
  jobKey,
  ok,
  problem,
  taskName,
  type JobName,
  type JobSpec,
  type Problem,
  type ProjectName,
  type Result,
} from "@berth/schema";
import { explainPlanned, keyOf, plannedOf } from "./planned-task.ts";
import { leftBeside, whyRetired } from "./daemons.ts";
import { rejection } from "./feasibility.ts";
import { slotsOf } from "./fold-tasks.ts";
import { planOn } from "./plan.ts";
import {
  explainGang,
  explainQuota,
  explainReserved,
  keptFrom,
  disruptionHint,
  priorityHint,
  waitHint,
  type KeptFor,
} from "./explain-policy.ts";
import { withoutPromises, type Promised } from "./backfill.ts";
import { isGivenUp, patienceOf } from "./patience.ts";
import { holderOf } from "./ports.ts";
import type { ImageSight } from "./image-start.ts";
import { placeTask, setAside, wantingOf, type Wanting } from "./place-task.ts";
import type { RequestClass } from "./request-class.ts";
import type { RuleRejection } from "./rule-check.ts";
import { blockedSentence, explainChosen, holdSentence, heldBy, type Explained } from "./sentences.ts";
import type { Serving } from "./serve.ts";
import { type AllocationRecord, type MutableJob, type MutableState, type TaskRecord } from "./state.ts";
import { type Chosen, type Tentative } from "./tentative.ts";
import { mountsVolumes, type VolumeSight } from "./volumes.ts";
import { unblockHints, type Seen } from "./unblock-hints.ts";
import { scoreOf } from "./kept-score.ts";

export const RUNNERS_UP = 3;

/** Every host that said hello, by id, with what it has left now (tentative bookings included); or the only one that counts. */
const seenHosts = (
  state: MutableState,
  requestClass: RequestClass,
  sight: VolumeSight,
  only: HostId | undefined,
): Seen[] => {
  const refusalOn = state.index.refusals(requestClass);
  const slot = only === undefined ? undefined : state.hosts.get(only)?.slot;
  return (slot === undefined ? state.index.inOrder() : [slot])
    .map((slot) => ({ slot, room: state.index.room(slot) }))
    .filter(({ room }) => (state.hosts.get(room.hostId)?.capacity ?? null) !== null)
    .map(({ slot, room }) => ({
      room,
      rule: elsewhere(sight, room.hostId) ?? refusalOn(slot),
      rules: () => state.index.rulesAgainst(slot, requestClass),
    }));
};

/** What its volumes have against a host. */
const elsewhere = (sight: VolumeSight, hostId: HostId): RuleRejection | undefined => {
  if (sight.kind === "anywhere" || (sight.kind === "host" && sight.hostId === hostId)) return undefined;
  const actual = sight.kind === "nowhere" ? sight.why : `its data is on ${sight.hostId}`;
  return { hostId, reason: "volume", rule: `volume ${sight.name}`, actual };
};

/** A host's first failing check: lost, what it is, whether it could ever hold it, room, and how others stand around it. */
const firstFailing = (
  { room, rule }: Pick<Seen, "room" | "rule">,
  requestClass: RequestClass,
  names: readonly string[],
) => {
  const refused = rejection(room, requestClass, names);
  if (refused?.reason === "lost") return refused;
  return rule?.reason === "constraint" || rule?.reason === "volume" ? rule : (refused ?? rule);
};

/** What others have been promised: see keptFrom. */
export interface Promises {
  readonly promised: readonly Promised[];
  readonly kept: readonly KeptFor[];
}
const NO_PROMISES: Promises = { promised: [], kept: [] };

/** Where the request would go on these bookings, or why nowhere. `place` books it. */
export const explainRequest = (
  state: MutableState,
  tentative: Tentative,
  wanting: Wanting,
  subject: string,
  how: "look" | "place",
  { promised, kept }: Promises = NO_PROMISES,
): Explained & { readonly chosen: Chosen | undefined } => {
  const { asked, chosen, sight } = placeTask(state, tentative, wanting, how, RUNNERS_UP);
  if (chosen !== undefined) {
    return { chosen, ...explainChosen(subject, chosen) };
  }
  const keptBy = new Map<string, HostRejection>(kept.map((one) => [one.hostId, one]));
  return withoutPromises(tentative, promised, () => {
    setAside(state, tentative, wanting.previous);
    const seen = seenHosts(state, asked, sight, wanting.hostId);
    const hosts = seen
      .map((one) => firstFailing(one, asked, state.dimensions) ?? keptBy.get(one.room.hostId))
      .filter((refused) => refused !== undefined)
      .map((refused) => byState(state, refused, asked));
    return {
      chosen,
      sentence: blockedSentence(subject, hosts),
      outcome: { kind: "blocked", hosts, unblockedBy: unblockHints(seen, asked, state.dimensions, sight) },
    };
  });
};

/** The packer knows only that a host takes nothing; the state knows why. */
const byState = (state: MutableState, refused: HostRejection, { unknown }: RequestClass): HostRejection => {
  if (refused.reason === "uncounted" && unknown !== null) {
    const { name: dimension, amount } = unknown;
    // What it has not, nobody need count there.
    const has = amountIn(state.hosts.get(refused.hostId)?.allocatable.more, dimension);
    const none = { reason: "too_small", requested: amount, free: 0, short: amount } as const;
    return has > 0 ? refused : { hostId: refused.hostId, dimension, ...none };
  }
  if (refused.reason === "port") {
    const holder = holderOf(state, refused.hostId, Number(refused.rule.replace("port ", "")));
    return holder === undefined ? refused : { ...refused, actual: `is taken by ${holder}` };
  }
  const reached = state.hosts.get(refused.hostId)?.state;
  const isClosed = reached === "cordoned" || reached === "draining" || reached === "disconnected";
  return refused.reason === "lost" && isClosed ? { hostId: refused.hostId, reason: reached } : refused;
};

const onHost = (allocation: AllocationRecord, sentence: string): Explained => ({
  sentence,
  outcome: { kind: "placed", hostId: allocation.hostId, score: scoreOf(allocation), runnersUp: [] },
});

const VERBS = {
  placed: "is placed",
  preparing: "is being prepared",
  starting: "starts",
  running: "runs",
  stopping: "stops",
};

/** `own`: the slots that the task holds already. */
const explainThrottle = (job: MutableJob, subject: string, own: 0 | 1): Explained | undefined => {
  const limit = job.spec.maxRunning;
  if (limit === null || slotsOf(job) + own > 0) return undefined;
  const hold = { kind: "max_running", limit, running: limit - slotsOf(job) } as const;
  return heldBy(subject, hold);
};

/** Something of an earlier version stands where this task of a daemon belongs. */
export const explainLeft = (
  state: MutableState,
  job: MutableJob,
  subject: string,
  index: number,
): Explained | undefined => {
  const task = job.tasks[index];
  const left = task === undefined ? undefined : leftBeside(state, job, task);
  if (left === undefined) return undefined;
  const hold = { kind: "previous_stopping" } as const;
  const other = `${left.project}/${taskName(left.job, left.index)}`;
  const sentence = `${subject} starts when ${other} of an earlier version has ended on ${left.hostId}`;
  return { sentence, outcome: { kind: "held", hold } };
};

const waitSentence = (spec: JobSpec): string => {
  const patienceMs = patienceOf(spec);
  if (patienceMs === null || patienceMs === Number.POSITIVE_INFINITY)
    return "it waits for it, as disconnect.action says";
  const why = spec.disconnect?.singleton === true ? "since it is a singleton" : "as disconnect.after says";
  return `it is placed elsewhere after ${Math.ceil(patienceMs / 1_000)} s of silence, ${why}`;
};

/** A task that wants a place: what keeps it from one, where it would go, or why nowhere. `own`: the slots it holds already. */
const explainWanting = (
  state: MutableState,
  tentative: Tentative,
  job: MutableJob,
  index: number,
  nowMs: number,
  serving: Serving | undefined,
  own: 0 | 1 = 0,
): Explained => {
  const subject = `${job.project}/${taskName(job.name, index)}`;
  const held =
    explainLeft(state, job, subject, index) ??
    explainReserved(state, job, subject, index) ??
    explainThrottle(job, subject, own) ??
    explainQuota(state, serving, job, subject, index, nowMs) ??
    explainGang(state, tentative, serving, job, subject, nowMs);
  if (held !== undefined) return held;
  const promised = serving?.promised ?? [];
  const wanting = wantingOf(job, index);
  const kept = keptFrom(state, promised, wanting, nowMs);
  const explained = explainRequest(state, tentative, wanting, subject, "look", { promised, kept });
  if (explained.outcome.kind !== "blocked") return explained;
  // Where its volumes are is said host by host.
  if (kept[0] !== undefined && !mountsVolumes(job.spec)) {
    const { hostId, keptFor, untilMs } = kept[0];
    return heldBy(subject, { kind: "backfill", hostId, keptFor, untilMs }, nowMs);
  }
  const { hosts, unblockedBy } = explained.outcome;
  if (serving === undefined) return explained;
  // Before another host, which is always the last resort, where another would do.
  const isLast = unblockedBy.at(-1)?.kind === "add_host" ? 1 : 0;
  const others = unblockedBy.slice(0, unblockedBy.length - isLast);
  const hints = [
    ...waitHint(state, serving, job),
    ...others,
    ...disruptionHint(state, serving, job, wanting),
    ...priorityHint(state, serving, job, wanting),
    ...unblockedBy.slice(others.length),
  ];
  return { ...explained, outcome: { kind: "blocked", hosts, unblockedBy: hints.slice(0, 16) } };
};

const explainActive = (
  state: MutableState,
  tentative: Tentative,
  job: MutableJob,
  subject: string,
  allocation: AllocationRecord,
  nowMs: number,
  serving: Serving | undefined,
): Explained => {
  const { hostId } = allocation;
  const reached = state.hosts.get(hostId)?.state;
  const isLost = reached === "lost";
  if (job.desired === "stop") {
    const wait = isLost ? `, which is lost: it is stopped there when ${hostId} returns` : "";
    return onHost(allocation, `${subject} is being stopped on ${hostId}${wait}`);
  }
  if (isGivenUp(state, allocation.id)) {
    const own = job.stranded.has(allocation.index) ? 1 : 0;
    const next = explainWanting(state, tentative, job, allocation.index, nowMs, serving, own);
    if (next.outcome.kind === "held") return next;
    if (next.outcome.kind === "placed")
      return { ...next, sentence: `${next.sentence}, because ${hostId} is ${reached}` };
    return { ...next, sentence: `${subject} is on ${hostId}, which is ${reached}; ${next.sentence}` };
  }
  if (allocation.jobVersion !== job.version) {
    const hold = { kind: "previous_stopping" } as const;
    return { sentence: `${holdSentence(subject, hold, 0)} on ${hostId}`, outcome: { kind: "held", hold } };
  }
  if (isLost) return onHost(allocation, `${subject} is on ${hostId}, which is lost; ${waitSentence(allocation.spec)}`);
  const verb = VERBS[allocation.state as keyof typeof VERBS] ?? allocation.state;
  return onHost(allocation, `${subject} ${verb} on ${hostId}`);
};

const explainEnd = (subject: string, task: TaskRecord, result: "succeeded" | "failed" | "stopped"): Explained => {
  const code = task.exit === null ? "" : ` with exit code ${task.exit.code}`;
  const sentence =
    result === "stopped" ? `${subject} was stopped` : `${subject} ${result}${result === "failed" ? code : ""}`;
  return { sentence, outcome: { kind: "finished", result } };
};

export const explainTask = (
  state: MutableState,
  tentative: Tentative,
  job: MutableJob,
  task: TaskRecord,
  nowMs: number,
  serving?: Serving,
): Explained => {
  const subject = `${job.project}/${taskName(job.name, task.index)}`;
  if (task.status === "stopped" && job.daemon !== null && job.desired === "run")
    return { sentence: whyRetired(state, job, task), outcome: { kind: "finished", result: "stopped" } };
  if (task.status !== "open") return explainEnd(subject, task, task.status);
  const active = task.active === null ? undefined : state.allocations.get(task.active);
  if (active !== undefined) return explainActive(state, tentative, job, subject, active, nowMs, serving);
  if (task.notBeforeMs > nowMs) {
    const hold = { kind: "backoff", untilMs: task.notBeforeMs, attempt: task.attempts + 1 } as const;
    const code = task.exit === null ? "" : `; attempt ${task.attempts} ended with exit code ${task.exit.code}`;
    return { sentence: `${holdSentence(subject, hold, nowMs)}${code}`, outcome: { kind: "held", hold } };
  }
  return explainWanting(state, tentative, job, task.index, nowMs, serving);
};

/** A host's first failing check for a request on these bookings, or undefined when it could take it now. */
export const refusalAt = (
  state: MutableState,
  slot: number,
  requestClass: RequestClass,
  sight: VolumeSight,
): HostRejection | undefined => {
  const room = state.index.room(slot);
  const seen = { room, rule: elsewhere(sight, room.hostId) ?? state.index.refusal(slot, requestClass) };
  const refused = firstFailing(seen, requestClass, state.dimensions);
  return refused === undefined ? undefined : byState(state, refused, requestClass);
};

/** The task with this index, or what there is instead. */
export const taskAt = (
  state: MutableState,
  project: ProjectName,
  name: JobName,
  index: number,
): Result<{ readonly job: MutableJob; readonly task: TaskRecord }, Problem> => {
  const job = state.jobs.get(jobKey(project, name));
  if (job === undefined) return err(problem("job.not_found", `there is no job ${project}/${name}`));
  const task = job.tasks[index];
  if (task !== undefined) return ok({ job, task });
  const { length } = job.tasks;
  const range =
    length === 0
      ? "no host is one for it yet"
      : length === 1
        ? "its only task is 0"
        : `its tasks are 0 to ${length - 1}`;
  return err(problem("task.not_found", `${project}/${name} has no task ${index}; ${range}`));
};

/** So much of the queue is planned before a task is explained: what stands before it goes first. */
export const AHEAD = { maxPlacements: 256 } as const;

/** What a plan made now would do for this task, and if nothing, why not. */
export const explainWaiting = (
  state: MutableState,
  tentative: Tentative,
  job: MutableJob,
  task: TaskRecord,
  nowMs: number,
  images?: ImageSight,
): Explained =>
  planOn(state, tentative, { nowMs, makeAllocationId: noIds, images }, AHEAD, ({ records }, serving) => {
    const planned = records.map(plannedOf).find((one) => one?.index === task.index && keyOf(one) === job.key);
    return planned === undefined || planned === null
      ? explainTask(state, tentative, job, task, nowMs, serving)
      : explainPlanned(state, job, planned, images);
  });

/** Ids for plans that nobody appends. */
export const noIds = (): AllocationId => "" as AllocationId;

export const waits = (state: MutableState, job: MutableJob, task: TaskRecord): boolean =>
  job.desired === "run" && task.status === "open" && (task.active === null || isGivenUp(state, task.active));
