/** What running a document would do now, down to the host of each task. Nothing is changed. */
import {
  DISK,
  err,
  type AllocationId,
  jobKey,
  ok,
  priorityOf,
  taskName,
  TASK_DISK_NOT_ENFORCED,
  VOLUME_SIZES_NOT_ENFORCED,
  type JobSpec,
  type Outcome,
  type PlanView,
  type Problem,
  type Result,
} from "@berth/schema";
import { exceedsQuota, submitAction } from "./decide-jobs.ts";
import { crowdedOut, learnAsked, newlyAsked, noteAsked } from "./dimensions.ts";
import { planDaemon } from "./dry-run-daemon.ts";
import { hostsForAll } from "./gang-hosts.ts";
import { copyOf } from "./hypothesis.ts";
import { isGivenUp } from "./patience.ts";
import { explainRequest, explainTask } from "./explain.ts";
import { keptFrom } from "./explain-policy.ts";
import type { Wanting } from "./place-task.ts";
import { planOn, type PlanEnv } from "./plan.ts";
import { missingSecret } from "./secrets.ts";
import { claimFor, wholeOf, type Claim, type QuotaHold } from "./quota.ts";
import { explainChosen, preemptsSentence, heldBy, type Explained } from "./sentences.ts";
import type { Serving } from "./serve.ts";
import { inside, type ClusterState, type MutableJob, type MutableState } from "./state.ts";
import { tentatively, type Chosen, type Tentative } from "./tentative.ts";
import { mountsVolumes } from "./volumes.ts";
import type { Turns } from "./turns.ts";
import { victimOf } from "./victims.ts";

/** A plan lists at most this many tasks, and this many refusing hosts over all of them; a warning counts the rest. */
const MAX_TASKS_LISTED = 1_000;
const MAX_HOSTS_LISTED = 20_000;

const RUNNERS_UP = 3;

type TaskPlan = PlanView["tasks"][number];

/** Work that is queued already goes first, as it would. */
const ALL_QUEUED = { maxPlacements: 100_000 } as const;

const simulate = (
  state: MutableState,
  tentative: Tentative,
  serving: Serving,
  turns: Turns,
  spec: JobSpec,
  job: MutableJob | undefined,
  nowMs: number,
) => {
  const tasks: TaskPlan[] = [];
  const hostsUsed = new Set<string>();
  const requestClass = state.classes.passing(state.dimensions, spec);
  const totals = { placed: 0, preempts: 0, blocked: 0, held: 0 };
  // What an earlier version has left on lost hosts does not count, and gives way.
  const holds = (id: AllocationId | null): boolean => id !== null && !isGivenUp(state, id);
  const previousOf = (index: number): AllocationId | null => job?.tasks[index]?.active ?? job?.extra.get(index) ?? null;
  const holding = [...(job?.tasks ?? []).map((task) => task.active), ...(job?.extra.values() ?? [])].filter(
    holds,
  ).length;
  let slots = (spec.maxRunning ?? Number.POSITIVE_INFINITY) - holding;
  let hostsListed = 0;
  let served = 0;
  let blocked: Explained | undefined;

  const outcomeOf = (index: number, subject: string): Explained => {
    if (holds(previousOf(index))) {
      const hold = { kind: "previous_stopping" } as const;
      return heldBy(subject, hold);
    }
    if (slots <= 0) {
      const limit = spec.maxRunning ?? 0;
      const hold = { kind: "max_running", limit, running: limit - Math.min(slots, 0) } as const;
      return heldBy(subject, hold);
    }
    // Before what is not of the gang others may have their turn.
    if (served >= gangMin) turns.serve();
    const claim = claimAt(index);
    const short = serving.quotas.shortOf(claim);
    if (short !== undefined) return heldBy(subject, short);
    // One request: where the first did not fit, no other will, unless its volumes are elsewhere.
    if (blocked !== undefined) return { ...blocked, sentence: `${subject} waits like the task before it` };
    const found = oneMore(index, subject, gang.only);
    if (found === undefined) {
      const explained = whyNowhere(index, subject);
      if (!mountsVolumes(spec)) blocked = explained;
      return explained;
    }
    serving.quotas.draw(gang.waits || found.outcome.kind === "preempts" ? wholeOf(claim) : claim);
    slots -= 1;
    served += 1;
    if (found.chosen !== undefined && !gang.waits) serving.noteEnd(spec, found.chosen);
    if (served >= gangMin) turns.giveGuest(requestClass.request, served === gangMin ? gangMin : 1);
    const { outcome } = found;
    if (outcome.kind === "placed" || outcome.kind === "preempts") hostsUsed.add(outcome.hostId);
    if (!gang.waits) return found;
    // Nobody starts before all of the gang have their room; the others of the job come after that.
    if (served === gangMin) blocked = heldByGang(subject, gangMin);
    if (outcome.kind !== "placed") return found;
    const hold = { kind: "room_reserved", hostId: outcome.hostId, waitsFor: 0 } as const;
    return heldBy(subject, hold);
  };

  const claimAt = (index: number): Claim => claimFor(state, spec.project, requestClass.request, previousOf(index));

  const asking = { spec, requestClass };
  const wantingOf = (index: number): Wanting => ({ ...asking, index, previous: previousOf(index) });
  const whyNowhere = (index: number, subject: string): Explained => {
    const { promised } = serving;
    const promises = { promised, kept: keptFrom(state, promised, asking, nowMs) };
    return explainRequest(state, tentative, wantingOf(index), subject, "look", promises);
  };
  /** Where one more of these tasks goes, with whose room; books it. */
  const oneMore = (index: number, subject: string, only?: number): Found | undefined => {
    const chosen = serving.find(wantingOf(index), RUNNERS_UP, only);
    if (chosen !== undefined) return { ...explainChosen(subject, chosen), chosen };
    const eviction = serving.evict(wantingOf(index), claimAt(index));
    if (eviction === undefined) return undefined;
    const { hostId } = eviction;
    const victims = eviction.victims.map(({ id }) => victimOf(state, id)).filter((victim) => victim !== undefined);
    return { sentence: preemptsSentence(subject, hostId, victims), outcome: { kind: "preempts", hostId, victims } };
  };

  const gangMin = spec.gangMin ?? 0;
  const indices = Array.from({ length: gangMin === 0 ? 0 : spec.count }, (_, index) => index);
  const members = indices.filter((index) => !holds(previousOf(index)));
  const wanting = Math.max(0, Math.min(members.length, slots));
  const heldByGang = (subject: string, able: number): Explained => {
    const hold = { kind: "gang", needed: gangMin, able } as const;
    return heldBy(subject, hold);
  };
  const gangOn = (only?: number): Gang =>
    gangIn(spec, members, serving, claimAt, (index) => oneMore(index, "", only), only);
  const findGang = (): Gang => {
    const found = gangOn();
    if (found.able >= gangMin || found.hold !== undefined) return found;
    for (const slot of hostsForAll(state, asking, gangMin)) {
      const there = gangOn(slot);
      if (there.able >= gangMin && there.hold === undefined) return there;
    }
    return found;
  };
  const gang = wanting < gangMin ? { able: wanting, waits: false, hold: undefined, only: undefined } : findGang();
  if (gang.hold !== undefined) blocked = heldBy(`${spec.project}/${spec.name}`, gang.hold);
  else if (gang.able < gangMin) {
    const name = `${spec.project}/${spec.name}`;
    blocked = gang.able === 0 && wanting > 0 ? whyNowhere(members[0] ?? 0, name) : heldByGang(name, gang.able);
  }

  for (let index = 0; index < spec.count; index += 1) {
    const subject = `${spec.project}/${taskName(spec.name, index)}`;
    const { sentence, outcome } = outcomeOf(index, subject);
    if (outcome.kind !== "finished") totals[outcome.kind] += 1;
    if (tasks.length >= MAX_TASKS_LISTED) continue;
    let listed = outcome;
    if (outcome.kind === "blocked") {
      if (hostsListed + outcome.hosts.length > MAX_HOSTS_LISTED && hostsListed > 0) listed = { ...outcome, hosts: [] };
      else hostsListed += outcome.hosts.length;
    }
    tasks.push({ index, sentence, outcome: listed });
  }
  return { tasks, hostsUsed, totals };
};

interface Found extends Explained {
  readonly chosen?: Chosen;
}

interface Gang {
  readonly able: number;
  readonly waits: boolean;
  readonly hold: QuotaHold | undefined;
  /** All of it stands there. */
  readonly only: number | undefined;
}

/** How many of a gang find room, and whether some of it has to wait until others have ended. Leaves nothing booked. */
const gangIn = (
  spec: JobSpec,
  members: readonly number[],
  serving: Serving,
  claimAt: (index: number) => Claim,
  oneMore: (index: number) => { readonly outcome: Outcome } | undefined,
  only: number | undefined,
): Gang => {
  let [able, waits] = [0, false];
  let hold: QuotaHold | undefined;
  serving.attempt(() => {
    const mark = serving.quotas.mark;
    const claims: { readonly claim: Claim }[] = [];
    for (const index of members) {
      if (able === spec.gangMin) break;
      const claim = claimAt(index);
      hold = serving.quotas.shortOf(claim);
      if (hold !== undefined) break;
      const one = oneMore(index);
      // The volumes of another may be where it can run.
      if (one === undefined && mountsVolumes(spec)) continue;
      if (one === undefined) break;
      serving.quotas.draw(claim);
      claims.push({ claim });
      able += 1;
      waits ||= one.outcome.kind === "preempts";
    }
    // Then room is kept for all of them.
    if (waits && able === spec.gangMin && !serving.quotas.drawWhole(mark, claims)) {
      hold = claims.map(({ claim }) => serving.quotas.shortOf(wholeOf(claim))).find((short) => short !== undefined);
    }
    return false;
  });
  return { able, waits, hold, only };
};

/** What hosts that would get work cannot enforce, each sentence once with the hosts it is true of. */
const notEnforced = (state: MutableState, hosts: ReadonlySet<string>, spec: JobSpec): string[] => {
  const asksForSizes = spec.volumes.some((volume) => "volume" in volume && volume.sizeBytes > 0);
  const asksForDisk = (spec.requests.more?.[DISK] ?? 0) > 0;
  const bySentence = new Map<string, string[]>();
  for (const host of [...state.hosts.values()].sort((a, b) => (a.id < b.id ? -1 : 1))) {
    if (!hosts.has(host.id)) continue;
    for (const sentence of host.inventory?.notEnforced ?? []) {
      if (sentence === VOLUME_SIZES_NOT_ENFORCED && !asksForSizes) continue;
      if (sentence === TASK_DISK_NOT_ENFORCED && !asksForDisk) continue;
      bySentence.set(sentence, [...(bySentence.get(sentence) ?? []), host.id]);
    }
  }
  return [...bySentence].map(([sentence, ids]) => {
    const rest = ids.length - 5;
    return `${ids.slice(0, 5).join(", ")}${rest > 0 ? ` and ${rest} more` : ""}: ${sentence}`;
  });
};

const unchanged = (state: MutableState, tentative: Tentative, job: MutableJob, nowMs: number): TaskPlan[] =>
  job.tasks
    .slice(0, MAX_TASKS_LISTED)
    .map((task) => ({ index: task.index, ...pick(explainTask(state, tentative, job, task, nowMs)) }));

const pick = ({ sentence, outcome }: { readonly sentence: string; readonly outcome: Outcome }) => ({
  sentence,
  outcome,
});

/** What of it runs and would be stopped. */
const stopsOf = (state: MutableState, job: MutableJob | undefined): number =>
  [...(job?.tasks ?? []).map(({ active }) => active), ...(job?.extra.values() ?? [])].filter(
    (id) => id !== null && state.allocations.get(id)?.desired === "run",
  ).length;

/**
 * The plan for a submission of `spec`, after all work that is queued before it. Tasks that wait for their previous
 * allocation to end are held: where they go is decided when it has.
 */
export const dryRun = (clusterState: ClusterState, spec: JobSpec, env: PlanEnv): Result<PlanView, Problem> => {
  let state = inside(clusterState);
  if (newlyAsked(state, spec).length > 0) {
    // It would be the first to ask for that, and make it count.
    state = copyOf(state, env.nowMs);
    const old = state.jobs.get(jobKey(spec.project, spec.name));
    if (old?.finishedAtMs === null) noteAsked(state, old.spec, -1);
    learnAsked(state, spec);
  }
  const action = submitAction(state, spec);
  if (!action.ok) return action;
  const goesOn = action.value === "unchanged" || action.value === "change_limits";
  const refusal = goesOn
    ? undefined
    : (missingSecret(state, spec) ?? crowdedOut(state, spec) ?? exceedsQuota(state, spec));
  if (refusal !== undefined) return err(refusal);
  const job = state.jobs.get(jobKey(spec.project, spec.name));
  const head = {
    project: spec.project,
    job: spec.name,
    action: action.value,
    revision: state.revision,
  };
  return tentatively(state.index, (tentative) => {
    if (goesOn && job !== undefined) {
      const tasks = unchanged(state, tentative, job, env.nowMs);
      const version = job.version + (action.value === "unchanged" ? 0 : 1);
      return ok({ ...head, version, stops: 0, tasks, warnings: [] });
    }
    if (spec.kind === "daemon") {
      const version = (job?.version ?? 0) + 1;
      const { hostsUsed, tasks, total } = planDaemon(state, spec, version, env, ALL_QUEUED, MAX_TASKS_LISTED);
      const warnings = notEnforced(state, hostsUsed, spec);
      if (tasks.length < total) warnings.unshift(`only the first ${tasks.length} of ${total} tasks are listed`);
      return ok({ ...head, version, stops: stopsOf(state, job), tasks: [...tasks], warnings });
    }
    const guest = { spec, standing: priorityOf(spec) };
    const ahead = { ...ALL_QUEUED, guest, replaced: job };
    const { tasks, hostsUsed, totals } = planOn(state, tentative, env, ahead, (_planned, serving, turns) =>
      simulate(state, tentative, serving, turns, spec, job, env.nowMs),
    );
    const warnings = notEnforced(state, hostsUsed, spec);
    if (tasks.length < spec.count) {
      warnings.unshift(
        `only the first ${tasks.length} of ${spec.count} tasks are listed; of all, ${totals.placed + totals.preempts} would be placed now, ${totals.held} held, ${totals.blocked} blocked`,
      );
    }
    return ok({ ...head, version: (job?.version ?? 0) + 1, stops: stopsOf(state, job), tasks, warnings });
  });
};
